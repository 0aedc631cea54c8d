"""MemmapBuffer: a growable array on disk. It is independent of StreamStore."""

from __future__ import annotations

import mmap
import operator
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._closing import ClosedByWith

if TYPE_CHECKING:
    from typing_extensions import Self


class MemmapBuffer(ClosedByWith):
    """An array that grows at its end, in an unnamed, memory-mapped temporary file.

    It may be larger than memory: the system writes pages to disk when it needs their memory. The
    file is deleted when the object is deleted or the process ends, in whatever way.

    Args:
        dtype: dtype of one item: any NumPy dtype of fixed size without Python objects, also a
            structured or sub-array dtype.
        size_increment: number of items by which the file grows.

    Raises:
        ValueError: `size_increment` is below 1, or `dtype` has objects or no size.

    Examples:
        >>> from stream_store import MemmapBuffer
        >>> with MemmapBuffer(np.dtype(("float32", (2,)))) as buffer:
        ...     buffer.append([[1, 2], [3, 4]])
        ...     len(buffer), buffer[-1], buffer.nbytes
        (2, array([3., 4.], dtype=float32), 16)
    """

    def __init__(self, dtype: DTypeLike, size_increment: int = 1_000_000) -> None:
        self._dtype = np.dtype(dtype)
        self._increment = operator.index(size_increment)
        if self._increment < 1:
            raise ValueError(f"size_increment must be at least 1, not {size_increment}")
        if self._dtype.hasobject or self._dtype.itemsize == 0:
            raise ValueError(
                f"dtype {self._dtype}: expected a dtype with a fixed number of bytes and no objects"
            )
        # A sub-array dtype becomes dimensions of every array; items are kept as its base.
        self._item_shape = self._dtype.shape
        self._base = self._dtype.base
        self._size = 0
        self._file: int | None = _unlinked_file()
        self._array: NDArray[Any] = np.empty((0, *self._item_shape), self._base)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of one item."""
        return self._dtype

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._file is None

    @property
    def nbytes(self) -> int:
        """Number of bytes of the items."""
        return self._size * self._dtype.itemsize

    @property
    def capacity(self) -> int:
        """Number of items that fit before the file grows again."""
        return len(self._array)

    def append(self, items: ArrayLike) -> None:
        """Append one item, or several along the first axis of an array or list.

        Args:
            items: an array of the shape of one item, or of shape (n,) + that shape.

        Raises:
            ValueError: the shape is another one, or the buffer is closed. Nothing is appended then.
            OSError: no space is left.

        Examples:
            >>> from stream_store import MemmapBuffer
            >>> buffer = MemmapBuffer("int64")
            >>> buffer.append(7)
            >>> buffer.append([8, 9])
            >>> buffer[:]
            array([7, 8, 9])
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
        os.posix_fallocate(self._file, 0, size)  # otherwise a full disk would be a bus error later
        mapping = mmap.mmap(self._file, size)
        # Reads return copies, so nothing else refers to the old mapping.
        self._array = np.frombuffer(mapping, self._base).reshape((capacity, *self._item_shape))

    def __len__(self) -> int:
        """Number of items."""
        return self._size

    def __getitem__(self, index: Any) -> Any:
        """Read items, with any index that NumPy accepts for an array of ``len(self)`` items.

        Args:
            index: int, slice, int array or mask.

        Returns:
            A copy, which later calls do not change; a NumPy scalar for one plain item.

        Raises:
            IndexError: the index is out of range.
            ValueError: the buffer is closed.

        Examples:
            >>> from stream_store import MemmapBuffer
            >>> buffer = MemmapBuffer("int64")
            >>> buffer.append([7, 8, 9])
            >>> buffer[[0, -1]]
            array([7, 9])
        """
        self._require_open()
        return self._array[: self._size][index].copy()

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the items that exist now."""
        self._require_open()
        return (self[place] for place in range(self._size))

    def reset(self) -> None:
        """Remove all items and free their disk space.

        Raises:
            ValueError: the buffer is closed.

        Examples:
            >>> from stream_store import MemmapBuffer
            >>> buffer = MemmapBuffer("int64")
            >>> buffer.append([8, 9])
            >>> buffer.reset()
            >>> len(buffer)
            0
        """
        self._require_open()
        assert self._file is not None
        self._size = 0
        self._array = np.empty((0, *self._item_shape), self._base)
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Free memory and disk space. Appends and reads then raise ValueError.

        Further calls do nothing.

        Examples:
            >>> from stream_store import MemmapBuffer
            >>> buffer = MemmapBuffer("int64")
            >>> buffer.close()
            >>> buffer.closed
            True
        """
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

    # The default is a reference of its own: when the interpreter ends, modules are gone before some
    # objects are.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            self._file = None
            close(file)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._size:,} items, {self.nbytes:,} bytes"
        return f"<MemmapBuffer of {self._dtype}: {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a MemmapBuffer exists in this process only and cannot be pickled: pass buffer[:]"
        )


def _unlinked_file() -> int:
    """A descriptor of an unnamed file, in a directory on disk rather than in memory if possible."""
    import tempfile  # here, because they import many others
    from pathlib import Path

    directory = os.environ.get("TMPDIR")
    if not directory and os.access("/var/tmp", os.W_OK):
        directory = "/var/tmp"
    descriptor, name = tempfile.mkstemp(prefix="stream_store-", dir=directory)
    Path(name).unlink()
    return descriptor
