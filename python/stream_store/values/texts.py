"""Strings and binaries: their bytes, one value each."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_store.features import FieldSpec

from .arrays import as_array
from .errors import wrong_type, wrong_value


def encode_bytes(spec: FieldSpec, value: Any) -> bytes:
    """The bytes of a text or binary value.

    A string field takes `str`, and bytes that are UTF-8; a binary one bytes-like objects. Both take
    what `decode` gives for them, a 1-D uint8 array.

    Raises:
        ValueError: no UTF-8, the wrong length for a fixed size, a text for a binary field.
        TypeError: something that is neither.
    """
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


def _single(spec: FieldSpec, value: Any) -> Any:
    """The one item of a list or of an array of texts: a scalar field takes shape (1,) too."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return value[0]
    if not isinstance(value, np.ndarray) or value.shape not in ((), (1,)):
        return value
    if value.dtype.kind == "V" or (value.dtype.kind == "S" and spec.dtype == "fixed_binary"):
        return value.tobytes()  # whole: item() would drop trailing zeros
    return value.item() if value.dtype.kind in "USTO" else value


def _bytes_of(spec: FieldSpec, value: Any) -> bytes:
    expected = "a str" if spec.dtype == "string" else "bytes"
    if isinstance(value, str):
        if spec.dtype != "string":
            raise wrong_value(spec, f"{expected} (text.encode() makes them)", value)
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            where = f"no lone surrogate at {error.start}"
            raise wrong_value(spec, f"a str that UTF-8 can hold, {where}", value) from None
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
