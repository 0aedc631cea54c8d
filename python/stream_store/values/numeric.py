"""Numbers: bools, ints, floats and class labels, checked against the range of their field.

`widen` and `narrow` convert between float64 and the shorter floats and keep every bit pattern. The
processor's own conversions quiet a signalling NaN, so NaNs are converted by integer shifts. All
other values are rounded to nearest, ties to even. The C++ core does the same.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec

from .arrays import native, reject, widen_bfloat16, wrong_item, wrong_type, wrong_value

_MANTISSA_BITS = {2: 10, 4: 23}
_UNSIGNED: dict[int, np.dtype[Any]] = {2: np.dtype("u2"), 4: np.dtype("u4")}


def convert_numbers(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """Check numbers of any shape, and convert them to a dtype that the core takes.

    Ints stay ints, floats keep their bits; both have the item dtype if the field is packed.

    Raises:
        ValueError: an item is not a valid number of the field, such as 1.5, NaN or "a" for an int.
        TypeError: an item is not a number.
    """
    if spec.class_ids is not None and values.dtype.kind in "UTO":
        values = _class_numbers(spec, spec.class_ids, values)
    if spec.info.kind == "float":
        return _floats(spec, values)
    low, high = _bounds(spec)
    values = integers(spec, values, low, high)
    if spec.info.kind == "bool":
        return values.astype(np.bool_)
    return values.astype(spec.numpy_dtype) if spec.packed else values


def _bounds(spec: FieldSpec) -> tuple[int, int]:
    if spec.info.kind == "bool":
        return 0, 1
    if spec.class_ids is not None:
        return -(2**63), len(spec.class_ids) - 1  # negative: no label, or one that is ignored
    limits = np.iinfo(spec.numpy_dtype)
    return int(limits.min), int(limits.max)


def _expected(spec: FieldSpec, low: int, high: int) -> str:
    if spec.info.kind == "bool":
        return "a bool, 0 or 1"
    if spec.class_ids is not None:
        return f"an integer below {high + 1}"
    return f"an integer in [{low}, {high}]"


def integers(spec: FieldSpec, values: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    """Integral numbers in ``[low, high]`` as ints; `low` and `high` + 1 are exact as float64."""
    expected = _expected(spec, low, high)
    kind = values.dtype.kind
    if kind == "O":
        return _objects_to_ints(spec, values, low, high)
    if values.dtype.name == "bfloat16":
        values, kind = widen_bfloat16(values), "f"
    if kind not in "biuf" or values.dtype.itemsize > 8:
        raise reject(spec, expected, values)
    values = native(values)
    if kind == "f":
        with np.errstate(invalid="ignore"):
            doubles = values.astype(np.float64)
            bad = ~((doubles >= low) & (doubles < float(high + 1)) & (np.floor(doubles) == doubles))
            if bad.any():
                raise wrong_item(spec, expected, values, bad)
            return doubles.astype(np.uint64 if high > 2**63 else np.int64)
    if kind == "b":
        return values.astype(np.int64)
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        bad = np.array([not low <= int(item) <= high for item in values.flat])
        raise wrong_item(spec, expected, values, bad)
    return values


def _objects_to_ints(spec: FieldSpec, values: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    expected = _expected(spec, low, high)
    numbers = [exact_int(spec, item, expected) for item in values.flat]
    for number, item in zip(numbers, values.flat, strict=True):
        if not low <= number <= high:
            raise wrong_value(spec, expected, item)
    dtype = np.uint64 if high > 2**63 else np.int64
    return np.array(numbers, dtype=dtype).reshape(values.shape)


def exact_int(spec: FieldSpec, item: Any, expected: str) -> int:
    """An integral number of any type as int."""
    if isinstance(item, (int, np.integer, np.bool_)):
        return int(item)
    if isinstance(item, (str, bytes, bytearray)):
        raise wrong_value(spec, expected, item)
    if isinstance(item, (float, np.floating, Decimal, Rational)):
        number = _integral(item)
        if number is None:
            raise wrong_value(spec, expected, item)
        return number
    if hasattr(item, "__index__"):
        return int(_foreign_number(spec, expected, item, operator.index))
    raise wrong_type(spec, expected, item)


def _integral(item: Any) -> int | None:
    """The number as int if it is whole and not far beyond 64 bits, else None."""
    if isinstance(item, Decimal) and item.adjusted() > 30:
        return None
    try:
        number = int(item)
    except (ValueError, OverflowError):  # NaN, infinity
        return None
    return number if number == item else None


def _foreign_number(
    spec: FieldSpec, expected: str, item: Any, convert: Callable[[Any], Any]
) -> Any:
    """Call the conversion of a foreign object to a number."""
    try:
        return convert(item)
    except MemoryError:
        raise
    except Exception as error:
        raise wrong_type(spec, expected, item) from error


def _class_numbers(spec: FieldSpec, ids: dict[str, int], values: NDArray[Any]) -> NDArray[Any]:
    """The numbers of classes given by name; numbers stay as they are."""
    numbers = np.empty(values.size, dtype=object)
    for place, item in enumerate(values.flat):
        if isinstance(item, str) and item not in ids:
            names = ", ".join(list(ids)[:10]) + (", …" if len(ids) > 10 else "")
            raise wrong_value(spec, f"one of {names}", item)
        numbers[place] = ids[item] if isinstance(item, str) else item
    return numbers.reshape(values.shape)


def _floats(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "O":
        values = _objects_to_floats(spec, values)
    if values.dtype.name == "bfloat16":
        values = widen_bfloat16(values)
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise reject(spec, "a number", values)
    values = native(values)
    narrowed = _narrowed(spec, values)
    if spec.packed:
        return narrowed
    return values.astype(np.float64) if values.dtype.kind == "b" else values


def _narrowed(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """The numbers rounded to the item type of the field.

    Raises:
        ValueError: a finite number is beyond the range of the type.
    """
    dtype = spec.numpy_dtype
    if values.dtype == dtype:
        return values
    if values.dtype.kind == "f":
        narrowed = narrow(widen(values), dtype)
    else:
        with np.errstate(over="ignore"):
            narrowed = values.astype(dtype)
    bad = np.isinf(narrowed) & np.isfinite(values)
    if bad.any():
        largest = float(np.finfo(dtype).max)
        raise wrong_item(spec, f"a number within [-{largest:.8g}, {largest:.8g}]", values, bad)
    return narrowed


def _objects_to_floats(spec: FieldSpec, values: NDArray[Any]) -> NDArray[np.float64]:
    doubles = [_exact_float(spec, item) for item in values.flat]
    return np.array(doubles, dtype=np.float64).reshape(values.shape)


def _exact_float(spec: FieldSpec, item: Any) -> float:
    """A number of any type as the nearest float. The bits of a NaN are kept."""
    if isinstance(item, float):
        return item
    if isinstance(item, (str, bytes, bytearray)):
        raise wrong_value(spec, "a number", item)
    if isinstance(item, np.floating) and item.dtype.itemsize <= 8:
        return float(widen(np.atleast_1d(np.asarray(item)))[0])
    if isinstance(item, (complex, np.complexfloating, np.floating)):
        raise wrong_type(spec, "a number of at most 64 bits", item)
    try:
        if isinstance(item, (int, np.integer, np.bool_, Decimal, Rational)):
            number = float(item)
            if math.isinf(number) and number != item:
                raise OverflowError
            return number
    except (OverflowError, ValueError) as error:
        raise wrong_value(spec, "a number within the range of a float64", item) from error
    if hasattr(item, "__float__") and not isinstance(item, np.generic):
        return float(_foreign_number(spec, "a number", item, float))
    raise wrong_type(spec, "a number", item)


# --- float16 and float32 ---


def _exponent_ones(size: int) -> int:
    """Bits of positive infinity."""
    return (1 << (8 * size - 1)) - (1 << _MANTISSA_BITS[size])


def widen(array: NDArray[Any]) -> NDArray[np.float64]:
    """Floats of 2, 4 or 8 bytes as float64, of any shape. The payloads of NaNs are kept."""
    size = array.dtype.itemsize
    if size == 8:
        return array
    with np.errstate(all="ignore"):
        doubles: NDArray[np.float64] = np.array(array, dtype=np.float64)
    nan = np.isnan(array)
    if nan.any():
        bits = array.view(_UNSIGNED[size])[nan].astype(np.uint64)
        sign = (bits >> (8 * size - 1)) << 63
        mantissa = bits & ((1 << _MANTISSA_BITS[size]) - 1)
        quiet = sign | 0x7FF0000000000000 | (mantissa << (52 - _MANTISSA_BITS[size]))
        doubles.view(np.uint64)[nan] = quiet
    return doubles


def narrow(doubles: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A new array of float64 rounded to `dtype`. A NaN keeps its sign and its top bits."""
    size = dtype.itemsize
    if size == 8:
        return np.array(doubles)
    with np.errstate(all="ignore"):
        narrowed = np.array(doubles, dtype=dtype)
    nan = np.isnan(doubles)
    if nan.any():
        bits = doubles.view(np.uint64)[nan]
        sign = (bits >> 63) << (8 * size - 1)
        mantissa = (bits & ((1 << 52) - 1)) >> (52 - _MANTISSA_BITS[size])
        mantissa[mantissa == 0] = 1 << (_MANTISSA_BITS[size] - 1)  # 0 would mean infinity
        kept = sign | _exponent_ones(size) | mantissa
        narrowed.view(_UNSIGNED[size])[nan] = kept.astype(_UNSIGNED[size])
    return narrowed
