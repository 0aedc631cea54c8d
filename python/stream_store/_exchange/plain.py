"""Objects of other libraries inside rows as the lists, dicts and scalars that types are guessed of.

`datasets` and pyarrow guess types of Python and NumPy objects only, and not of all of them: arrays
with swapped bytes, arrays without dimensions, days and hours, ranges and lazy sequences fail or get
another type than their values have. No value changes here.
"""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from stream_store.values.arrays import native, short

from .optional import require
from .tables import objects_of

MAX_DEPTH = 100  # of lists and dicts inside each other

_SCALARS = (str, bytes, bytearray, int, float, bool, type(None))
_UNITS = {"W": "s", "D": "s", "h": "s", "m": "s"}  # units that Arrow lacks -> one that it has


def plain(value: Any, depth: int = 0) -> Any:
    """The value, or an equal one of plain Python and NumPy objects.

    Raises:
        ValueError: the value is NaT, a Decimal that is not finite, an array with a mask, or nested
            too deeply. Objects that compute their items may raise other exceptions.
    """
    if isinstance(value, _SCALARS):
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels of lists and dicts, found more")
    if isinstance(value, Mapping):
        return {key: plain(value[key], depth + 1) for key in value}
    if isinstance(value, (list, tuple)):
        if value and all(type(item) in (int, float, str) for item in value):
            return value
        items = [plain(item, depth + 1) for item in value]
        return type(value)(items) if type(value) in (list, tuple) else items
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain_array(value, depth)
    if type(value).__name__ == "NaTType":
        raise _no_nat(value)
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"expected a finite Decimal, found {value}")
    library = type(value).__module__.partition(".")[0]
    if library == "pyarrow" and (found := _of_pyarrow(value)) is not value:
        return plain(found, depth + 1)
    if library == "polars" and type(value).__name__ == "Series":
        return plain(value.to_list(), depth + 1)
    if isinstance(value, array.array):
        return np.asarray(value)
    if isinstance(value, Sequence) and not isinstance(value, memoryview):
        return plain(list(value), depth + 1)
    return value


def _of_pyarrow(value: Any) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    if isinstance(value, (pyarrow.Array, pyarrow.ChunkedArray)):
        return objects_of(value)
    return value.as_py() if isinstance(value, pyarrow.Scalar) else value


def _plain_array(value: Any, depth: int) -> Any:
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            "expected an array without a mask (fill it first, or give a list with None), found "
            + short(value)
        )
    if value.dtype == object:
        return plain(value.tolist(), depth + 1)
    if value.dtype.kind in "mM":
        if np.isnat(value).any():
            raise _no_nat(value)
        value = _in_a_unit_of_arrow(value)
    if isinstance(value, np.generic):
        if value.dtype == np.dtype("datetime64[D]"):
            return value.item()
        return value
    value = native(value)
    return plain(value[()], depth + 1) if value.ndim == 0 else value


def _no_nat(value: Any) -> ValueError:
    return ValueError(
        "expected no NaT (if the value is missing, leave the field out or write None), found "
        + short(value)
    )


def _in_a_unit_of_arrow(value: Any) -> Any:
    unit, count = np.datetime_data(value.dtype)
    kind = value.dtype.kind
    if kind == "M" and unit in ("D", "W", "M", "Y"):
        return value.astype("M8[D]")
    target = _UNITS.get(unit, unit)
    if target == unit and count == 1:
        return value
    with np.errstate(over="raise"):
        converted = value.astype(f"{kind}8[{target}]")
    if (converted != value).any() if value.ndim else converted != value:
        return value  # too many for 64 bits
    return converted


def beyond_int64(value: Any) -> Any:
    """The value with its integers from 0 to 2**64 - 1 as `numpy.uint64`, if one needs that."""
    if isinstance(value, bool) or not isinstance(value, (int, list, tuple, dict)):
        return value
    if isinstance(value, int):
        return np.uint64(value) if 0 <= value < 2**64 else value
    if isinstance(value, dict):
        return {key: beyond_int64(item) for key, item in value.items()}
    return [beyond_int64(item) for item in value]
