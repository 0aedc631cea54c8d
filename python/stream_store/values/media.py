"""Features that encode their own values: media, Json, ClassLabel, translations and arrays.

A store keeps what such a feature writes to Arrow. For media that is a struct of bytes and path: the
feature's `encode_example` accepts PIL images, arrays, paths and more, and belongs to `datasets`.
"""

from __future__ import annotations

import importlib
import json
import operator
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from . import images
from .arrays import short
from .json_text import json_text
from .nested import items

Json = dict[str, Any]

#: Features whose values are a struct of bytes and path.
MEDIA = frozenset(
    ("Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure")
)
_LISTS = frozenset(("List", "LargeList", "Sequence"))
_OWN = MEDIA | {"Json", "ClassLabel", "TranslationVariableLanguages"}
_ARRAYS = {f"Array{dims}D": dims for dims in range(2, 6)}


@lru_cache(maxsize=4096)
def _tree(feature_json: str) -> Any:
    return json.loads(feature_json) if feature_json else {}


def _type_of(node: Any) -> str | None:
    """The name of a feature; None for a struct, which may have a field called ``_type``."""
    kind = node.get("_type") if isinstance(node, dict) else None
    return kind if isinstance(kind, str) else None


def encodes(feature_json: str) -> bool:
    """Whether values of a feature must be encoded before they are stored.

    Args:
        feature_json: the JSON of a feature, as `datasets` writes it; may be "".

    Examples:
        >>> from stream_store.values.media import encodes
        >>> encodes('{"feature": {"_type": "Image"}, "_type": "List"}')
        True
        >>> encodes('{"dtype": "int64", "_type": "Value"}')
        False
    """
    return _encodes(_tree(feature_json))


def _encodes(node: Any) -> bool:
    kind = _type_of(node)
    if isinstance(node, list):
        return any(map(_encodes, node))
    if kind in _LISTS:
        return _encodes(node["feature"])
    if kind is not None:
        return kind in _OWN or kind in _ARRAYS
    return isinstance(node, dict) and any(map(_encodes, node.values()))


def encode(feature_json: str, value: Any, place: str = "value") -> Any:
    """Convert a value to the form in which its feature is stored.

    Args:
        feature_json: the JSON of a feature, as `datasets` writes it.
        value: anything that the feature's `encode_example` accepts, lists and structs of it, or
            the stored form itself.
        place: the beginning of the message of an error, such as "field 'x': x".

    Returns:
        For media a dict of "bytes" and "path"; the number of a class; the text of a Json; other
        values as they are.

    Raises:
        ValueError: the feature does not accept the value.
        TypeError: a list or a struct has another type.
        ImportError: the value is not in its stored form, and `datasets` is not installed.

    Examples:
        >>> from stream_store.values.media import encode
        >>> encode('{"_type": "Image"}', {"bytes": b"GIF89a", "path": None})
        {'bytes': b'GIF89a', 'path': None}
    """
    return _encode(_tree(feature_json), value, place)


def _encode(node: Any, value: Any, place: str) -> Any:
    kind = _type_of(node)
    if value is None or not _encodes(node):
        return value
    if isinstance(node, list) or kind in _LISTS:
        inner = node[0] if isinstance(node, list) else node["feature"]
        found = items(value, place)
        if found is None:
            return None
        return [_encode(inner, item, f"{place}[{i}]") for i, item in enumerate(found)]
    if kind is None:
        return _encode_struct(node, value, place)
    if kind == "ClassLabel":
        return _class_number(node, value, place)
    if kind in _ARRAYS:
        return _check_array(node, value, place)
    if kind == "Json":
        return _json_text(value, place)
    return _encode_example(node, kind, value, place)


def _encode_struct(node: Json, value: Any, place: str) -> Any:
    value = value.as_py() if hasattr(value, "as_py") else value
    if not isinstance(value, Mapping):
        return value  # reported by the conversion of the struct
    return {
        name: _encode(node[name], item, f"{place}.{name}") if name in node else item
        for name, item in value.items()
    }


def _class_number(node: Json, value: Any, place: str) -> Any:
    names: list[str] = node["names"]
    if isinstance(value, str):
        if value not in names:
            shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            raise ValueError(f"{place}: expected one of {shown} but found {short(value)}")
        return names.index(value)
    try:
        number = operator.index(value)
    except TypeError:
        return value  # reported by the conversion of the number
    if number >= len(names):
        raise ValueError(f"{place}: expected a number below {len(names)} but found {number}")
    return value


def _check_array(node: Json, value: Any, place: str) -> Any:
    """Check the shape of an array, which the type of a nested cell does not record."""

    def check(part: Any, dims: tuple[int | None, ...], where: str) -> None:
        found = items(part, where)
        if found is None:
            raise ValueError(f"{where}: expected an array of shape {shape} but found None inside")
        if dims[0] is not None and len(found) != dims[0]:
            raise ValueError(
                f"{where}: expected {dims[0]} items, for an array of shape {shape}, but found "
                f"{len(found)}"
            )
        for at, item in enumerate(found) if len(dims) > 1 else ():
            check(item, dims[1:], f"{where}[{at}]")

    shape = tuple(node["shape"])
    check(value, shape, place)
    return value


def _json_text(value: Any, place: str) -> str:
    try:
        return json_text(value)
    except (ValueError, TypeError) as error:
        raise type(error)(
            f"{place}: expected a value for JSON but found {short(value)}: {error}"
        ) from None


def _encode_example(node: Json, kind: str, value: Any, place: str) -> Any:
    if kind in MEDIA and _is_stored_media(value):
        return {"bytes": value.get("bytes"), "path": value.get("path")}
    stored = ("language", "translation")
    if kind not in MEDIA and isinstance(value, Mapping) and set(value) == set(stored):
        return value
    try:
        feature = _feature(json.dumps(node))
    except ImportError as error:
        raise ImportError(
            f"{place}: the feature {kind} is encoded by the `datasets` package, which is not "
            "installed: pip install 'stream-store[datasets]'"
        ) from error
    if kind == "Image":
        return _encode_image(feature, value, place)
    try:
        return feature.encode_example(value)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(
            f"{place}: expected a value of the feature {kind} but found {short(value)}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _encode_image(feature: Any, value: Any, place: str) -> Any:
    """Paths and bytes as `datasets` stores them; images and arrays if no pixel changes."""
    try:
        if isinstance(value, (str, os.PathLike, bytes, bytearray)):
            return feature.encode_example(value)
        if images.is_pil_image(value):
            return images.encode_pil(value)
        if isinstance(value, (list, tuple)):
            value = np.array(value)
        if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
            return images.encode_array(feature, value)
        raise ValueError(f"expected {images.ACCEPTED} but found {short(value)}")
    except ImportError as error:
        raise ImportError(f"{place}: images are encoded by Pillow: {error}") from error
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error.__cause__
    except (TypeError, OSError) as error:
        raise ValueError(
            f"{place}: expected {images.ACCEPTED} but found {short(value)}: {error}"
        ) from error


def _is_stored_media(value: Any) -> bool:
    """Whether a value is a dict of bytes and path, which is stored as it is.

    `encode_example` would drop the bytes if there is a file at the path.
    """
    return (
        isinstance(value, Mapping)
        and bool(value)
        and set(value) <= {"bytes", "path"}
        and isinstance(value.get("bytes"), (bytes, bytearray, memoryview, type(None)))
        and isinstance(value.get("path"), (str, type(None)))
    )


@lru_cache(maxsize=256)
def _feature(node_json: str) -> Any:
    features = importlib.import_module("datasets").Features
    return features.from_dict({"x": json.loads(node_json)})["x"]
