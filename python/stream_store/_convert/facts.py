"""Facts: values that an episode has once, such as attributes, as fields of its first row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TEXT, _JSON, _BYTES = "packed string", "packed large_string", "packed binary"
_TEXTS = "nested list<string>"


def fact_feature(values: Sequence[Any]) -> str:
    """The feature that takes all values of a fact; JSON text if no other does.

    Examples:
        >>> from stream_store._convert.facts import fact_feature
        >>> fact_feature([1, 2]), fact_feature([1, 2.5]), fact_feature(["a"])
        ('int64', 'float64', 'packed string')
    """
    values = [value for value in values if value is not None]
    features = {_feature(value) for value in values}
    if len(features) == 1:
        return features.pop()
    if all(isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in values):
        low, high = min(map(int, values)), max(map(int, values))
        if low >= 0 and high < 2**64:
            return "uint64" if high >= 2**63 else "int64"
    dtypes = [np.asarray(value).dtype for value in values]
    scalars = all(np.ndim(value) == 0 for value in values)
    if dtypes and scalars and all(dtype.kind in "iuf" for dtype in dtypes):
        both = np.result_type(*dtypes)
        if all(_fits(value, both) for value in values):
            return both.name
    return _JSON


def _fits(value: Any, dtype: np.dtype[Any]) -> bool:
    array = np.asarray(value)
    return np.array_equal(array.astype(dtype), array, equal_nan=dtype.kind == "f")


def _feature(value: Any) -> str:
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, (bytes, np.void)):
        return _BYTES
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**63 else "uint64" if 0 < value < 2**64 else _JSON
    if isinstance(value, float):
        return "float64"
    if isinstance(value, (np.ndarray, np.generic)):
        return _array_feature(np.asarray(value))
    if isinstance(value, (list, tuple)) and value and all(isinstance(one, str) for one in value):
        return _TEXTS
    return _JSON


def _array_feature(value: NDArray[Any]) -> str:
    if value.dtype.kind in "OSUT":
        return _TEXTS if value.ndim == 1 and all(_is_text(one) for one in value) else _JSON
    numbers = value.dtype.kind in "biu" or (value.dtype.kind == "f" and value.dtype.itemsize <= 8)
    if not numbers or (value.ndim > 1 and not value.size):
        return _JSON
    name = str(value.dtype.newbyteorder("=").name)
    if value.ndim == 0:
        return name
    if value.ndim == 1:
        return f"{name}[]"
    packed = "packed " if value.dtype.itemsize <= 4 and value.dtype.kind != "b" else ""
    return f"{packed}{name}[{','.join(map(str, value.shape))}]"


def _is_text(value: Any) -> bool:
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    return isinstance(value, (str, bytes))


def fact_value(value: Any, feature: str) -> Any:
    """A value in a form that a field with the feature takes."""
    if feature == _TEXTS:
        return [one.decode() if isinstance(one, bytes) else str(one) for one in value]
    if feature == _BYTES:
        return bytes(value)
    if feature == _JSON:
        return json.dumps(_plain(value), ensure_ascii=False)
    return value


def _plain(value: Any) -> Any:
    """A value as objects that JSON has; texts for all others."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
