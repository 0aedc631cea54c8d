"""check_rows: compares the values of a source, read again, with the rows of a store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.arrow import Rows
from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife
from stream_store.errors import CheckError

from .source import Block, Source


def check_rows(store: StoreLife, source: Source, first_row: int) -> int:
    """Compare all rows from `first_row` on with the blocks of the source.

    Floats are compared bit by bit, so that NaN and the sign of zero count.

    Returns:
        The number of values compared: cells, not their items.

    Raises:
        CheckError: a value or the number of rows differs.
    """
    view = store.snapshot()
    row, compared = first_row, 0
    for block in source.blocks():
        stop = row + block.rows
        if stop > view.num_rows:
            raise CheckError(
                f"{source.path}: check: expected at least {stop - first_row:,} rows but found "
                f"{view.num_rows - first_row:,}"
            )
        compared += _Comparison(view, source, row, block).run()
        row = stop
    if row != view.num_rows:
        raise CheckError(
            f"{source.path}: check: expected {row - first_row:,} rows but found "
            f"{view.num_rows - first_row:,}"
        )
    return compared


class _Comparison:
    """One block with the rows that were made from it."""

    def __init__(self, view: StoreLife, source: Source, row: int, block: Block) -> None:
        self._view, self._source, self._row, self._block = view, source, row, block

    def run(self) -> int:
        block, rows = self._block, slice(self._row, self._row + self._block.rows)
        if block.steps is not None:
            found = self._view.read_rows(rows, fields=())["_step"]
            self._require(found == block.steps, "the step", block.steps, found)
        for name, column in block.columns.items():
            if not (isinstance(column, np.ndarray) and self._same_array(name, column, rows)):
                self._compare_cells(name, column)
        absent = [name for name in self._source.fields if name not in block.columns]
        for name in absent:
            self._compare_cells(name, [None] * block.rows)
        return block.rows * (len(block.columns) + len(absent))

    def _same_array(self, name: str, column: NDArray[Any], rows: slice) -> bool:
        """Compare an array at once. False if the store gives it in another form."""
        if column.dtype.kind not in "biuf" or isinstance(column, np.ma.MaskedArray):
            return False
        read: dict[str, Any] = self._view.read_rows(rows, fields=[name])
        found = read.get(name)
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
            return False
        if found.shape != column.shape or found.dtype != column.dtype:
            return False
        equal = _equal_bits(column, found).reshape(len(column), -1)
        same: Any = np.all(equal, axis=1) & np.asarray(read["_mask"][name])
        self._require(same, f"field {name!r}", column, found)
        return True

    def _require(self, same: Any, what: str, expected: Any, found: Any) -> None:
        if not same.all():
            place = int(np.argmin(same))
            self._refuse(place, what, expected[place], found[place])

    def _refuse(self, place: int, what: str, expected: object, found: object) -> None:
        raise CheckError(
            f"{self._source.path}: check: row {self._row + place}, {what}: expected "
            f"{_short(expected)} but found {_short(found)}"
        )

    def _compare_cells(self, name: str, column: Any) -> None:
        expected = _cells(column, self._block.rows)
        spec = declared_fields(self._view).tree.children.get(name)
        found = (
            self._exported(name)
            if hasattr(column, "to_pylist") and spec is not None
            else [self._view.row(self._row + i)[name] for i in range(self._block.rows)]
        )
        for place, (one, other) in enumerate(zip(expected, found, strict=True)):
            if not same_value(one, other):
                self._refuse(place, f"field {name!r}", one, other)

    def _exported(self, name: str) -> list[Any]:
        """A column as Python objects of Arrow, for one that came from Arrow."""
        import pyarrow as pa

        rows = Rows(
            self._view,
            declared_fields(self._view),
            self._row,
            self._row + self._block.rows,
            columns=[name],
        )
        return list(pa.table(rows).column(name).to_pylist())


def _cells(column: Any, rows: int) -> list[Any]:
    """A column as a list with one object per row."""
    if hasattr(column, "to_pylist"):
        return list(column.to_pylist())
    if isinstance(column, Mapping):
        inner = {name: _cells(one, rows) for name, one in column.items()}
        return [{name: cells[i] for name, cells in inner.items()} for i in range(rows)]
    if isinstance(column, np.ma.MaskedArray):
        mask: Any = np.ma.getmaskarray(column)
        mask = mask.reshape(rows, -1).all(1) if rows else mask
        return [None if mask[i] else column.data[i] for i in range(rows)]
    return [column[i] for i in range(rows)]


def _equal_bits(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    if one.dtype.kind != "f":
        return np.asarray(one == other)
    bits = np.dtype(f"u{one.dtype.itemsize}")
    left, right = np.ascontiguousarray(one).view(bits), np.ascontiguousarray(other).view(bits)
    return np.asarray(left == right)


def same_value(one: Any, other: Any) -> bool:
    """Whether two cells are equal: numbers by value, NaN equal to NaN, containers item by item."""
    if one is None or other is None:
        return one is other or _is_empty_struct(one) or _is_empty_struct(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(same_value(one.get(key), other.get(key)) for key in {*one, *other})
    if isinstance(one, (str, bytes, Decimal)) or isinstance(other, (str, bytes, Decimal)):
        return bool(one == other)
    if isinstance(one, (np.datetime64, np.timedelta64)) or np.ndim(one) == 0 == np.ndim(other):
        return _same_scalar(one, other)
    if len(one) != len(other):
        return False
    arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    if arrays and one.dtype == other.dtype and one.dtype.kind in "biuf":
        return one.shape == other.shape and bool(_equal_bits(one, other).all())
    return all(same_value(left, right) for left, right in zip(one, other, strict=True))


def _is_empty_struct(value: Any) -> bool:
    """A struct without any leaf; a store gives None for one that was never written."""
    return isinstance(value, Mapping) and all(one is None for one in value.values())


def _same_scalar(one: Any, other: Any) -> bool:
    if isinstance(one, (float, np.floating)) and isinstance(other, (float, np.floating)):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return bool(one == other) and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
