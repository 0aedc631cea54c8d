"""Images of PIL and arrays as the bytes of an image file from which every pixel comes back.

`datasets.Image` casts an array to a dtype that Pillow knows, although values may not fit, and
writes an image in a format that may not hold its mode, its transparency or its other frames. Here,
the file is decoded and compared before it is stored. The other values that `Image` accepts (paths,
bytes, dicts) are stored unchanged.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import short

Stored = dict[str, Any]

#: The values of the feature Image, for messages.
ACCEPTED = (
    "a value of the feature Image: a PIL image, an array of shape (height, width) or (height, "
    "width, channels), the bytes of a file, its path, or a dict of 'bytes' and 'path',"
)
_LOSSLESS = ("PNG", "BMP", "GIF", "TIFF", "PPM")  # formats of images, as PIL calls them
_PNG_MODES = frozenset(("1", "L", "LA", "P", "RGB", "RGBA"))


def is_pil_image(value: object) -> bool:
    """Whether a value is an image of PIL, without an import of PIL."""
    return any(kind.__module__ == "PIL.Image" for kind in type(value).__mro__)


# --- arrays ---


def encode_array(feature: Any, array: NDArray[Any]) -> Stored:
    """The file that `datasets` makes of an array, if it holds every value.

    Args:
        feature: a `datasets.Image`.
        array: of 2 dimensions, or of 3 with the channels last.

    Raises:
        ValueError: the shape is not one of an image, or a value does not survive.
    """
    if array.ndim not in (2, 3):
        raise ValueError(f"expected {ACCEPTED} but found {short(array)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the dtype is cast: the values are compared
        try:
            stored: Stored = feature.encode_example(array)
            found = np.asarray(_opened(stored["bytes"]))
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(
                "expected an array that an image file can hold (integers of 8 bits if there are "
                f"channels) but found {short(array)}: {type(error).__name__}: {error}"
            ) from error
    if found.shape != array.shape or not _equal(found, array):
        raise ValueError(
            "expected an array whose values an image file holds exactly (8 bits with channels; "
            f"else bool, uint8, uint16, int32 or float32) but found {short(array)} with "
            "values that would change"
        )
    return stored


def _equal(found: NDArray[Any], array: NDArray[Any]) -> bool:
    """Whether two arrays of one shape have equal values; NaN equals NaN."""
    if array.dtype.kind in "iu" and found.dtype.kind in "iub":
        return bool((found == array).all())  # NumPy compares int64 and uint64 exactly
    return bool(np.array_equal(found, array, equal_nan=array.dtype.kind == "f"))


# --- images of PIL ---


def encode_pil(image: Any) -> Stored:
    """The path of the file of an unchanged image, else bytes from which every pixel comes back.

    An image that was opened from a path is compared with its file if its pixels were loaded, which
    decodes the file once more.

    Raises:
        ValueError: the image has several frames whose file cannot be read, or was changed; or no
            format holds its mode.
    """
    path = getattr(image, "filename", "")
    if path and _is_file(image, path):
        return {"bytes": None, "path": _text_of(path)}
    content = _content(image, path)  # before the pixels are loaded, which may close the file
    if content is not None and not _is_loaded(image) and _count_frames(content) > 1:
        return {"bytes": content, "path": None}
    current = image.copy()  # the current frame, loaded, without a format
    count = _count_frames(content) if content is not None else _known_frames(image)
    if count == 1:
        return {"bytes": _file_bytes(image, current), "path": None}
    if content is not None and _same(_opened(content), current):
        return {"bytes": content, "path": None}
    raise ValueError(
        f"expected an image of one frame, or an unchanged one of several at its first frame, but "
        f"found {count or 'an unknown number of'} frames in a file that "
        f"{'is closed' if content is None else 'differs from the image'} (pass the bytes of the "
        "file, or image.copy() to store the current frame alone)"
    )


def _is_loaded(image: Any) -> bool:
    """Whether the pixels were read from the file; before that, they cannot have changed."""
    position = image.tell() if hasattr(image, "tell") else 0
    return position != 0 or getattr(image, "_im", image) is not None


def _text_of(path: Any) -> str:
    return path.decode() if isinstance(path, bytes) else str(path)


def _is_file(image: Any, path: Any) -> bool:
    """Whether the file at the path has the pixels of the image."""
    if not _is_loaded(image):
        return True
    try:
        original = _pil().open(path)
        with original:
            return image.tell() == 0 and _same(original, image)
    except OSError:
        return False


def _count_frames(content: bytes) -> int:
    with _pil().open(io.BytesIO(content)) as opened:
        return int(getattr(opened, "n_frames", 1))


def _known_frames(image: Any) -> int:
    """The number of frames of an image without an open file; 0 if it is unknown."""
    if not hasattr(type(image), "n_frames") and "n_frames" not in vars(image):
        return 1
    try:
        return int(image.n_frames)
    except (ValueError, OSError, AttributeError):
        return 0  # counting reads the file, which is closed


def _content(image: Any, path: Any) -> bytes | None:
    """The whole file that an image was opened from, if that is still possible."""
    if path:
        from pathlib import Path  # here, because it imports many others

        try:
            return Path(_text_of(path)).read_bytes()
        except OSError:
            return None
    file: Any = getattr(image, "fp", None) or getattr(image, "_fp", None)
    try:
        place = file.tell()
        file.seek(0)
        content: bytes = file.read()
        file.seek(place)
        _pil().open(io.BytesIO(content)).close()
    except (ValueError, OSError, AttributeError, TypeError):
        return None
    return content


def _file_bytes(image: Any, current: Any) -> bytes:
    """The image in the first format from which every pixel comes back."""
    formats = [image.format] if image.format in _LOSSLESS else []
    formats += ["PNG", "TIFF"] if current.mode in _PNG_MODES else ["TIFF", "PNG"]
    for name in dict.fromkeys(formats):
        buffer = io.BytesIO()
        try:
            current.save(buffer, name)
            if _same(_opened(buffer.getvalue()), current):
                return buffer.getvalue()
        except (MemoryError, _pil().DecompressionBombError):
            raise
        except Exception:  # the format does not hold this mode
            continue
    raise ValueError(
        f"expected an image of a mode that PNG or TIFF holds but found {current.size} pixels of "
        f"mode {current.mode!r} (convert it first: image.convert('RGB'))"
    )


def _same(one: Any, other: Any) -> bool:
    """Whether two images have the same mode, size, pixels, palette and transparency."""
    if one.mode != other.mode or one.size != other.size or one.tobytes() != other.tobytes():
        return False
    if not any("transparency" in image.info or image.mode in ("P", "PA") for image in (one, other)):
        return True
    return bool(one.convert("RGBA").tobytes() == other.convert("RGBA").tobytes())


def _opened(content: bytes) -> Any:
    image = _pil().open(io.BytesIO(content))
    image.load()
    return image


def _pil() -> Any:
    from PIL import Image

    return Image
