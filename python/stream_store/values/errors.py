"""Messages of refused values: field, feature, what was expected, what was found."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np

from stream_store.features import FieldSpec

_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = 60


def short(value: object) -> str:
    """A value in at most a line, whatever its `repr` does."""
    if isinstance(value, np.ndarray):
        dtype = "" if value.dtype == object else f" and dtype {value.dtype}"
        return f"an array of shape {value.shape}{dtype}"
    if isinstance(value, np.generic):
        return f"{value!s:.60} ({type(value).__name__})"
    try:
        text = _REPR.repr(value)
    except ValueError:  # an int of thousands of digits
        text = "a huge value"
    return text if isinstance(value, (int, float)) else f"{text} ({type(value).__name__})"


def wrong_value(spec: FieldSpec, expected: str, value: object) -> ValueError:
    """The right kind of object, but not a value of this field."""
    return ValueError(
        f"field {spec.name!r} ({spec.text}): expected {expected}, found {short(value)}"
    )


def wrong_type(spec: FieldSpec, expected: str, value: object) -> TypeError:
    """An object that no field of this feature takes."""
    return TypeError(
        f"field {spec.name!r} ({spec.text}): expected {expected}, found {short(value)}"
    )


def wrong_item(spec: FieldSpec, expected: str, array: np.ndarray[Any, Any], bad: Any) -> ValueError:
    """Names the first item of `array` where the mask `bad` is true."""
    flat = np.ravel(array)
    place = int(np.argmax(np.ravel(bad)))
    where = f" at {place} of {flat.size}" if flat.size > 1 else ""
    return ValueError(
        f"field {spec.name!r} ({spec.text}): expected {expected}, found {short(flat[place])}{where}"
    )
