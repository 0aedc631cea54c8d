"""Columns of extend() that are neither plain NumPy arrays nor lists, in the form that C++ takes.

`as_column` accepts arrays and columns of other libraries: tensors, JAX arrays, masked arrays, Arrow
arrays, Series of pandas and polars, and any sequence. Numbers are converted as a whole. If that
fails, the result is a list instead, because C++ converts lists row by row and its errors name the
row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import values as _values
from .features import FieldSpec
from .values.arrays import as_array

_NUMERIC = frozenset(["bool", "int", "uint", "float", "date", "time", "timestamp", "duration"])


class Parts(NamedTuple):
    """A column whose rows are not all present or not equally long.

    Attributes:
        values: bools, ints or floats. Without offsets an array of shape (rows, …); else all items.
        present: one byte for each row, 0 where the field is missing; None if it never is.
        offsets: rows + 1 offsets, counted in items; None if every row has one value.
    """

    values: NDArray[Any]
    present: bytes | None = None
    offsets: NDArray[np.int64] | None = None


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


def as_column(spec: FieldSpec, given: Any) -> Column:
    """A column of a field in a form that C++ takes.

    Args:
        spec: the field.
        given: one value for each row, in any form that the module describes.

    Returns:
        An array, a list, or Parts.

    Raises:
        TypeError: the object is not a column.
    """
    if isinstance(given, Parts):
        return given
    if isinstance(given, np.ma.MaskedArray):
        return _masked_column(spec, given)
    if isinstance(given, np.ndarray):
        return np.asarray(given)
    if hasattr(given, "to_pylist"):
        from ._arrow_columns import arrow_column

        return arrow_column(spec, given)
    if given is None or isinstance(given, (str, bytes, Mapping)):
        raise not_a_column(spec, given)
    if isinstance(given, Sequence):
        return list(given)
    return _foreign_column(spec, given)


def _foreign_column(spec: FieldSpec, given: Any) -> Column:
    """A Series, a tensor, or an array of another library."""
    library = type(given).__module__.partition(".")[0]
    if library == "pandas" and hasattr(given, "isna"):
        return _pandas_column(spec, given)
    if library == "polars" and hasattr(given, "to_arrow"):
        return as_column(spec, given.to_arrow())
    if getattr(given, "is_nested", False):  # a tensor with rows of unequal length
        return list(given.unbind())
    array = as_array(spec, given)
    if array.ndim > 0:
        return array
    if hasattr(given, "tolist") and isinstance(rows := given.tolist(), list):
        return rows
    raise not_a_column(spec, given)


def not_a_column(spec: FieldSpec, given: Any) -> TypeError:
    """The error for an object that has not one value for each row."""
    return TypeError(
        f"field {spec.name!r} ({spec.text}): a column must be an array or a list, one value a "
        f"row, not {type(given).__name__}"
    )


def array_column(spec: FieldSpec, given: NDArray[Any]) -> list[Any] | Parts:
    """A NumPy column that C++ cannot read directly: dates, class numbers, texts, objects."""
    if given.ndim == 0:
        raise not_a_column(spec, given)
    column = numbers_column(spec, given)
    if column is not None:
        return column
    if given.dtype.kind == "S" and spec.dtype == "fixed_binary" and given.dtype.itemsize:
        # As np.bytes_ the rows would lose the zeros at their end.
        given = np.ascontiguousarray(given).view(f"V{given.dtype.itemsize}")
    return list(given)


def numbers_column(
    spec: FieldSpec, values: NDArray[Any], present: NDArray[np.bool_] | None = None
) -> Parts | None:
    """Numbers, dates or times converted as a whole.

    Returns None if the field or the array has others, if the shape is not that of the field, or if
    a value is not valid.
    """
    is_numbers = values.dtype.kind in "biufMm" or values.dtype.name == "bfloat16"
    if not (is_numbers and takes_numbers(spec) and _has_shape(spec, values.shape[1:])):
        return None
    if present is not None and not present.all():
        values = values.copy()
        values[~present] = np.zeros((), values.dtype)
    try:
        converted = _values.convert_array(spec, values)
    except (ValueError, TypeError):
        return None
    mask = None if present is None or present.all() else present.tobytes()
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


def _masked_column(spec: FieldSpec, given: np.ma.MaskedArray[Any, Any]) -> Column:
    """A masked array. A row is missing if all its items are masked; if some are, it is refused."""
    mask = np.ma.getmaskarray(given)
    if mask.dtype.names is None and mask.ndim > 0:
        by_row = mask.reshape(len(mask), -1)
        missing = by_row.all(axis=1) & (by_row.shape[1] > 0)
        if not (by_row.any(axis=1) & ~missing).any():
            return with_mask(spec, np.asarray(given.data), ~missing)
        rows = [given[row] if some else given.data[row] for row, some in enumerate(by_row.any(1))]
        return masked_list(rows, ~missing)
    raise not_a_column(spec, given)


def _pandas_column(spec: FieldSpec, given: Any) -> Column:
    """A Series or another column of pandas. NaN in a float column is a number, not missing."""
    if given.ndim != 1:
        raise not_a_column(spec, given)
    dtype = given.dtype
    if type(dtype).__name__ == "ArrowDtype":
        import pyarrow as pa

        return as_column(spec, pa.array(given))
    if isinstance(dtype, np.dtype) and dtype.kind not in "OMm":
        return np.asarray(given)
    present = ~np.asarray(given.isna(), np.bool_)
    if isinstance(dtype, np.dtype) and dtype.kind in "Mm":
        return with_mask(spec, np.asarray(given), present)
    if hasattr(dtype, "numpy_dtype"):
        return with_mask(spec, given.to_numpy(dtype=dtype.numpy_dtype, na_value=0), present)
    return masked_list(list(given), present)
