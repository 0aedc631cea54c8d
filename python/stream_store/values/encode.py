"""Python objects in the form that the append of the core takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store import _core
from stream_store.features import FieldSpec

from .arrays import as_array, fit_shape, wrong_type, wrong_value
from .json_text import json_text
from .numeric import convert_numbers
from .temporal import convert_temporal


def encode(spec: FieldSpec, value: Any) -> NDArray[Any] | bytes:
    """Convert one field's value at one step to a form that the core can copy.

    Args:
        spec: the field.
        value: numbers, lists, arrays of any library, dates, decimals, text, names of classes.

    Returns:
        The flattened items as a C-contiguous 1-D array in the machine's byte order: bool, int, uint
        or float for numbers; a packed field's in its item dtype; int64 counts for dates and times;
        two or four int64 words for a decimal; `bytes` for text and binary, and the block of a
        nested cell.

    Raises:
        ValueError: the value is not valid; the message names field, feature and value.
        TypeError: the field does not take objects of this type.

    May run code of `value` (``__array__``, ``__index__``), but changes no store meanwhile.

    Examples:
        >>> from stream_store.features import parse_fields
        >>> from stream_store.values import encode
        >>> encode(parse_fields({"when": "timestamp[s]"})[0], np.datetime64("1970-01-02"))
        array([86400])
    """
    if value is None:
        raise wrong_value(spec, "a value (leave a missing field out of the step)", value)
    kind = spec.info.kind
    if kind == "null":
        raise wrong_value(spec, "no value, because the dtype is null", value)
    if kind == "nested":
        return _core._encode_nested(spec.nested, spec.name, value)
    if kind == "bytes":
        return bytes_of_text(spec, value)
    if kind == "decimal":
        return _encode_decimal(spec, value)
    return np.ascontiguousarray(convert_array(spec, fit_shape(spec, as_array(spec, value))))


def convert_array(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """Check numbers, dates or times of a column, and convert them to a dtype that the core takes.

    Args:
        spec: the field.
        values: an array of any shape, which is not compared with that of the field.

    Returns:
        An array of the same shape.

    Raises:
        ValueError: a value is not valid for the field.
        TypeError: the field does not take values of this dtype.

    Examples:
        >>> from stream_store.features import parse_fields
        >>> from stream_store.values import convert_array
        >>> convert_array(parse_fields({"day": "date32"})[0], np.array(["1970-01-03"], "M8[D]"))
        array([2])
    """
    return convert_numbers(spec, values) if spec.unit is None else convert_temporal(spec, values)


# --- strings and binaries: one value per byte ---


def bytes_of_text(spec: FieldSpec, value: Any) -> bytes:
    """The bytes of a text or binary value.

    A string field takes `str`, and bytes in UTF-8; a binary field takes bytes-like objects. Both
    take a 1-D uint8 array, the result of `StreamStore.decode`.

    Raises:
        ValueError: the bytes are not UTF-8, or have not the fixed length; or a binary field got a
            text.
        TypeError: the value is neither text nor bytes.
    """
    if spec.dtype == "string" and '"Json"' in spec.feature_json:
        value = _json_text(spec, value)
    data = _bytes_of(spec, _single(spec, value))
    if spec.dtype == "string":
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise wrong_value(
                spec, f"UTF-8 ({error.reason} at byte {error.start})", value
            ) from None
    if spec.dtype == "fixed_binary" and len(data) != spec.shape[0]:
        raise wrong_value(spec, f"{spec.shape[0]} bytes", value)
    return data


def _json_text(spec: FieldSpec, value: Any) -> str:
    try:
        return json_text(value)
    except ValueError as error:
        raise wrong_value(spec, f"a value for JSON ({error})", value) from None
    except TypeError as error:
        raise wrong_type(spec, f"a value for JSON ({error})", value) from None


def _single(spec: FieldSpec, value: Any) -> Any:
    """The item of a list or array of one text, because a scalar field also takes shape (1,)."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return value[0]
    if not isinstance(value, np.ndarray) or value.shape not in ((), (1,)):
        return value
    if value.dtype.kind == "V" or (value.dtype.kind == "S" and spec.dtype == "fixed_binary"):
        return value.tobytes()  # item() would remove trailing zeros
    return value.item() if value.dtype.kind in "USTO" else value


def _bytes_of(spec: FieldSpec, value: Any) -> bytes:
    expected = "a str" if spec.dtype == "string" else "bytes"
    if isinstance(value, str):
        if spec.dtype != "string":
            raise wrong_value(spec, f"{expected} (use text.encode())", value)
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            where = f"no lone surrogate at {error.start}"
            raise wrong_value(spec, f"a str that UTF-8 can represent, {where}", value) from None
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, np.void):
        return value.tobytes()
    if isinstance(value, memoryview) and value.itemsize == 1:
        return value.tobytes()
    if value is None or isinstance(value, (int, float, dict, set, list, tuple)):
        raise wrong_type(spec, expected, value)
    array = as_array(spec, value)
    if array.dtype != np.uint8 or array.ndim != 1:
        raise wrong_type(spec, f"{expected} or a 1-D uint8 array", value)
    return array.tobytes()


# --- decimals: exact integers of a fixed scale, in two or four words, the lowest first ---


def _encode_decimal(spec: FieldSpec, value: Any) -> NDArray[np.int64]:
    """A Decimal or int as the words of ``value * 10**scale`` in two's complement.

    Raises:
        ValueError: the value is not exact at the field's scale, has more digits than its precision,
            or is not finite.
        TypeError: the value is not a number, or is a float, which is rarely an exact decimal.
    """
    item = fit_shape(spec, as_array(spec, value))[0]
    unscaled = unscaled_decimal(spec, item, spec.decimal or (0, 0))
    words = np.frombuffer(
        unscaled.to_bytes(spec.info.item_bytes, "little", signed=True), dtype="<i8"
    )
    return words.astype(np.int64)


def unscaled_decimal(spec: FieldSpec, item: Any, digits: tuple[int, int]) -> int:
    """``item * 10**scale`` of a Decimal or int.

    Args:
        spec: the field, for messages.
        item: one number.
        digits: the precision and the scale.

    Raises:
        ValueError: the number is not exact at the scale, has more digits than the precision, or is
            not finite.
        TypeError: the value is not a number, or is a float, which is rarely an exact decimal.
    """
    expected = "a Decimal or an int"
    if isinstance(item, (str, bytes)):
        raise wrong_value(spec, f"{expected} (use Decimal(text))", item)
    if isinstance(item, (float, np.floating)):
        raise wrong_type(spec, f"{expected} (use Decimal(str(x)))", item)
    if isinstance(item, (int, np.integer, np.bool_)):
        item = Decimal(int(item))
    if not isinstance(item, Decimal):
        raise wrong_type(spec, expected, item)
    return _unscaled(spec, item, *digits)


def _unscaled(spec: FieldSpec, item: Decimal, precision: int, scale: int) -> int:
    sign, digits, exponent = item.as_tuple()
    if not isinstance(exponent, int):
        raise wrong_value(spec, "a finite number", item)
    if len(digits) > 1000:
        raise wrong_value(spec, f"at most {precision} digits", item)
    number = int("".join(map(str, digits)) or "0")
    shift = exponent + scale
    if number == 0:
        return 0
    if shift < -len(digits):
        raise wrong_value(spec, f"a number exact at scale {scale}", item)
    if shift > precision:
        raise wrong_value(spec, f"at most {precision} digits", item)
    power: int = 10 ** abs(shift)
    if shift < 0 and number % power:
        raise wrong_value(spec, f"a number exact at scale {scale}", item)
    number = number * power if shift >= 0 else number // power
    if number >= 10**precision:
        raise wrong_value(spec, f"at most {precision} digits", item)
    return -number if sign else number
