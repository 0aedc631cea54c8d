"""Images of an export: files in the data, or frames of videos through PyAV."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.optional import require

from .layout import VIDEO_PATH, following
from .plan import Feature
from .stats import ImageStats
from .video import encode_image

_OPERATION = "to_lerobot"
_PNG = b"\x89PNG\r\n\x1a\n"
_CODEC = "libx264"  # the default of the library, AV1, takes several times as long


class ImageEncoder:
    """Images of all features as files, or as arrays for a video; all of a feature have one size."""

    def __init__(self, form: str | None) -> None:
        self._form = form or "png"
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))  # Pillow releases the GIL

    def close(self) -> None:
        self._pool.shutdown()

    def encode(self, feature: Feature, given: Any, first: int, stats: ImageStats) -> list[Any]:
        """The images of frames from number `first` of an episode on.

        Args:
            feature: its shape is set by the first image.
            given: an array of shape (frames, height, width, channels), or a list of image files as
                mappings of bytes and path.
            first: frame number of the first image, counted from the begin of the episode.
            stats: the sampled images are added.

        Returns:
            Mappings of bytes and path; for a video, RGB arrays.
        """
        encoded = feature.kind == "encoded"
        if not encoded and feature.shape is None:
            feature.shape = given.shape[1:]
        for place, image in enumerate(given):
            if encoded:
                self._check_size(feature, image["bytes"], first + place)
            if stats.wants(first + place):
                stats.add(_rgb(_decoded(image["bytes"]) if encoded else image))
        if feature.video:
            return [_rgb(_decoded(image["bytes"]) if encoded else image) for image in given]
        if encoded:
            return list(given)
        suffix = "png" if self._form == "png" else "jpg"
        files = self._pool.map(lambda image: encode_image(image, self._form), given)
        return [
            {"bytes": data, "path": f"frame-{first + place:06d}.{suffix}"}
            for place, data in enumerate(files)
        ]

    def _check_size(self, feature: Feature, data: bytes, frame: int) -> None:
        shape = _size(data, feature.name)
        if feature.shape is None:
            feature.shape = shape
        elif feature.shape != shape:
            raise ValueError(
                f"{_OPERATION}: field {feature.name!r}, frame {frame} of an episode: expected an "
                f"image of shape {feature.shape}, as the first one, but found {shape}"
            )


def _size(data: bytes, name: str) -> tuple[int, int, int]:
    """Height, width and channels of an image file, from its header."""
    if data[:8] == _PNG and data[25] in (0, 2, 6):  # grey, RGB, RGBA
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        return height, width, {0: 1, 2: 3, 6: 4}[data[25]]
    image = _opened(data, name)
    return image.height, image.width, len(image.getbands())


def _opened(data: bytes, name: str = "") -> Any:
    Image = require("PIL.Image", _OPERATION, extra="lerobot")
    try:
        return Image.open(io.BytesIO(data))
    except OSError as error:
        raise ValueError(
            f"{_OPERATION}: field {name!r}: an image cannot be read: {error}"
        ) from error


def _decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(_opened(data).convert("RGB"))


def decoded(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The pixels of an image file, of shape (height, width, channels)."""
    return np.asarray(_opened(data)).reshape(shape)


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An array of shape (height, width, 3)."""
    return np.ascontiguousarray(np.repeat(image, 3, -1) if image.shape[-1] == 1 else image[..., :3])


class VideoFiles:
    """The videos of one feature. A file ends between two episodes once it has `most_mb`."""

    def __init__(self, root: Path, name: str, fps: int, most_mb: int) -> None:
        self._av = require("av", f"{_OPERATION}: video=True", extra="video")
        self._root, self._name, self._fps = root, name, fps
        self._most = most_mb << 20
        self.chunk = self.file = 0
        self._container: Any = None
        self._stream: Any = None
        self._path = Path()
        self._frames = self._begin = 0
        self._size: tuple[int, ...] = ()

    def next_episode(self) -> None:
        """Begin an episode, in a new file if the current one is full."""
        if self._container is not None and self._path.stat().st_size >= self._most:
            self.close()
            self.chunk, self.file = following(self.chunk, self.file)
        self._begin = self._frames

    def add(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Add RGB frames."""
        for image in images:
            if self._container is None:
                self._open(image)
            frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = self._frames
            frame.time_base = Fraction(1, self._fps)
            self._container.mux(self._stream.encode(frame))
            self._frames += 1

    def _open(self, image: NDArray[np.uint8]) -> None:
        height, width, _ = image.shape
        if height % 2 or width % 2:
            raise ValueError(
                f"{_OPERATION}: video=True: field {self._name!r}: expected an even height and "
                f"width, which the codec needs, but found {height} x {width}"
            )
        self._path = self._root / VIDEO_PATH.format(
            video_key=self._name, chunk_index=self.chunk, file_index=self.file
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._path), "w")
        stream = self._stream = self._container.add_stream(_CODEC, rate=self._fps)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        # A key frame every second frame, as the library has it, makes random access fast. B-frames
        # would shift the times of the first frames.
        stream.options = {"crf": "23", "g": "2", "bf": "0"}
        self._size = image.shape

    def end_episode(self) -> dict[str, Any]:
        """Where the episode is, as columns of meta/episodes."""
        prefix = f"videos/{self._name}"
        return {
            f"{prefix}/chunk_index": self.chunk,
            f"{prefix}/file_index": self.file,
            f"{prefix}/from_timestamp": self._begin / self._fps,
            f"{prefix}/to_timestamp": self._frames / self._fps,
        }

    def close(self) -> None:
        """Finish the file."""
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()
        self._container = self._stream = None
        self._frames = 0

    def described(self) -> dict[str, Any]:
        """The entry "info" of the feature."""
        height, width, channels = self._size or (0, 0, 3)
        return {
            "video.height": height,
            "video.width": width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": self._fps,
            "video.channels": channels,
            "has_audio": False,
        }
