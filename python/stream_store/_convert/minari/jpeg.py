"""JPEG files of image spaces, which Minari stores unless it is told not to."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.optional import require


def decoded(files: Any, shape: tuple[int, ...], where: str, start: int) -> NDArray[np.uint8]:
    """JPEG files as images of one shape."""
    image = require("PIL.Image", "from_minari", extra="minari")
    made = np.empty((len(files), *shape), np.uint8)
    for index, data in enumerate(files):
        try:
            pixels = np.asarray(image.open(io.BytesIO(bytes(data))))
        except OSError as error:
            raise ValueError(f"{where}: image {start + index} cannot be decoded: {error}") from None
        if pixels.shape != shape:
            raise ValueError(
                f"{where}: image {start + index}: expected the shape {shape}, found {pixels.shape}"
            )
        made[index] = pixels
    return made
