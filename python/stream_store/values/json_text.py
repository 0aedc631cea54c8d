"""The text of values of the feature Json."""

from __future__ import annotations

import importlib
import json
from typing import Any


def json_text(value: Any) -> str:
    """The text that is stored for an object: text that is JSON as it is, else the object as JSON.

    These are the rules of `datasets.Json`. Its own encoder is used if it is installed, because it
    knows dates and other types.

    Args:
        value: any object that JSON can represent.

    Raises:
        TypeError: JSON has no such type.

    Examples:
        >>> from stream_store.values.json_text import json_text
        >>> json_text('{"a": 1}'), json_text([1, None])
        ('{"a": 1}', '[1,null]')
    """
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return json.dumps(value)
        return value
    try:
        text: str = importlib.import_module("datasets").Json().encode_example(value)
    except ImportError:
        return json.dumps(value, separators=(",", ":"))
    return text
