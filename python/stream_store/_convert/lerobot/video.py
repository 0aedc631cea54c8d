"""Frames of the videos of a data set, through PyAV: decoding for an import, encoding for an export.

A video file holds the episodes one after another; each episode knows where it begins. Decoding is
sequential: a reader goes on where the previous episode ended, and seeks only if it must.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.optional import require

from .columns import image_feature

#: What an imported frame becomes: a PNG or JPEG file, an array, or nothing.
FORMS = ("png", "jpeg", "raw", "skip")
_OPERATION = "from_lerobot"


def video_feature(form: str, shape: tuple[int, ...], root: Path, name: str) -> Any:
    """The feature of a field for the frames of a video."""
    if form != "raw":
        return image_feature(_OPERATION)
    if len(shape) != 3:
        raise ValueError(
            f"{root}: {_OPERATION}: video {name!r}: expected a shape of height, width and channels "
            f"but found {shape}"
        )
    height, width = (shape[1], shape[2]) if shape[0] == 3 and shape[2] != 3 else shape[:2]
    return f"packed uint8[{height},{width},3]"


@dataclass(frozen=True)
class EpisodeVideo:
    """Where the frames of an episode are: a file, the time of the first one, and their rate."""

    path: Path
    begins: float
    fps: float


class VideoReader:
    """The frames of one video feature, in the order of the episodes."""

    def __init__(self, name: str, form: str) -> None:
        self._name, self._form = name, form
        self._path: Path | None = None
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._ahead: Any = None  # a frame that was decoded but is for a later row

    def close(self) -> None:
        """Release the file."""
        if self._container is not None:
            self._container.close()
        self._container, self._path, self._ahead = None, None, None

    def frames(self, video: EpisodeVideo, times: NDArray[Any]) -> Any:
        """The frames at these times of an episode, in seconds since it began.

        Raises:
            ValueError: there is no frame within half a frame of a time.
        """
        cells = [self._encoded(self._frame(video, video.begins + float(time))) for time in times]
        return np.stack(cells) if self._form == "raw" else cells

    def _frame(self, video: EpisodeVideo, time: float) -> Any:
        half = 0.5 / video.fps
        if self._path != video.path:
            self._open(video.path)
        if (
            (self._ahead is not None and self._ahead.time > time + half)
            or self._ahead is None
            or self._ahead.time < time - 2.0
        ):
            self._seek(time)
        frame = self._ahead
        while frame is not None and frame.time < time - half:
            frame = self._ahead = next(self._frames, None)
        if frame is None or frame.time > time + half:
            raise ValueError(
                f"{video.path}: {_OPERATION}: video {self._name!r}: expected a frame at "
                f"{time:.4f} s but found {'the end' if frame is None else f'{frame.time:.4f} s'}"
            )
        return frame

    def _open(self, path: Path) -> None:
        av = require("av", _OPERATION, extra="video")
        self.close()
        if not path.is_file():
            raise FileNotFoundError(f"{path}: {_OPERATION}: the video {self._name!r} is missing")
        try:
            self._container = av.open(str(path))
            self._container.streams.video[0].thread_type = "AUTO"
        except (av.FFmpegError, IndexError) as error:
            raise ValueError(f"{path}: {_OPERATION}: the video cannot be read: {error}") from error
        self._path = path
        self._frames = self._container.decode(video=0)
        self._ahead = next(self._frames, None)

    def _seek(self, time: float) -> None:
        """Go to the last key frame at or before a time."""
        stream = self._container.streams.video[0]
        self._container.seek(max(0, int(time / stream.time_base) - 1), stream=stream)
        self._frames = self._container.decode(video=0)
        self._ahead = next(self._frames, None)

    def _encoded(self, frame: Any) -> Any:
        array = frame.to_ndarray(format="rgb24")
        if self._form == "raw":
            return array
        return {"bytes": encode_image(array, self._form), "path": None}


def encode_image(array: NDArray[np.uint8], form: str) -> bytes:
    """An array of shape (height, width) or (height, width, 1, 3 or 4) as PNG or JPEG."""
    Image = require("PIL.Image", "an image", extra="lerobot")
    target = io.BytesIO()
    image = Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
    if form == "png":
        image.save(target, "PNG", compress_level=1)  # a higher level takes several times as long
    else:
        image.convert("RGB").save(target, "JPEG", quality=95)
    return target.getvalue()
