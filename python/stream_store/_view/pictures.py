"""Images as arrays of RGB pixels: of any shape, made smaller, as PNG files, as half blocks."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import FieldView

Pixels = NDArray[np.uint8]
_MOST_PIXELS = 1 << 26  # of a file that is decoded


def picture_of(field: FieldView, value: Any) -> Pixels | None:
    """The image in a value, uint8 of shape (height, width, 3); None if there is none.

    The last three dimensions are (height, width, channels) if there are 1, 3 or 4 channels, else
    (channels, height, width), else several gray images. Of several images, as in a stack of
    frames, the last is taken, and of four channels the first three: the fourth is alpha, or the
    last frame of a stack.
    """
    if value is None:
        return None
    if field.encoded:
        return _decode(value)
    pixels = np.asarray(value)
    while pixels.ndim > 3 and len(pixels):
        pixels = pixels[-1]
    if not pixels.size or pixels.ndim not in (2, 3):
        return None
    if pixels.ndim == 3:
        if pixels.shape[-1] not in (1, 3, 4):
            channels_first = pixels.shape[0] in (1, 3, 4)
            pixels = np.moveaxis(pixels, 0, -1) if channels_first else pixels[-1][..., None]
        pixels = pixels[..., :3]
    else:
        pixels = pixels[..., None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _decode(data: bytes) -> Pixels | None:
    """The pixels of an image file; None without Pillow, or if the file cannot be read."""
    try:
        from PIL import Image
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            return np.asarray(image.convert("RGB"))
    except Exception:  # decoders raise exceptions of many types for damaged files
        return None


def shrink(pixels: Pixels, height: int, width: int) -> Pixels:
    """An image that fits into a height and width; each pixel is the mean of those it covers."""
    rows, columns = pixels.shape[:2]
    scale = min(height / rows, width / columns, 1.0)
    if scale == 1.0:
        return pixels
    shape = max(1, round(rows * scale)), max(1, round(columns * scale))
    mean = pixels.astype(np.float64)
    for axis, size in enumerate(shape):
        length = mean.shape[axis]
        firsts = np.arange(size) * length // size
        counts = np.diff(firsts, append=length)
        shaped = counts.reshape([-1 if place == axis else 1 for place in range(3)])
        mean = np.add.reduceat(mean, firsts, axis=axis) / shaped
    return np.rint(mean).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    """An image as a PNG file, written here so that no package is needed."""
    height, width = pixels.shape[:2]
    gray = bool((pixels == pixels[..., :1]).all())
    lines = pixels[..., :1] if gray else pixels
    raw = np.zeros((height, 1 + width * lines.shape[2]), np.uint8)  # 0: no filter
    raw[:, 1:] = lines.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if gray else 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(raw.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def data_url(pixels: Pixels) -> str:
    """An image as the text of a URL."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def half_blocks(pixels: Pixels, height: int, width: int) -> list[list[tuple[Pixels, Pixels]]]:
    """Lines of (upper, lower) colours of an image that fits into `height` lines of text."""
    small = shrink(pixels, 2 * height, width)
    if len(small) % 2:
        small = np.concatenate([small, small[-1:]])
    return [list(zip(small[y], small[y + 1], strict=True)) for y in range(0, len(small), 2)]
