"""Stored words back to what was appended."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_store.features import FieldSpec

from .decimals import decode_decimal
from .floats import narrow


def decode(spec: FieldSpec, words: NDArray[np.int64]) -> Any:
    """The value of one field-write, as `row()` gives it.

    Args:
        spec: the field.
        words: its stored words, a 1-D int64 array.

    Returns:
        A NumPy scalar, str, bytes or Decimal; a 1-D array for a list, an array in its shape. Arrays
        own their memory. None for a field that never has a value.

    Raises:
        ValueError: as many words cannot be a field-write of this field.
    """
    words = np.ascontiguousarray(words, dtype=np.int64)
    _check_length(spec, words)
    if spec.dtype == "null":
        return None
    if spec.is_bytes:
        data = words.astype(np.uint8).tobytes()
        return data.decode("utf-8") if spec.dtype == "string" else data
    if spec.info.kind == "decimal":
        return decode_decimal(spec, words)
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


def _unpack(spec: FieldSpec, words: NDArray[np.int64]) -> NDArray[Any]:
    dtype, size = spec.numpy_dtype, spec.info.item_bytes
    data = words.astype("<i8", copy=False).view(np.uint8)[: prod(spec.shape) * size]
    if dtype.kind == "b":
        return np.asarray(data != 0).reshape(spec.shape)
    return data.view(dtype.newbyteorder("<")).astype(dtype).reshape(spec.shape)


def decode_words(spec: FieldSpec, values: ArrayLike) -> NDArray[Any]:
    """Raw values as the field's own dtype: the public ``decode(values, field)``.

    Args:
        spec: the field.
        values: int64 values of any shape, from anywhere inside its field-writes.

    Returns:
        A new array of the same shape; uint8 for text and bytes.

    Raises:
        ValueError: the field is packed, a decimal or null: a word alone is none of its items.
        TypeError: `values` are no int64.
    """
    if spec.packed or spec.info.kind in ("decimal", "null"):
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
    """int64 words of any shape as items of the field's dtype; always a new array."""
    dtype = spec.numpy_dtype
    if dtype.kind == "f":
        return narrow(words.view(np.float64), dtype)
    if dtype.kind in "Mm":
        return words.copy().view(dtype)
    if dtype.kind == "b":
        return np.asarray(words != 0)
    return words.astype(dtype)
