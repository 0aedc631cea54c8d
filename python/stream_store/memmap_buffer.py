"""MemmapBuffer: a growable array on disk, on its own. StreamStore does not use it."""

from __future__ import annotations

import mmap
import operator
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

if TYPE_CHECKING:
    from typing_extensions import Self


class MemmapBuffer:
    """An array that grows at its end, kept in a memory-mapped temporary file without a name.

    It holds more than memory does: pages go to disk when others need the room, and the file
    vanishes with the object or the process, however that ends.

    Args:
        dtype: of one item; any NumPy dtype without Python objects, structured and sub-array ones
            too.
        size_increment: items by which the file grows.

    Raises:
        ValueError: a size_increment below 1, a dtype that holds objects or has no size.
    """

    def __init__(self, dtype: DTypeLike, size_increment: int = 1_000_000) -> None:
        self._dtype = np.dtype(dtype)
        self._increment = operator.index(size_increment)
        if self._increment < 1:
            raise ValueError(f"size_increment must be at least 1, not {size_increment}")
        if self._dtype.hasobject or self._dtype.itemsize == 0:
            raise ValueError(
                f"dtype {self._dtype} cannot be kept in a file: expected a fixed number of bytes"
            )
        # A sub-array dtype becomes dimensions of every array; items are kept as its base.
        self._item_shape = self._dtype.shape
        self._base = self._dtype.base
        self._size = 0
        self._file: int | None = _unlinked_file()
        self._array: NDArray[Any] = np.empty((0, *self._item_shape), self._base)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one item."""
        return self._dtype

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._file is None

    @property
    def nbytes(self) -> int:
        """Bytes of the items."""
        return self._size * self._dtype.itemsize

    @property
    def capacity(self) -> int:
        """Items there is room for before the file grows again."""
        return len(self._array)

    def append(self, items: ArrayLike) -> None:
        """Append one item, or an array (or list) of items along its first axis.

        Raises:
            ValueError: the shape is neither that of one item nor that of several; nothing is
                appended then.
            OSError: no space is left.
        """
        self._require_open()
        array = np.asarray(items, dtype=self._base)
        item_dims = len(self._item_shape)
        if array.shape == self._item_shape:
            array = array[np.newaxis]
        if array.ndim != item_dims + 1 or array.shape[1:] != self._item_shape:
            raise ValueError(
                f"append: expected one item of shape {self._item_shape} or an array of them, "
                f"found shape {array.shape}"
            )
        end = self._size + len(array)
        if end > len(self._array):
            self._grow(end)
        self._array[self._size : end] = array
        self._size = end

    def _grow(self, items: int) -> None:
        assert self._file is not None
        increments = -(-items // self._increment)
        capacity = increments * self._increment
        size = capacity * self._dtype.itemsize
        os.posix_fallocate(self._file, 0, size)  # here rather than as a bus error later
        mapping = mmap.mmap(self._file, size)
        # Arrays handed out are copies, so nothing else keeps the old mapping alive.
        self._array = np.frombuffer(mapping, self._base).reshape((capacity, *self._item_shape))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        """Items at an int, a slice, an int array or a mask, as NumPy indexes ``len(self)`` items.

        Returns:
            A copy, which later appends, reset() and close() leave as it is; a NumPy scalar for one
            plain item.
        """
        self._require_open()
        return self._array[: self._size][index].copy()

    def __iter__(self) -> Iterator[Any]:
        """Items in order, up to the length of now."""
        self._require_open()
        return (self[place] for place in range(self._size))

    def reset(self) -> None:
        """Forget all items and give their disk space back."""
        self._require_open()
        assert self._file is not None
        self._size = 0
        self._array = np.empty((0, *self._item_shape), self._base)
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Free memory and disk. Idempotent; appends and reads then raise ValueError."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._size = 0
            self._array = np.empty((0, *self._item_shape), self._base)

    def _require_open(self) -> None:
        if self._file is None:
            raise ValueError("the MemmapBuffer is closed")

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._size:,} items, {self.nbytes:,} bytes"
        return f"<MemmapBuffer of {self._dtype}: {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a MemmapBuffer lives in this process only and cannot be pickled: pass buffer[:]"
        )


def _unlinked_file() -> int:
    """A descriptor of a nameless file, on disk rather than in memory where there is a choice."""
    directory = os.environ.get("TMPDIR")
    if not directory and os.access("/var/tmp", os.W_OK):
        directory = "/var/tmp"
    descriptor, name = tempfile.mkstemp(prefix="stream_store-", dir=directory)
    Path(name).unlink()
    return descriptor
