"""Conversion and checks of the arguments of `stream_store.learning`.

Each function takes the name of an argument and its value, and raises an error that names the
argument, the accepted values and the given one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store.values.arrays import foreign_array


def as_array(name: str, given: Any) -> NDArray[Any]:
    array = foreign_array(given, name)
    if array is None:
        try:
            array = np.asarray(given)
        except ValueError as error:  # a list of lists of different lengths
            raise ValueError(f"{name} must be a regular array: {error}") from None
    return array


def as_numbers(name: str, given: Any) -> NDArray[Any]:
    """An array of bools, ints or floats."""
    array = as_array(name, given)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be of a real dtype, not {array.dtype}")
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def as_flags(name: str, given: Any) -> NDArray[np.bool_]:
    """An array of bools; numbers that are 0 or 1 are accepted."""
    array = as_numbers(name, given)
    if array.dtype != np.bool_ and not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must be bools, or numbers that are 0 or 1, not {array.dtype}")
    return array.astype(np.bool_, copy=False)


def as_ints(name: str, given: Any) -> NDArray[np.int64]:
    array = as_array(name, given)
    if array.size == 0 and array.dtype == np.float64:  # an empty list
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be row numbers of an int dtype, not {array.dtype}")
    return array.astype(np.int64, copy=False)


def unit_interval(name: str, given: Any) -> float:
    """A number in [0, 1]."""
    try:
        number = None if isinstance(given, (bool, str, bytes)) else float(given)
    except (TypeError, ValueError):
        number = None
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], not {given!r}")
    return number
