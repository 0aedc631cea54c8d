"""Helpers of the tests of values: a field from its string, and a model of the stored words."""

from __future__ import annotations

import numpy as np

from stream_store.features import FieldSpec, parse_fields
from stream_store.values import decode, encode
from stream_store.values.numeric import widen


def field(feature: str) -> FieldSpec:
    (spec,) = parse_fields({"x": feature})
    return spec


def words_of(spec: FieldSpec, value: object) -> np.ndarray:
    """The stored words of a value: a model of the rules of the core, one item at a time."""
    encoded = encode(spec, value)
    if spec.dtype == "nested" or (spec.packed and spec.is_ragged):
        data = encoded if isinstance(encoded, bytes) else encoded.tobytes()
        count = len(encoded)
        return np.frombuffer(
            count.to_bytes(8, "little") + data + b"\0" * (-len(data) % 8), dtype="<i8"
        )
    if isinstance(encoded, bytes):
        return np.array(list(encoded), dtype=np.int64)
    assert encoded.ndim == 1
    assert encoded.flags.c_contiguous
    assert encoded.dtype.isnative
    if spec.packed:
        data = encoded.tobytes()
        return np.frombuffer(data + b"\0" * (-len(data) % 8), dtype="<i8")
    if spec.info.kind == "float":
        doubles = widen(encoded) if encoded.dtype.kind == "f" else encoded.astype(np.float64)
        return doubles.view(np.int64)
    assert encoded.dtype.kind in "biu"
    return np.array([int(item) % 2**64 for item in encoded], dtype=np.uint64).view(np.int64)


def round_trip(feature: str, value: object) -> object:
    spec = field(feature)
    return decode(spec, words_of(spec, value))


def same(a: object, b: object) -> bool:
    """Whether two values are equal in type, dtype, shape and bits."""
    if isinstance(a, (np.ndarray, np.generic)):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b
