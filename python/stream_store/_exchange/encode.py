"""The features of `datasets` that turn a Python object into something else before it is stored.

A media feature accepts images, arrays, paths and bytes, and stores a struct of bytes and path; a
ClassLabel accepts names; Json stores text. The rules are those of append (values/media.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from stream_store.values import media

from .optional import require

_KINDS = media.MEDIA | {"ClassLabel", "Json", "TranslationVariableLanguages"}
FILE = frozenset({"bytes", "path"})  # the fields of a media feature


def encoder_of(feature: Any) -> Callable[[Any], Any] | None:
    """The function that encodes one value of this feature, or None if it is stored as it is."""
    if type(feature).__name__ not in _KINDS:
        return None
    node = require("datasets", "the import of rows").Features({"x": feature}).to_dict()["x"]
    return partial(media.encode, json.dumps(node))


def encoded_image(value: Any) -> Any:
    """A PIL image as the dict that `datasets` makes of it; other values stay as they are."""
    if type(value).__module__.partition(".")[0] != "PIL":
        return value
    return media.encode('{"_type": "Image"}', value)
