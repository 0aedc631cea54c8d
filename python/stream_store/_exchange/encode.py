"""The features of `datasets` that turn a Python object into something else before it is stored.

A media feature accepts images, arrays, paths and bytes, and stores a struct of bytes and path; a
ClassLabel accepts names; Json stores text. The features' own `encode_example` is called, except
where it would change a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .optional import require

_MEDIA = frozenset(
    {"Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure"}
)
FILE = frozenset({"bytes", "path"})  # the fields of a media feature
_LOSSLESS = frozenset({None, "PNG", "BMP", "GIF", "TIFF", "PPM"})


def encoder_of(feature: Any) -> Callable[[Any], Any] | None:
    """The function that encodes one value of this feature, or None if it is stored as it is."""
    kind = type(feature).__name__
    if kind in _MEDIA:
        return partial(_media, feature)
    if kind == "ClassLabel":
        return partial(_class_number, feature)
    if kind in ("Json", "TranslationVariableLanguages"):
        return partial(_own, feature)
    return None


def encoded_image(value: Any) -> Any:
    """A PIL image as the dict that `datasets` makes of it; other values stay as they are."""
    if type(value).__module__.partition(".")[0] != "PIL":
        return value
    return _media(require("datasets", "the import of images").Image(), value)


def _own(feature: Any, value: Any) -> Any:
    return feature.encode_example(value)


def _media(feature: Any, value: Any) -> Any:
    if isinstance(value, Mapping) and FILE.issuperset(value):
        return dict(value)
    if type(feature).__name__ == "Image" and _would_be_compressed_again(value):
        value = value.copy()  # has no format, so it is encoded without loss
    encoded = feature.encode_example(value)
    return {"bytes": encoded.get("bytes"), "path": encoded.get("path")}


def _would_be_compressed_again(value: Any) -> bool:
    """Whether an image was decoded from JPEG or the like, and its file's bytes are gone."""
    return (
        type(value).__module__.partition(".")[0] == "PIL"
        and getattr(value, "format", None) not in _LOSSLESS
        and not getattr(value, "filename", "")
    )


def _class_number(feature: Any, value: Any) -> Any:
    """The number of a class given by name. Negative numbers mean that there is no label."""
    if isinstance(value, str):
        return feature.str2int(value)
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        if value.__index__() >= len(feature.names):
            raise ValueError(f"there are {len(feature.names)} classes")
        return value
    raise ValueError("neither the name nor the number of a class")
