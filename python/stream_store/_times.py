"""Times that `row_at` looks for, in the unit of a field.

Times are compared exactly. Those that are finer than the unit of the field become a whole number of
units and a rest, which `interop::FindTimes` describes.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Larger than a time by: nothing, up to a half of the unit, more; and less than any time.
_EXACT, _LOWER_HALF, _UPPER_HALF, _BELOW_ALL = range(4)
_INT64 = np.iinfo(np.int64)
_NAMES = {"M": "datetime64", "m": "timedelta64"}
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_ATTOSECONDS = {"W": 604_800 * 10**18, "D": 86_400 * 10**18, "h": 3_600 * 10**18, "m": 60 * 10**18}
_ATTOSECONDS |= {"s": 10**18, "ms": 10**15, "us": 10**12, "ns": 10**9, "ps": 10**6, "fs": 10**3}
_ATTOSECONDS |= {"as": 1}


def comparable_times(
    times: object, dtype: np.dtype[Any], field: str
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Convert times to numbers that the core compares with a field of that dtype.

    Args:
        times: a number, a datetime64 or timedelta64, a datetime, date or timedelta, or a list or
            array of them of any shape ``S``. Numbers count in the unit of the field.
        dtype: that of the items of the field.
        field: its name, for messages.

    Returns:
        An int64, uint64 or float64 array of shape ``S``, and the rests of int64 numbers: a uint8
        array of shape ``S``, or None if there are none.

    Raises:
        TypeError: the times are of another kind than the field.
        ValueError: a time is NaN or NaT, or a number does not fit into 64 bits.
    """
    given = np.asarray(times)
    if given.dtype == object and dtype.kind in "Mm" and given.size:
        nanoseconds = [_nanoseconds(item, dtype, field) for item in given.flat]
        return _scaled(nanoseconds, _ATTOSECONDS["ns"], dtype, given.shape)
    if given.size == 0 and given.dtype.kind == "f":
        return np.zeros(given.shape, np.int64), None
    found, wanted = given.dtype.kind, dtype.kind
    if found in "Mm" and found == wanted:
        return _in_unit(given, dtype, field)
    plain = "iu" if wanted in "Mm" else "iuf"
    if found not in plain or given.dtype.itemsize > 8:
        expected = f"{_NAMES[wanted]} values or ints" if wanted in "Mm" else "ints or floats"
        raise TypeError(
            f"row_at: times of field {field!r} ({dtype}) must be {expected}, not {given.dtype}"
        )
    target = {"i": np.int64, "u": np.uint64, "f": np.float64}[found]
    numbers = np.array(given, dtype=target, order="C")
    if found == "f" and np.isnan(numbers).any():
        raise ValueError(f"row_at: a time of field {field!r} is NaN")
    return numbers, None


def _in_unit(
    given: NDArray[Any], dtype: np.dtype[Any], field: str
) -> tuple[NDArray[np.int64], NDArray[np.uint8] | None]:
    """datetime64 or timedelta64 values as whole numbers of the unit of the field, and rests."""
    if np.isnat(given).any():
        raise ValueError(f"row_at: a time of field {field!r} is NaT")
    unit, count = np.datetime_data(given.dtype)
    if unit in "YM" and dtype.kind == "M":  # not a fixed number of days
        given, unit, count = given.astype("datetime64[D]"), "D", 1
    if unit not in _ATTOSECONDS:
        raise TypeError(f"row_at: times of field {field!r} ({dtype}) must not be {given.dtype}")
    numbers = np.array(given, dtype=given.dtype.newbyteorder("="), order="C").view(np.int64)
    each, ours = _ATTOSECONDS[unit] * count, _ATTOSECONDS[np.datetime_data(dtype)[0]]
    if each == ours:
        return numbers, None
    factor = ours // each
    if ours % each or factor > _INT64.max // 2:
        return _scaled(numbers.ravel().tolist(), each, dtype, numbers.shape)
    rests = numbers % factor
    halves = np.where(rests <= factor // 2, _LOWER_HALF, _UPPER_HALF)
    return numbers // factor, np.where(rests == 0, _EXACT, halves).astype(np.uint8)


def _scaled(
    numbers: list[int], each: int, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Numbers of `each` attoseconds, in exact arithmetic; beyond int64 is before or after all."""
    ours = _ATTOSECONDS[np.datetime_data(dtype)[0]]
    whole = np.zeros(len(numbers), np.int64)
    rests = np.zeros(len(numbers), np.uint8)
    for place, number in enumerate(numbers):
        quotient, rest = divmod(number * each, ours)
        if quotient < _INT64.min:
            rests[place] = _BELOW_ALL
        elif quotient > _INT64.max:
            whole[place], rests[place] = _INT64.max, _UPPER_HALF
        else:
            whole[place] = quotient
            rests[place] = _EXACT if rest == 0 else _LOWER_HALF if 2 * rest <= ours else _UPPER_HALF
    return whole.reshape(shape), rests.reshape(shape)


def _nanoseconds(item: object, dtype: np.dtype[Any], field: str) -> int:
    """One Python object; those of pandas have nanoseconds of their own. Datetimes are in UTC."""
    if type(item).__name__ == "NaTType":  # pandas.NaT is an instance of datetime
        raise ValueError(f"row_at: a time of field {field!r} is NaT")
    if dtype.kind == "M" and isinstance(item, dt.date):
        micros = (item.toordinal() - _EPOCH_DAY) * 86_400 * 10**6
        if isinstance(item, dt.datetime):
            micros += ((item.hour * 60 + item.minute) * 60 + item.second) * 10**6
            micros += item.microsecond - _microseconds(item.utcoffset() or dt.timedelta())
        return micros * 1000 + int(getattr(item, "nanosecond", 0))
    if dtype.kind == "m" and isinstance(item, dt.timedelta):
        return _microseconds(item) * 1000 + int(getattr(item, "nanoseconds", 0))
    expected = f"{_NAMES[dtype.kind]} values or ints"
    raise TypeError(f"row_at: times of field {field!r} ({dtype}) must be {expected}, not {item!r}")


def _microseconds(item: dt.timedelta) -> int:
    return (item.days * 86_400 + item.seconds) * 10**6 + item.microseconds
