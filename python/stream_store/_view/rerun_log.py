"""The rows of a store as a recording of rerun, in a file or in its viewer.

One recording has all rows, on three timelines: row, step, and the number of the segment. Columns
are sent in blocks, so memory does not grow with the store. rerun is imported only here: its package
takes 170 MB.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.optional import require
from stream_store._outside import require_outside
from stream_store._safe_text import safe
from stream_store.errors import DroppedError

from .model import BLOCK_ITEMS, FieldView, Kind, ViewModel, list_parts, read_columns
from .pictures import picture_of
from .readable import Readable
from .segments import Segments
from .text import value_text

_APPLICATION = "stream_store"
_MOST_SERIES = 64  # numbers in a row that are sent as series; more are a tensor, which is slow
_MOST_VIEWS = 12  # side by side; more are in tabs
_PAUSE = 0.2  # seconds between two looks at a store that is followed


def open_recording(model: ViewModel, save: Path | None) -> RerunLog:
    """Start the viewer of rerun, or a file at `save`.

    Raises:
        ImportError: rerun-sdk is not installed.
        OSError: the file cannot be written.
        ValueError: it is inside a store.
    """
    rr = require("rerun", "view --rerun", extra="view")
    if save is not None and (save.is_dir() or not save.parent.is_dir()):
        raise OSError(f"{save}: --save: expected a file in a directory that exists")
    if save is not None:
        require_outside(save, "view --save")
    log = RerunLog(rr, model)
    blueprint = log.blueprint()
    if save is None:
        log.recording.spawn(default_blueprint=blueprint)
    else:
        log.recording.save(save, default_blueprint=blueprint)
    return log


class RerunLog:
    """Sends the rows of a store to a recording.

    Args:
        rr: the module `rerun`.
        model: of the store.

    Attributes:
        recording: the recording; its id is that of the store.
        rows: number of rows sent.
    """

    def __init__(self, rr: Any, model: ViewModel) -> None:
        self._rr, self._model = rr, model
        self._segments = Segments(model, model.look())
        self.recording = rr.RecordingStream(_APPLICATION, recording_id=model.store.id)
        self.rows = 0
        self._paths = {
            field.name: rr.new_entity_path([safe(part) for part in field.spec.path])
            for field in model.fields
        }
        for field in model.of_kind(Kind.VECTOR):
            if not _is_tensor(field):
                places = np.ndindex(*field.spec.shape)
                names = [f"{field.name}[{','.join(map(str, place))}]" for place in places]
                lines = rr.SeriesLines(names=[safe(name) for name in names])
                self.recording.log(self._paths[field.name], lines, static=True)

    def blueprint(self) -> Any:
        """Views by the kinds of the fields: series with a common prefix share one."""
        blueprint = require("rerun.blueprint", "view --rerun", extra="view")
        groups: dict[str, list[str]] = {}
        views = []
        for field in self._model.fields:
            path = self._paths[field.name]
            if field.kind is Kind.IMAGE:
                views.append(blueprint.Spatial2DView(origin=path, name=safe(field.name)))
            elif _is_tensor(field):
                views.append(blueprint.TensorView(origin=path, name=safe(field.name)))
            elif field.components:
                groups.setdefault(_prefix(field), []).append(path)
        series = [
            blueprint.TimeSeriesView(origin="/", contents=paths, name=safe(name))
            for name, paths in groups.items()
        ]
        texts = [self._paths[field.name] for field in self._model.fields if _is_text(field)]
        if texts:
            views.append(blueprint.TextLogView(origin="/", contents=texts, name="text"))
        views = series + views
        layout = blueprint.Grid if len(views) <= _MOST_VIEWS else blueprint.Tabs
        return blueprint.Blueprint(layout(*views))

    def send(self, progress: Callable[[int, int], object] | None = None) -> int:
        """Send the rows that were not sent yet. Returns their number.

        Rows that are dropped meanwhile are left out.
        """
        sent, view = 0, self._model.look()
        segments = self._segments
        more = True
        while more:
            try:
                start = max(segments.scanned, view.first_row)
                more = segments.advance(view)
                self._send_rows(view, start, segments.scanned)
                sent += segments.scanned - start
                if progress is not None:
                    progress(segments.scanned - view.first_row, view.kept_rows)
            except DroppedError:
                view, more = self._model.look(), True
        self.rows += sent
        return sent

    def follow(self) -> None:
        """Send rows as they are appended, until Ctrl-C."""
        while True:
            if not self.send():
                time.sleep(_PAUSE)

    def close(self) -> None:
        """Write everything that is left, and close the file."""
        self.recording.flush()
        self.recording.disconnect()

    # --- columns ---

    def _send_rows(self, view: Readable, first: int, last: int) -> None:
        found = self._segments.found
        rows = np.arange(first, last)
        starts = [segment.start for segment in found]
        place = np.searchsorted(starts, rows, side="right") - 1
        numbers = np.array([segment.number for segment in found])[np.maximum(place, 0)]
        times = {"row": rows, "step": self._model.steps(view, first, last), "segment": numbers}
        for field in self._model.fields:
            path = self._paths[field.name]
            for start, stop in _parts(field, first, last):
                for columns, places in self._columns(view, field, start, stop):
                    if isinstance(columns, list):
                        self._log_tensors(path, columns, times, start - first + places)
                        continue
                    indexes = [
                        self._rr.TimeColumn(name, sequence=values[start - first + places])
                        for name, values in times.items()
                    ]
                    self._rr.send_columns(path, indexes, columns, recording=self.recording)

    def _columns(
        self, view: Readable, field: FieldView, first: int, last: int
    ) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Columns of a field, or a list of tensors, with the places of their rows from `first`."""
        if field.spec.is_ragged and field.spec.shape:
            for start, stop, lengths in list_parts(view, field, first, last):
                values, present = read_columns(view, [field], start, stop)[0]
                lists = [value[:length] for value, length in zip(values, lengths, strict=True)]
                places = np.flatnonzero(present)
                for columns, chosen in self._column(field, lists, places):
                    yield columns, chosen + (start - first)
            return
        values, present = read_columns(view, [field], first, last)[0]
        yield from self._column(field, values, np.flatnonzero(present))

    def _column(
        self, field: FieldView, values: Any, places: NDArray[np.intp]
    ) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        rr = self._rr
        if not len(places):
            return
        if field.kind is Kind.IMAGE:
            yield from self._images(field, values, places)
        elif _is_tensor(field):
            yield [rr.Tensor(_number(values[place])) for place in places], places
        elif field.components:
            numbers = np.asarray(values)[places].reshape(len(places), -1).astype(np.float64)
            if numbers.shape[1] == 1:
                numbers = numbers[:, 0]
            yield rr.Scalars.columns(scalars=numbers), places
        else:
            text = [
                safe(values[place], lines=True)
                if isinstance(values[place], str)
                else value_text(values[place])
                for place in places
            ]
            yield rr.TextLog.columns(text=text), places

    def _log_tensors(
        self,
        path: str,
        tensors: list[Any],
        times: dict[str, NDArray[np.int64]],
        places: NDArray[np.intp],
    ) -> None:
        """Log tensors one by one: rerun has no columns of tensors."""
        for place, tensor in zip(places.tolist(), tensors, strict=True):
            for name, values in times.items():
                self.recording.set_time(name, sequence=int(values[place]))
            self.recording.log(path, tensor)
        self.recording.reset_time()

    def _images(
        self, field: FieldView, values: Any, places: NDArray[np.intp]
    ) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        rr = self._rr
        if field.encoded:
            yield rr.EncodedImage.columns(blob=[bytes(values[i]) for i in places]), places
            return
        gray = len(field.spec.shape) == 2
        pictures = [picture_of(field, values[place]) for place in places]
        shown = [i for i, one in enumerate(pictures) if one is not None]
        if not shown:
            return
        buffers, formats = [], []
        for i in shown:
            pixels = np.asarray(pictures[i])
            buffers.append(np.ascontiguousarray(pixels[..., :1] if gray else pixels).tobytes())
            formats.append(
                rr.components.ImageFormat(
                    pixels.shape[1],
                    pixels.shape[0],
                    color_model="L" if gray else "RGB",
                    channel_datatype="U8",
                )
            )
        yield rr.Image.columns(buffer=buffers, format=formats), places[shown]


def _is_tensor(field: FieldView) -> bool:
    return field.kind is Kind.VECTOR and (field.items is None or field.items > _MOST_SERIES)


def _is_text(field: FieldView) -> bool:
    return field.kind in (Kind.TEXT, Kind.OTHER)


def _prefix(field: FieldView) -> str:
    """The name of the struct, or the part of a name before the first dot or slash."""
    if len(field.spec.path) > 1:
        return field.spec.path[0]
    return field.name.split("/")[0].split(".")[0] or field.name


def _number(array: Any) -> NDArray[Any]:
    """An array of a dtype that a tensor of rerun may have."""
    found: NDArray[Any] = np.asarray(array)
    if found.dtype == object:
        return found.astype(np.float64)
    return found.astype(np.uint8) if found.dtype == np.bool_ else found


def _parts(field: FieldView, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Parts of rows [start, stop) whose values of a field fit into a block."""
    rows = max(1, BLOCK_ITEMS // max(math.prod(field.spec.item_shape), 1))
    for first in range(start, stop, rows):
        yield first, min(first + rows, stop)
