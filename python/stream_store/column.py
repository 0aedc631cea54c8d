"""Column: one field of a store, indexed by row as an array of NumPy or a dataset of h5py is.

`store["reward"]` makes one. It reads nothing until it is indexed.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._fields import declared_fields
from ._safe_text import safe
from ._store_life import StoreLife
from ._structs import Struct
from .features import FieldSpec
from .features.names import batch_key
from .features.nodes import RAGGED

#: Rows that are read together where each row becomes an object.
_BLOCK = 4096


class Column:
    """The values of one field of a store, by row. See `StreamStore.column`.

    Rows keep their numbers: if a store has dropped rows, the first index is `store.first_row`. A
    column follows its store, and sees the rows that are there when it is indexed.

    Attributes:
        name: the name of the field, or of a struct or one of its leaves ("obs.pos").

    Examples:
        >>> store = StreamStore(fields={"reward": "float32", "text": "string"})
        >>> store.extend({"reward": [1.0, 2.0, 3.0], "text": ["a", None, "c"]})
        3
        >>> reward = store["reward"]
        >>> reward
        <Column 'reward': float32, 3 rows>
        >>> reward[:], reward[-1], reward[[0, 2]]
        (array([1., 2., 3.], dtype=float32), np.float32(3.0), array([1., 3.], dtype=float32))
        >>> store["text"][:].tolist()
        ['a', None, 'c']
    """

    def __init__(self, store: StoreLife, name: str) -> None:
        fields = declared_fields(store)
        try:
            self._node = fields.tree.find(name)
        except ValueError:
            known = ", ".join(map(repr, fields.outer_names)) or "none are declared yet"
            raise KeyError(f"no field {name!r}; the fields are {known}") from None
        self._store = store
        self._specs = fields.specs
        self._path = _path_to(fields.tree.children, self._node)
        self.name = name

    def __len__(self) -> int:
        """The number of rows that the store retains."""
        return self._store.kept_rows

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of `column[:]`: object where each row is an object of its own.

        These are lists of varying length, text, bytes, decimals, nested cells and structs.
        """
        spec = self._spec
        return np.dtype(object) if spec is None or _is_object(spec) else spec.numpy_dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `column[:]`."""
        spec = self._spec
        return (len(self), *(() if spec is None or _is_object(spec) else spec.shape))

    @property
    def ndim(self) -> int:
        """The number of dimensions of `column[:]`."""
        return len(self.shape)

    def __getitem__(self, rows: Any) -> Any:
        """Read the values of rows.

        Args:
            rows: an int, for the value as `store.row(i)[name]` has it; a slice, with any step; a
                list or int array of any shape S; or a bool array with one item for each retained
                row. Negative numbers count from the end.

        Returns:
            For an int, one value, or None where it is missing. Otherwise an array of shape
            S + the field's shape that owns its memory: a `numpy.ma.MaskedArray` if a value is
            missing and the dtype is not object; in object arrays a missing value is None.

        Cost:
            As `read_rows`. Object arrays take one Python object for each row.

        Raises:
            IndexError: a row is out of range.
            DroppedError: a row was dropped.
        """
        if isinstance(rows, tuple):
            raise IndexError(
                f"column {self.name!r}: expected rows as one index, found {len(rows)}; index the "
                "array that it returns"
            )
        if isinstance(rows, (bool, np.bool_)):
            raise TypeError(f"column {self.name!r}: expected rows, found a bool")
        if not isinstance(rows, (slice, list, np.ndarray)) and hasattr(rows, "__index__"):
            return self._one(operator.index(rows))
        numbers = self._numbers(rows)
        flat = numbers.reshape(-1)
        spec = self._spec
        if spec is None or _is_object(spec):
            values = np.empty(flat.shape, object)
            for first in range(0, len(flat), _BLOCK):
                some = flat[first : first + _BLOCK]
                for place, value in enumerate(self._objects(some), first):
                    values[place] = value
            return values.reshape(numbers.shape)
        batch = self._store.read_rows(flat, fields=[self.name])
        values = batch[batch_key(self.name)].reshape(numbers.shape + spec.shape)
        mask = batch["_mask"][batch_key(self.name)]
        if mask.all():
            return values
        missing = ~mask.reshape(numbers.shape + (1,) * len(spec.shape))
        return np.ma.MaskedArray(values, np.broadcast_to(missing, values.shape).copy())

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the values of the retained rows, each as `column[i]` returns it."""
        store = self._store
        first, stop = store.first_row, store.num_rows
        for begin in range(first, stop, _BLOCK):
            block = self[begin : min(begin + _BLOCK, stop)]
            if isinstance(block, np.ma.MaskedArray):
                mask = np.ma.getmaskarray(block).reshape(len(block), -1)
                given: NDArray[np.bool_] = ~np.logical_or.reduce(mask, axis=1)
                yield from (
                    value if there else None for value, there in zip(block.data, given, strict=True)
                )
            else:
                yield from block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows as an array. A missing float is NaN.

        Raises:
            ValueError: a value of another dtype is missing, or `copy` is False.
        """
        if copy is False:
            raise ValueError(f"column {self.name!r}: reading a column makes a copy")
        values = self[:]
        if isinstance(values, np.ma.MaskedArray):
            if values.dtype.kind != "f":
                row = int(np.flatnonzero(np.ma.getmaskarray(values).reshape(len(values), -1))[0])
                raise ValueError(
                    f"column {self.name!r}: row {self._store.first_row + row} has no value, and "
                    f"{values.dtype} has none for it; column[:] returns a masked array"
                )
            values = values.filled(np.nan)
        return np.asarray(values, dtype)

    def __repr__(self) -> str:
        spec = self._spec
        text = "struct" if spec is None else spec.text
        rows = len(self)
        return f"<Column {self.name!r}: {safe(text)}, {rows:,} row{'' if rows == 1 else 's'}>"

    # --- rows ---

    @property
    def _spec(self) -> FieldSpec | None:
        """The field; None for a struct."""
        return None if isinstance(self._node, Struct) else self._specs[self._node]

    def _numbers(self, rows: Any) -> NDArray[np.int64]:
        """The numbers of the rows that an index names."""
        store = self._store
        first, stop = store.first_row, store.num_rows
        if isinstance(rows, slice):
            start, end, step = rows.indices(stop)
            numbers = np.arange(start, end, step)
            open_end = rows.start if step > 0 else rows.stop
            # An end that is left open is that of the retained rows.
            return numbers[numbers >= first] if open_end is None else numbers
        given = np.asarray(rows)
        if given.dtype == bool:
            if given.shape != (stop - first,):
                raise IndexError(
                    f"column {self.name!r}: expected one bool for each of {stop - first} rows, "
                    f"found an array of shape {given.shape}"
                )
            return first + np.flatnonzero(given)
        if given.size == 0:
            given = given.astype(np.int64)
        if given.dtype.kind not in "iu":
            raise IndexError(
                f"column {self.name!r}: rows must be ints, slices or bools, not {given.dtype}"
            )
        return np.where(given < 0, given + stop, given).astype(np.int64)

    def _one(self, row: int) -> Any:
        value: Any = self._store.row(row)
        for name in self._path:
            if value is None:
                return None
            value = value[name]
        return value

    def _objects(self, rows: NDArray[np.int64]) -> Iterator[Any]:
        """The values of some rows, one object each."""
        spec = self._spec
        if spec is None:
            yield from (self._one(int(row)) for row in rows)
            return
        batch = self._store.read_rows(rows, fields=[self.name])
        key = batch_key(self.name)
        values, mask = batch[key], batch["_mask"][key]
        lengths = batch["_length"].get(key) if spec.shape[:1] == (RAGGED,) else None
        for place, there in enumerate(mask):
            if not there:
                yield None
            elif lengths is None:
                yield values[place]
            else:
                yield values[place][: lengths[place]].copy()


def _path_to(children: Mapping[str, int | Struct], node: int | Struct) -> tuple[str, ...]:
    """The names from the outside in that lead to a leaf or struct; () if it is not there."""
    for name, child in children.items():
        if child is node or (not isinstance(child, Struct) and child == node):
            return (name,)
        if isinstance(child, Struct) and (rest := _path_to(child.children, node)):
            return (name, *rest)
    return ()


def _is_object(spec: FieldSpec) -> bool:
    return (
        spec.shape[:1] == (RAGGED,)
        or spec.is_bytes
        or spec.info.kind in ("decimal", "null", "nested")
    )
