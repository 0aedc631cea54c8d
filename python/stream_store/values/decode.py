"""Stored words as Python objects and arrays."""

from __future__ import annotations

from decimal import Decimal
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_store import _core
from stream_store.features import FieldSpec

from .numeric import narrow


def decode(spec: FieldSpec, words: NDArray[np.int64]) -> Any:
    """Convert the words of one field-write to the value that `row()` returns.

    Args:
        spec: the field.
        words: its stored words, a 1-D int64 array.

    Returns:
        A NumPy scalar, str, bytes or Decimal; a 1-D array for a list; an array of its shape for an
        array field; the objects of a nested cell; None for a field of dtype null. Arrays own their
        memory.

    Raises:
        ValueError: a field-write of this field cannot have this number of words.

    Examples:
        >>> from stream_store.features import parse_fields
        >>> from stream_store.values import decode
        >>> decode(parse_fields({"text": "string"})[0], np.array([104, 105]))
        'hi'
    """
    words = np.ascontiguousarray(words, dtype=np.int64)
    if spec.dtype == "nested" or (spec.packed and spec.is_ragged):
        return _decode_block(spec, words)
    _check_length(spec, words)
    if spec.dtype == "null":
        return None
    if spec.is_bytes:
        data = words.astype(np.uint8).tobytes()
        return data.decode("utf-8") if spec.dtype == "string" else data
    if spec.info.kind == "decimal":
        return _decode_decimal(spec, words)
    if spec.packed:
        return _unpack(spec, words)
    items = _items(spec, words)
    if not spec.shape:
        return items[0]
    return items.reshape(-1, *spec.item_shape) if spec.is_ragged else items.reshape(spec.shape)


def _check_length(spec: FieldSpec, words: NDArray[np.int64]) -> None:
    unit, fixed = spec.unit_words, spec.fixed_length
    if words.ndim != 1 or (words.size != fixed if fixed is not None else words.size % unit):
        expected = f"{fixed} values" if fixed is not None else f"a multiple of {unit} values"
        raise ValueError(
            f"field {spec.name!r} ({spec.text}): expected {expected}, "
            f"found an array of shape {words.shape}"
        )


def _decode_block(spec: FieldSpec, words: NDArray[np.int64]) -> Any:
    """A packed field of varying length, or a nested cell: the number of items, then their bytes."""
    size = 1 if spec.is_bytes or spec.dtype == "nested" else spec.info.item_bytes
    count = int(words[0]) if words.ndim == 1 and words.size else -1
    if count < 0 or words.size - 1 != -(-count * size // 8):
        raise ValueError(
            f"field {spec.name!r} ({spec.text}): expected the number of items and their bytes, "
            f"found {words.size} words that begin with {count}"
        )
    data = words[1:].astype("<i8", copy=False).view(np.uint8)[: count * size]
    if spec.dtype == "nested":
        return _core._decode_nested(spec.nested, spec.name, data.tobytes())
    if spec.is_bytes:
        return data.tobytes().decode("utf-8") if spec.dtype == "string" else data.tobytes()
    return _from_bytes(spec, data).reshape(-1, *spec.item_shape)


def _unpack(spec: FieldSpec, words: NDArray[np.int64]) -> NDArray[Any]:
    data = words.astype("<i8", copy=False).view(np.uint8)
    return _from_bytes(spec, data[: prod(spec.shape) * spec.info.item_bytes]).reshape(spec.shape)


def _from_bytes(spec: FieldSpec, data: NDArray[np.uint8]) -> NDArray[Any]:
    dtype = spec.numpy_dtype
    if dtype.kind == "b":
        return np.asarray(data != 0)
    items: NDArray[Any] = data.view(dtype.newbyteorder("<")).astype(dtype)
    return items


def decode_words(spec: FieldSpec, values: ArrayLike) -> NDArray[Any]:
    """Convert raw values to the field's own dtype, as `StreamStore.decode` does.

    Args:
        spec: the field.
        values: int64 values of any shape, from anywhere inside its field-writes.

    Returns:
        A new array of the same shape; uint8 for text and bytes.

    Raises:
        ValueError: the field is packed, nested, a decimal or null: a single word is not one of its
            items.
        TypeError: `values` are not int64.

    Examples:
        >>> from stream_store.features import parse_fields
        >>> from stream_store.values import decode_words
        >>> decode_words(parse_fields({"day": "date32"})[0], [2])
        array(['1970-01-03'], dtype='datetime64[D]')
    """
    if spec.packed or spec.info.kind in ("decimal", "null", "nested"):
        raise ValueError(
            f"field {spec.name!r} ({spec.text}): expected a field whose values are its items; "
            "read whole rows instead, with row() or read_rows()"
        )
    words = np.asarray(values)
    if words.dtype.kind not in "iu" and words.size:
        raise TypeError(f"values: expected int64, found {words.dtype}")
    if words.dtype == np.uint64:
        words = words.view(np.int64)
    return _items(spec, words.astype(np.int64, copy=False))


def _items(spec: FieldSpec, words: NDArray[np.int64]) -> NDArray[Any]:
    """A new array of int64 words of any shape as items of the field's dtype."""
    dtype = spec.numpy_dtype
    if dtype.kind == "f":
        return narrow(words.view(np.float64), dtype)
    if dtype.kind in "Mm":
        return words.copy().view(dtype)
    if dtype.kind == "b":
        return np.asarray(words != 0)
    return words.astype(dtype)


def _decode_decimal(spec: FieldSpec, words: NDArray[np.int64]) -> Decimal:
    _, scale = spec.decimal or (0, 0)
    return decimal_of(int.from_bytes(words.astype("<i8").tobytes(), "little", signed=True), scale)


def decimal_of(unscaled: int, scale: int) -> Decimal:
    """The Decimal of ``unscaled / 10**scale``, with that scale: ``Decimal("1.20")`` at scale 2."""
    digits = tuple(map(int, str(abs(unscaled))))
    return Decimal((int(unscaled < 0), digits, -scale))
