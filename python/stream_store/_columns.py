"""Columns of extend() that are neither plain NumPy arrays nor lists, in the form that C++ takes.

`as_column` accepts arrays and columns of other libraries: tensors, JAX arrays, masked arrays, Arrow
arrays, Series of pandas and polars, and any sequence. Numbers are converted as a whole. If that
fails, the result is a list instead, because C++ converts lists row by row and its errors name the
row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._column_parts import Column, Parts, masked_list, numbers_column, with_mask
from .features import FieldSpec
from .values.arrays import as_array, listed


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
        return listed(given, f"field {spec.name!r} ({spec.text})")
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


def _masked_column(spec: FieldSpec, given: np.ma.MaskedArray[Any, Any]) -> Column:
    """A masked array. A row is missing if all its items are masked; if some are, it is refused."""
    mask = np.ma.getmaskarray(given)
    if mask.dtype.names is None and mask.ndim > 0:
        if mask.ndim == 1:
            return with_mask(spec, np.asarray(given.data), ~mask)
        by_row = mask.reshape(len(mask), -1)
        some: NDArray[np.bool_] = np.logical_or.reduce(by_row, axis=1)
        missing: NDArray[np.bool_] = some & np.logical_and.reduce(by_row, axis=1)
        if (some == missing).all():
            return with_mask(spec, np.asarray(given.data), ~missing)
        rows = [given[row] if part else given.data[row] for row, part in enumerate(some)]
        return masked_list(rows, ~missing)
    raise not_a_column(spec, given)


def _pandas_column(spec: FieldSpec, given: Any) -> Column:
    """A Series or another column of pandas. A NaN for a float field is a number, not missing."""
    if given.ndim != 1:
        raise not_a_column(spec, given)
    dtype = given.dtype
    if type(dtype).__name__ == "ArrowDtype":
        import pyarrow

        return as_column(spec, pyarrow.array(given))
    if isinstance(dtype, np.dtype) and dtype.kind not in "OMm":
        return np.asarray(given)
    present = ~np.asarray(given.isna(), np.bool_)
    if isinstance(dtype, np.dtype) and dtype.kind in "Mm":
        return with_mask(spec, np.asarray(given), present)
    if hasattr(dtype, "numpy_dtype"):
        return with_mask(spec, given.to_numpy(dtype=dtype.numpy_dtype, na_value=0), present)
    rows = list(given)
    if spec.info.kind == "float":
        present |= np.fromiter((isinstance(row, float) for row in rows), np.bool_, len(rows))
    return masked_list(rows, present)
