"""Dates, times of day, timestamps and durations as exact counts of their field's unit.

A timestamp counts from 1970-01-01 in UTC. A datetime with a zone is converted to UTC; one without
is taken as UTC, as in `datetime64` and Arrow.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec

from .arrays import native, reject, wrong_item, wrong_type, wrong_value
from .numeric import exact_int, integers

if TYPE_CHECKING:
    from fractions import Fraction

_NAT = -(2**63)
_INT64_MAX = 2**63 - 1
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()

_ATTOSECONDS: dict[str, int] = {
    unit: 10 ** (18 - 3 * place) for place, unit in enumerate(("s", "ms", "us", "ns"))
}
_ATTOSECONDS |= {"ps": 10**6, "fs": 10**3, "as": 1}
_ATTOSECONDS |= {"m": 60 * 10**18, "h": 3600 * 10**18, "D": 86400 * 10**18, "W": 7 * 86400 * 10**18}

_TAKES = {
    "date": ("M", "a date or datetime64"),
    "timestamp": ("M", "a datetime or datetime64"),
    "time": ("m", "a time or timedelta64 since midnight"),
    "duration": ("m", "a timedelta or timedelta64"),
}


def convert_temporal(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """Dates and times of any shape as int64 counts. Integral numbers are counts already.

    Raises:
        ValueError: an item is not exact in the field's unit, is out of range, or is NaT.
        TypeError: an item is not a date or time of this kind.
    """
    letter, expected = _TAKES[spec.info.kind]
    kind = values.dtype.kind
    if kind in "biuf":
        return integers(spec, values, *_bounds(spec)).astype(np.int64)
    if kind == "O":
        counts = [_count_of(spec, item) for item in values.flat]
        return np.array(counts, dtype=np.int64).reshape(values.shape)
    if kind != letter:
        raise reject(spec, expected, values)
    return _check_range(spec, _counts(spec, native(values)), values)


def _bounds(spec: FieldSpec) -> tuple[int, int]:
    bits = spec.info.bits
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _limits(spec: FieldSpec) -> tuple[int, int]:
    """The range of valid counts: a time of day is less than one day."""
    if spec.info.kind == "time":
        return 0, _ATTOSECONDS["D"] // _ATTOSECONDS[spec.info.unit] - 1
    low, high = _bounds(spec)
    return max(low, _NAT + 1), high


def _check_range(spec: FieldSpec, counts: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    low, high = _limits(spec)
    bad = (counts < low) | (counts > high)
    if bad.any():
        raise wrong_item(spec, f"a count in [{low}, {high}] of its unit", values, bad)
    return counts


def _counts(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """datetime64 or timedelta64 in the field's unit, computed with exact integers."""
    unit, count = np.datetime_data(values.dtype)
    counts: NDArray[Any] = values.view(np.int64)
    if (counts == _NAT).any():
        raise wrong_value(
            spec, "no NaT (if the value is missing, leave the field out or write None)", values
        )
    if unit in ("Y", "M"):
        if values.dtype.kind == "m" or (abs(counts) > 10**7).any():
            raise wrong_value(spec, f"a value exact in {spec.info.unit}", values)
        counts, unit, count = values.astype("M8[D]").view(np.int64), "D", 1
    if unit not in _ATTOSECONDS:
        raise wrong_value(spec, "datetimes or timedeltas with a unit", values)
    from fractions import Fraction  # here, because few programs need it

    ratio = Fraction(count * _ATTOSECONDS[unit], _ATTOSECONDS[spec.info.unit])
    return _scale(spec, counts, ratio, values)


def _scale(
    spec: FieldSpec, counts: NDArray[Any], ratio: Fraction, values: NDArray[Any]
) -> NDArray[Any]:
    """``counts * ratio`` without rounding and without overflow."""
    if ratio == 1 or not counts.any():
        return counts.copy()
    many, one = ratio.numerator, ratio.denominator
    inexact = counts != 0 if one > _INT64_MAX else counts % one != 0
    if inexact.any():
        raise wrong_item(spec, f"a value exact in {spec.info.unit}", values, inexact)
    counts = counts // one
    limit = _INT64_MAX // many
    too_large = (counts > limit) | (counts < -limit)
    if too_large.any():
        raise wrong_item(spec, f"a value that fits 64 bits in {spec.info.unit}", values, too_large)
    return counts * many


def _count_of(spec: FieldSpec, item: Any) -> int:
    """One Python object as a count of the field's unit."""
    _, expected = _TAKES[spec.info.kind]
    if isinstance(item, (np.datetime64, np.timedelta64)):
        return int(convert_temporal(spec, np.asarray(item))[()])
    if isinstance(item, (int, float, np.integer, np.bool_, np.floating)):
        low, high = _bounds(spec)
        count = exact_int(spec, item, expected)
        if not low <= count <= high:
            raise wrong_value(spec, f"a count in [{low}, {high}]", item)
        return count
    if isinstance(item, (str, bytes)):
        raise wrong_value(spec, expected, item)
    nanoseconds = _nanoseconds(spec, item, expected)
    unit: int = _ATTOSECONDS[spec.info.unit] // _ATTOSECONDS["ns"]
    count, rest = nanoseconds // unit, nanoseconds % unit
    if rest:
        raise wrong_value(spec, f"a value exact in {spec.info.unit}", item)
    low, high = _limits(spec)
    if not low <= count <= high:
        raise wrong_value(spec, f"a count in [{low}, {high}] of its unit", item)
    return count


def _nanoseconds(spec: FieldSpec, item: Any, expected: str) -> int:
    kind = spec.info.kind
    if type(item).__name__ == "NaTType":  # pandas.NaT is an instance of datetime
        raise wrong_value(
            spec, "no NaT (if the value is missing, leave the field out or write None)", item
        )
    if kind in ("date", "timestamp") and isinstance(item, dt.date):
        return _since_epoch(spec, item)
    if kind == "time" and isinstance(item, dt.time):
        if item.tzinfo is not None:
            raise wrong_value(spec, "a time of day without a zone", item)
        return _clock_microseconds(item) * 1000
    if kind in ("time", "duration") and isinstance(item, dt.timedelta):
        micros = (item.days * 86400 + item.seconds) * 10**6 + item.microseconds
        return micros * 1000 + int(getattr(item, "nanoseconds", 0))
    raise wrong_type(spec, expected, item)


def _since_epoch(spec: FieldSpec, item: dt.date) -> int:
    nanoseconds = (item.toordinal() - _EPOCH_DAY) * 86400 * 10**9
    if not isinstance(item, dt.datetime):
        return nanoseconds
    nanoseconds += _clock_microseconds(item) * 1000 + int(getattr(item, "nanosecond", 0))
    offset = item.utcoffset()
    if offset is None:
        return nanoseconds
    if spec.info.kind == "date":
        raise wrong_value(spec, "a date, or a datetime without a zone", item)
    return nanoseconds - (offset.days * 86400 + offset.seconds) * 10**9 - offset.microseconds * 1000


def _clock_microseconds(item: dt.datetime | dt.time) -> int:
    return ((item.hour * 60 + item.minute) * 60 + item.second) * 10**6 + item.microsecond
