"""Values inside the cells of nested fields that the C++ side leaves to Python.

C++ walks through a cell and converts exact ints, floats, bools, texts, bytes, lists of them, and
NumPy arrays. It calls this module for all other objects: with `leaf` it gets the functions of a
leaf type, which apply the rules of the flat field of that type; the other functions return the
items of lists, maps and structs as built-in lists and dicts. `place` is the beginning of an error's
message, ``"field 'chat' (nested list<…>): chat[3].role"``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec
from stream_store.features.dtypes import DTYPES
from stream_store.features.nodes import value_json

from .arrays import (
    as_array,
    foreign_array,
    is_missing,
    listed,
    short,
    user_code,
    wrong_type,
    wrong_value,
)
from .decode import decimal_of
from .encode import bytes_of_text, convert_array, unscaled_decimal
from .numeric import exact_int

_BY_FORMAT = {info.arrow_format: name for name, info in DTYPES.items() if info.arrow_format}
_BY_FORMAT |= {"U": "string", "vu": "string", "Z": "binary", "vz": "binary"}


@dataclass(frozen=True)
class Leaf:
    """The conversions of one leaf type.

    Attributes:
        dtype: NumPy dtype of the items, or None if arrays of them are converted one by one.
        encode: (value, place) -> int, bytes of the item or text, or None for a null of another
            library.
        decode: (bytes of the item) -> value; of decimals and intervals only.
        convert: (1-D array) -> array of items, or None if an item is not valid.
    """

    dtype: np.dtype[Any] | None
    encode: Callable[[Any, str], Any]
    decode: Callable[[bytes], Any] | None = None
    convert: Callable[[NDArray[Any]], NDArray[Any] | None] | None = None


@lru_cache(maxsize=1024)
def leaf(arrow_format: str) -> Leaf:
    """The conversions of a format of the Arrow C data interface, such as ``"tsu:UTC"``.

    Args:
        arrow_format: that of a type without children other than null.

    Examples:
        >>> from stream_store.values.nested import leaf
        >>> leaf("i").encode(7.0, "x[0]")
        7
    """
    if arrow_format.startswith("d:"):
        return _decimal_leaf(arrow_format)
    if arrow_format.startswith("ti"):
        return _interval_leaf(arrow_format)
    if arrow_format.startswith("w:"):
        return _fixed_binary_leaf(int(arrow_format[2:]))
    name = arrow_format if arrow_format in _BY_FORMAT else arrow_format.partition(":")[0] + ":"
    spec = _spec(_BY_FORMAT[name])
    if spec.is_bytes:
        return Leaf(None, _placed(spec, lambda value: _text(spec, value)))
    size = spec.info.bits // 8 or 1
    layout = spec.numpy_dtype if spec.unit is None else np.dtype(f"i{size}")

    def convert(values: NDArray[Any]) -> NDArray[Any] | None:
        try:
            return np.ascontiguousarray(convert_array(spec, values).astype(layout, copy=False))
        except (ValueError, TypeError):
            return None

    def encode(value: Any) -> int | bytes:
        item = convert_array(spec, _single(spec, value)[None])
        return item.tobytes() if spec.info.kind == "float" else int(item[0])

    return Leaf(spec.numpy_dtype, _placed(spec, encode), None, convert)


def _spec(dtype: str, shape: tuple[int, ...] = (), value: str = "") -> FieldSpec:
    """A field of the type of a leaf. Numbers are packed, so that they are converted to the type."""
    text = json.dumps(value_json(value or DTYPES[dtype].value))
    packed = DTYPES[dtype].kind in ("bool", "int", "uint", "float")
    return FieldSpec("", ("",), dtype, shape, packed, text)


def _placed(spec: FieldSpec, convert: Callable[[Any], Any]) -> Callable[[Any, str], Any]:
    """`convert` with errors that begin with the place instead of the name of the field."""
    prefix = f"field {spec.name!r} ({spec.text}): "

    def encode(value: Any, place: str) -> Any:
        value = _plain(value)
        if value is None:
            return None
        try:
            return convert(value)
        except (ValueError, TypeError) as error:
            kind = ValueError if isinstance(error, ValueError) else TypeError
            reason = str(error).removeprefix(prefix).replace(", found ", " but found ", 1)
            raise kind(f"{place}: {reason}") from error.__cause__

    return encode


def _plain(value: Any) -> Any:
    """A scalar of pyarrow as an object of Python, NA of pandas as None; others as they are."""
    if is_missing(value):
        return None
    return value.as_py() if hasattr(value, "as_py") else value


def _single(spec: FieldSpec, value: Any) -> NDArray[Any]:
    array = None if isinstance(value, (list, tuple)) else as_array(spec, value)
    if array is None or array.ndim:
        raise wrong_type(spec, "a single value", value)
    return array


# --- texts, decimals, intervals ---


def _text(spec: FieldSpec, value: Any) -> bytes:
    is_list = isinstance(value, (list, tuple))
    if is_list or (isinstance(value, np.ndarray) and value.ndim and value.dtype != np.uint8):
        raise wrong_type(spec, "a str" if spec.dtype == "string" else "bytes", value)
    return bytes_of_text(spec, value)


def _fixed_binary_leaf(size: int) -> Leaf:
    spec = _spec("fixed_binary", (size,), f"fixed_size_binary[{size}]")
    encode = _placed(spec, lambda value: _text(spec, value))
    if size == 0:
        return Leaf(None, encode)

    def convert(values: NDArray[Any]) -> NDArray[Any] | None:
        """The items of an array of bytes with their trailing zeros, which scalars lose."""
        fits = values.dtype.kind in "SV" and values.dtype.itemsize == size
        return np.ascontiguousarray(values).view(f"V{size}") if fits else None

    return Leaf(np.dtype(f"V{size}"), encode, None, convert)


def _decimal_leaf(arrow_format: str) -> Leaf:
    precision, scale, bits = ([int(part) for part in arrow_format[2:].split(",")] + [128])[:3]
    spec = _spec("decimal256" if bits == 256 else "decimal128", (), f"decimal128({precision}, 0)")
    digits = (precision, scale)

    def encode(value: Any) -> bytes:
        item = _single(spec, value)[()]
        return unscaled_decimal(spec, item, digits).to_bytes(bits // 8, "little", signed=True)

    def decode(item: bytes) -> Decimal:
        return decimal_of(int.from_bytes(item, "little", signed=True), scale)

    return Leaf(None, _placed(spec, encode), decode)


_INTERVALS = {
    "tiM": ("a number of months", (32,)),
    "tiD": ("a pair (days, milliseconds)", (32, 32)),
    "tin": ("a triple (months, days, nanoseconds)", (32, 32, 64)),
}


def _interval_leaf(arrow_format: str) -> Leaf:
    """Intervals are tuples of ints, as pyarrow.MonthDayNano is; those of months are ints."""
    expected, bits = _INTERVALS[arrow_format]
    spec = _spec("int64")

    def encode(value: Any) -> bytes:
        parts = (value,) if len(bits) == 1 else value
        if not isinstance(parts, (tuple, list)) or len(parts) != len(bits):
            raise wrong_type(spec, expected, value)
        numbers = [exact_int(spec, part, expected) for part in parts]
        for number, width in zip(numbers, bits, strict=True):
            if not -(2 ** (width - 1)) <= number < 2 ** (width - 1):
                raise wrong_value(spec, f"{expected} within its range", value)
        parts_bytes = zip(numbers, bits, strict=True)
        return b"".join(
            number.to_bytes(width // 8, "little", signed=True) for number, width in parts_bytes
        )

    def decode(item: bytes) -> Any:
        numbers: list[int] = []
        for width in bits:
            numbers.append(int.from_bytes(item[: width // 8], "little", signed=True))
            item = item[width // 8 :]
        return tuple(numbers) if len(numbers) > 1 else numbers[0]

    return Leaf(None, _placed(spec, encode), decode)


# --- lists, maps and structs ---


def items(value: Any, place: str) -> list[Any] | tuple[Any, ...] | NDArray[Any] | None:
    """The items of a list of any kind; None for a null of another library.

    Args:
        value: a sequence, an array or tensor of any library, or any iterable with a length.
        place: for messages.

    Raises:
        TypeError: the object is not a list.

    Examples:
        >>> from stream_store.values.nested import items
        >>> items(range(3), "x")
        [0, 1, 2]
    """
    if is_missing(value):
        return None
    if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "isna"):
        return _pandas_items(value, place)
    for name in ("as_py", "to_pylist", "to_list"):  # pyarrow, and polars and pandas, with nulls
        if hasattr(value, name):
            plain = getattr(value, name)()
            if plain is None or isinstance(plain, (list, np.ndarray)):
                return plain
            raise _refused("a list", value, place)
    if isinstance(value, np.ma.MaskedArray):
        masked: list[Any] = value.tolist()
        return masked
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if isinstance(value, (str, bytes, bytearray, np.generic, Mapping, AbstractSet)):
        raise _refused("a list", value, place)
    array = foreign_array(value, place)
    if array is not None:
        return array
    if isinstance(value, Sized) and hasattr(value, "__iter__"):
        return listed(value, place)
    raise _refused("a list", value, place)


def _pandas_items(value: Any, place: str) -> list[Any]:
    """The items of an array or Series of pandas, with None for its null.

    The null is NA, or NaN in a dtype of texts. In a column of floats, NaN is a value.
    """
    found = listed(value, place)
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "") == "O" and hasattr(dtype, "na_value"):
        nulls = [bool(null) for null in value.isna()]
        return [None if null else item for item, null in zip(found, nulls, strict=True)]
    return [None if is_missing(item) else item for item in found]


def entries(value: Any, place: str) -> list[Any] | None:
    """The entries of a map as pairs; None for a null of another library.

    Args:
        value: a mapping, or a list of pairs or of entries.
        place: for messages.

    Raises:
        TypeError: the object is neither.

    Examples:
        >>> from stream_store.values.nested import entries
        >>> entries({"a": 1}, "x")
        [('a', 1)]
    """
    value = _plain(value)
    if value is None:
        return None
    if isinstance(value, Mapping):
        return user_code(lambda: list(value.items()), value, place)
    if isinstance(value, (str, bytes, bytearray, np.generic)):
        raise _refused("a dict or a list of pairs", value, place)
    pairs = items(value, place)
    if pairs is None:
        return None
    plain = [_plain(pair) for pair in pairs]
    return [
        tuple(pair)
        if isinstance(pair, (list, np.ndarray))
        else dict(pair)
        if isinstance(pair, Mapping)
        else pair
        for pair in plain
    ]


def mapping(value: Any, place: str) -> dict[Any, Any] | None:
    """The fields of a struct as a dict; None for a null of another library.

    Args:
        value: a mapping, a scalar of pyarrow, or an item of a structured array.
        place: for messages.

    Raises:
        TypeError: the object is not one of these.

    Examples:
        >>> from stream_store.values.nested import mapping
        >>> mapping({"a": 1}, "x")
        {'a': 1}
    """
    value = _plain(value)
    if value is None:
        return None
    if isinstance(value, Mapping):
        return user_code(lambda: dict(value), value, place)
    if isinstance(value, np.void) and value.dtype.names:
        return {name: value[name] for name in value.dtype.names}
    raise _refused("a dict", value, place)


def require_known(found: Mapping[Any, Any], names: Sequence[str], place: str) -> None:
    """Check that a struct has no other keys than its fields.

    Args:
        found: the struct.
        names: its fields.
        place: for messages.

    Raises:
        ValueError: a key is not the name of a field.

    Examples:
        >>> from stream_store.values.nested import require_known
        >>> require_known({"a": 1}, ("a", "b"), "x")
    """
    for name in found:
        if name not in names:
            known = ", ".join(names[:12]) or "none"
            raise ValueError(f"{place}: unknown key {name!r} in a struct; its fields are {known}")


def _refused(expected: str, value: Any, place: str) -> TypeError:
    return TypeError(f"{place}: expected {expected} but found {short(value)}")
