"""The forms of a column of extend() that C++ takes: an array, a list, or parts.

Used by _columns.py and _arrow_columns.py, which make them from the columns of other libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import values as _values
from .features import FieldSpec

_NUMERIC = frozenset(["bool", "int", "uint", "float", "date", "time", "timestamp", "duration"])

#: The dtypes that C++ reads, as `np.dtype.char`: bools, ints, and floats of up to 64 bits.
_READ_BY_CORE = frozenset("?bBhHiIlLqQefd")


class Parts(NamedTuple):
    """A column whose rows are not all present or not equally long.

    Attributes:
        values: bools, ints or floats. Without offsets an array of shape (rows, …); else all items.
        present: one byte for each row, 0 where the field is missing; None if it never is.
        offsets: rows + 1 offsets, counted in items; None if every row has one value.
        stored: whether the values are stored words, one row after the other.
    """

    values: NDArray[Any]
    present: bytes | None = None
    offsets: NDArray[np.int64] | None = None
    stored: bool = False


#: A list has one value or None for each row.
Column = NDArray[Any] | list[Any] | Parts


def rows_of(column: Column) -> int:
    """The number of rows."""
    if isinstance(column, Parts):
        return len(column.values) if column.offsets is None else len(column.offsets) - 1
    return len(column)


def presence_of(column: Column) -> NDArray[np.bool_]:
    """Whether each row has a value."""
    if isinstance(column, Parts):
        if column.present is None:
            return np.ones(rows_of(column), np.bool_)
        return np.frombuffer(column.present, np.bool_)
    if isinstance(column, list) or column.dtype == object:
        return np.fromiter((item is not None for item in column), np.bool_, len(column))
    return np.ones(len(column), np.bool_)


def takes_numbers(spec: FieldSpec) -> bool:
    """Whether the values of a field are numbers, dates or times, which are arrays of NumPy."""
    return not spec.nested and spec.info.kind in _NUMERIC


def numbers_column(
    spec: FieldSpec, values: NDArray[Any], present: NDArray[np.bool_] | None = None
) -> Parts | None:
    """Numbers, dates or times converted as a whole.

    Returns None if the field or the array has others, if the shape is not that of the field, or if
    a value is not valid. Numbers that C++ reads are left to it: its errors name the row, too.
    """
    is_numbers = values.dtype.kind in "biufMm" or values.dtype.name == "bfloat16"
    if not (is_numbers and takes_numbers(spec) and _has_shape(spec, values.shape[1:])):
        return None
    mask = None if present is None or present.all() else present.tobytes()
    if values.dtype.char in _READ_BY_CORE and spec.unit is None and spec.class_ids is None:
        return Parts(values, mask)
    if present is not None and mask is not None:
        values = values.copy()
        values[~present] = np.zeros((), values.dtype)
    try:
        converted = _values.convert_array(spec, values)
    except (ValueError, TypeError):
        return None
    return Parts(np.ascontiguousarray(converted), mask)


def _has_shape(spec: FieldSpec, shape: tuple[int, ...]) -> bool:
    if not spec.shape:
        return shape in ((), (1,))
    if spec.is_ragged:
        one_item = len(spec.shape) == 1 and shape == ()
        return one_item or (len(shape) == len(spec.shape) and shape[1:] == spec.shape[1:])
    return shape == spec.shape


def masked_list(values: Sequence[Any] | NDArray[Any], present: NDArray[np.bool_]) -> list[Any]:
    """The rows as a list, with None where they are missing."""
    return [value if there else None for value, there in zip(values, present.tolist(), strict=True)]


def with_mask(spec: FieldSpec, values: NDArray[Any], present: NDArray[np.bool_]) -> Column:
    """A column of an array and the rows that have a value."""
    column = numbers_column(spec, values, present)
    return masked_list(values, present) if column is None else column
