"""Summary: the contents of a page, read in two passes of constant memory.

The first pass finds the segments and reduces all rows; the second reduces the segments that the
page shows in detail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .model import Block, FieldView, Kind, ViewModel, value_at
from .pictures import Pixels, picture_of, shrink
from .readable import Readable
from .segments import Segment, Segments
from .series import Envelope, Statistics

#: Segments that a page shows in detail: the last ones.
MAX_DETAILED = 100
#: Columns of the chart of all rows.
_ALL_PIXELS = 600
#: Pairs of numbers in the charts of all segments together.
_POINTS = 90_000
_IMAGE_BYTES = 600_000  # of all thumbnails, uncompressed


@dataclass
class Reduced:
    """The series of a range of rows."""

    start: int
    stop: int
    envelopes: dict[str, Envelope] = field(default_factory=dict)
    steps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass
class Summary:
    """The contents of a page.

    Attributes:
        segments: all segments; `detailed` are the last ones, and `parts` their series.
        whole: the series of all rows.
        statistics: of each series of each numeric field.
        images: (segment's place in `detailed`, row, field name, pixels) of thumbnails.
    """

    view: Readable
    model: ViewModel
    segments: Segments
    whole: Reduced
    statistics: dict[str, list[Statistics]]
    detailed: list[Segment]
    parts: list[Reduced]
    images: list[tuple[int, int, str, Pixels]]


def summarize(
    model: ViewModel,
    progress: Callable[[int, int], object] | None = None,
    max_fields: int = 200,
) -> Summary:
    """Read a store for a page.

    Args:
        model: of the store.
        progress: called with rows done and rows in all.
        max_fields: numeric fields whose series are kept; the first ones.

    Raises:
        DroppedError: the writer dropped rows meanwhile.
    """
    view = model.look()
    tell = progress or (lambda _done, _total: None)
    first, stop = view.first_row, view.num_rows
    segments = Segments(model, view)
    while segments.advance(view):
        tell(segments.scanned - first, 3 * (stop - first))
    numeric = model.numeric[:max_fields]
    count = max(sum(len(field.components) for field in numeric), 1)
    whole = Reduced(first, stop)
    statistics = {field.name: [Statistics() for _ in field.components] for field in numeric}
    _reduce(model, view, numeric, whole, min(_ALL_PIXELS, max(_POINTS // count, 20)), statistics)
    tell(2, 3)
    detailed = segments.found[-MAX_DETAILED:]
    pixels = max(8, min(300, _POINTS // (count * max(len(detailed), 1))))
    parts = [Reduced(segment.start, segment.stop) for segment in detailed]
    for part in parts:
        _reduce(model, view, numeric, part, pixels)
    tell(3, 3)
    images = _thumbnails(model, view, detailed)
    return Summary(view, model, segments, whole, statistics, detailed, parts, images)


def _reduce(
    model: ViewModel,
    view: Readable,
    fields: list[FieldView],
    into: Reduced,
    pixels: int,
    statistics: dict[str, list[Statistics]] | None = None,
) -> None:
    """Reduce rows to `pixels` parts and, if they are given, to statistics."""
    if into.stop == into.start:
        return
    for field_ in fields:
        into.envelopes[field_.name] = Envelope(
            into.start, into.stop, pixels, len(field_.components)
        )
    for blocks in model.numbers(view, fields, into.start, into.stop):
        for field_, block in blocks:
            into.envelopes[field_.name].add(block)
            if statistics is not None:
                _count(statistics[field_.name], block)
    rows = Envelope(into.start, into.stop, pixels, 0).first_rows()
    into.steps = np.asarray(view.read_rows(rows, fields=[])["_step"])


def _count(statistics: list[Statistics], block: Block) -> None:
    for series, one in enumerate(statistics):
        low = block.low[:, series]
        high = low if block.low is block.high else block.high[:, series]
        one.add(low, high, int(block.odd[:, series].sum()))


def _thumbnails(
    model: ViewModel, view: Readable, segments: list[Segment]
) -> list[tuple[int, int, str, Pixels]]:
    """A few images of each segment, as large as the space for all of them allows."""
    fields = model.of_kind(Kind.IMAGE)[:8]
    if not fields or not segments:
        return []
    each = max(1, min(6, 120 // (len(segments) * len(fields))))
    side = int((_IMAGE_BYTES / (3 * each * len(segments) * len(fields))) ** 0.5)
    side = max(16, min(96, side))
    images = []
    for place, segment in enumerate(segments):
        rows = np.unique(np.linspace(segment.start, segment.stop - 1, each).astype(np.int64))
        for one in fields:
            for row in rows.tolist():
                pixels = picture_of(one, value_at(view, one, row))
                if pixels is not None:
                    images.append((place, row, one.name, shrink(pixels, side, side)))
    return images
