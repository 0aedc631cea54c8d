"""The text of values of the feature Json."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import numpy as np

_LOWEST, _BEYOND = -(2**63), 2**64  # the integers that the reader of `datasets` accepts
_LONG_NUMBER = r"\d{19}"


def json_text(value: Any) -> str:
    """The text that is stored for an object: text that is JSON as it is, else the object as JSON.

    `datasets.Json` decides in the same way, but its encoder rounds floats to ten digits, and turns
    objects that it does not know into ``{}``. Here, floats are exact, and dates are ISO texts.

    A text is therefore ambiguous: the str ``"1"`` is JSON, is stored as it is, and reads back as
    the number 1, while ``"one"`` is stored in quotes. Pass ``json.dumps(text)`` to store any text
    as a JSON string. The same is true of `datasets`.

    The reader of `datasets` takes no integer outside [-2**63, 2**64). An object with such a number
    is refused; a text with one is not JSON to `datasets`, and is stored in quotes.

    Args:
        value: any object that JSON can represent; also NumPy scalars and arrays.

    Raises:
        ValueError: a number is not finite or beyond 64 bits, or lists are too deep or contain
            themselves.
        TypeError: JSON has no such type.

    Examples:
        >>> import json
        >>> from stream_store.values.json_text import json_text
        >>> json_text('{"a": 1}'), json_text([0.1, None])
        ('{"a": 1}', '[0.1,null]')
        >>> json_text("1"), json_text("one"), json_text(json.dumps("1"))
        ('1', '"one"', '"1"')
    """
    try:
        if isinstance(value, str) and _is_json(value):
            return value
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)
        _check_numbers(text)
        return text
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse_constant)
        _check_numbers(text)
    except ValueError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python reads although JSON has no such number


def _check_numbers(text: str) -> None:
    """Refuse numbers that the reader of `datasets` calls too big or too small.

    It reads the digits before the point or exponent as one integer.
    """
    if re.search(_LONG_NUMBER, text):  # else every number fits
        json.loads(text, parse_int=_check_number, parse_float=_check_number)


def _check_number(digits: str) -> None:
    whole = re.split("[.eE]", digits, maxsplit=1)[0]
    if len(whole) > 20 or not _LOWEST <= int(whole) < _BEYOND:
        shown = digits if len(digits) <= 40 else digits[:40] + "…"
        raise ValueError(f"expected integers in [-2**63, 2**64), found {shown}")


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if hasattr(value, "as_py"):
        return value.as_py()
    raise TypeError(f"JSON has no type for {type(value).__name__}")
