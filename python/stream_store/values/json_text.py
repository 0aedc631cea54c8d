"""The text of values of the feature Json."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np


def json_text(value: Any) -> str:
    """The text that is stored for an object: text that is JSON as it is, else the object as JSON.

    `datasets.Json` decides in the same way, but its encoder rounds floats to ten digits, and turns
    objects that it does not know into ``{}``. Here, floats are exact, and dates are ISO texts.

    Args:
        value: any object that JSON can represent; also NumPy scalars and arrays.

    Raises:
        ValueError: a number is not finite, or lists are too deep or contain themselves.
        TypeError: JSON has no such type.

    Examples:
        >>> from stream_store.values.json_text import json_text
        >>> json_text('{"a": 1}'), json_text([0.1, None])
        ('{"a": 1}', '[0.1,null]')
    """
    try:
        if isinstance(value, str) and _is_json(value):
            return value
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python reads although JSON has no such number


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if hasattr(value, "as_py"):
        return value.as_py()
    raise TypeError(f"JSON has no type for {type(value).__name__}")
