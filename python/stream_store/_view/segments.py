"""Segments: the segments of a store, found block by block, with sums and missing fields.

`StreamStore.segments` reads all rows of its field at once. A view starts at once and shows segments
as they are found, so this class reads one block after the other, in the terminal in the background,
and continues when a writer has appended rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_store._segment_cuts import CutState, find_cuts

from .model import BLOCK_ROWS, Kind, ViewModel, read_columns
from .readable import Readable

#: Numeric fields that are summed for each segment.
MAX_SUMS = 16
#: Without a field that cuts segments, blocks of rows have this length or a multiple.
_BLOCK = 1000
_MOST_BLOCKS = 1000


@dataclass
class Segment:
    """One segment.

    Attributes:
        number: place among all segments that were found, also those that were dropped since.
        label: the value of the int field that cuts segments, or None.
        start, stop: its rows, half-open.
        complete: whether it has ended. The last one may still grow.
        sums: of `Segments.summed`, over the present values.
        present: for each field of the model, the number of rows that have it.
    """

    number: int
    label: int | None
    start: int
    stop: int
    complete: bool
    sums: NDArray[np.float64]
    present: NDArray[np.int64]

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """The label, or else the number."""
        return str(self.number if self.label is None else self.label)


class Segments:
    """The segments of the rows that were scanned so far.

    Args:
        model: of the store. If its fields change, new segments have to be made.
        view: a snapshot; the scan starts at its first row.

    Attributes:
        found: the segments in order. They have no gap between them.
        scanned: the row to scan next.
        summed: the fields that are summed: 16 scalar ones that do not cut segments, first those
            with "reward" in their name.
    """

    def __init__(self, model: ViewModel, view: Readable) -> None:
        self.model = model
        self.fields = model.fields
        numbers = [
            field
            for field in model.of_kind(Kind.NUMBER)
            if field.name not in model.by and field.spec.info.kind != "bool"
        ]
        numbers.sort(key=lambda field: "reward" not in field.name)
        self.summed = numbers[:MAX_SUMS]
        self._cuts = [model.field(name) for name in model.by]
        self._of_bools = any(field.spec.info.kind == "bool" for field in self._cuts)
        blocks = max(view.kept_rows - 1, 0) // (_BLOCK * _MOST_BLOCKS)
        self.block_rows = _BLOCK * 10 ** len(str(blocks) if blocks else "")
        self._restart(view.first_row)

    def _restart(self, row: int) -> None:
        self.found: list[Segment] = []
        self.scanned = row
        self._count = 0
        self._state = CutState()  # after the rows that were scanned

    def advance(self, view: Readable) -> bool:
        """Scan one block of rows. Returns whether there are more.

        Segments that were dropped are removed. If the store was cut below the rows that were
        scanned, the scan starts again.

        Raises:
            DroppedError: rows were dropped meanwhile; nothing has changed.
        """
        if view.num_rows < self.scanned:
            self._restart(view.first_row)
        start = max(self.scanned, view.first_row)
        stop = min(start + BLOCK_ROWS, view.num_rows)
        if start < stop:
            begins, labels, state = self._begins(view, start, stop)
            starts = np.union1d([start], begins)
            sums = self._sums(view, starts, stop)
            present = self._presence(view, starts, stop)
            joins = bool(self.found) and begins[:1].tolist() != [start]
            if joins:
                last = self.found[-1]
                last.label = labels[0] if last.label is None else last.label
                last.sums, last.present = last.sums + sums[0], last.present + present[0]
            elif self.found:
                self.found[-1].complete = True
            for place in range(int(joins), len(starts)):
                row = int(starts[place])
                new = Segment(
                    self._count, labels[place], row, row, True, sums[place], present[place]
                )
                self.found.append(new)
                self._count += 1
            tail = self.found[-len(starts) :]
            for segment, end in zip(tail, [*starts[1:].tolist(), stop], strict=True):
                segment.stop, segment.complete = end, True
            self.found[-1].complete = state.ended
            self._state = state
        self.scanned = max(stop, start)
        while self.found and self.found[0].stop <= view.first_row:
            del self.found[0]
        return self.scanned < view.num_rows

    def _begins(
        self, view: Readable, start: int, stop: int
    ) -> tuple[NDArray[np.int64], list[int | None], CutState]:
        """The rows of [start, stop) at which a segment begins, the labels of the parts that they
        cut, and the state after them.
        """
        if not self._cuts:
            first = -(-start // self.block_rows) * self.block_rows
            begins = np.arange(first, stop, self.block_rows)
            ended = CutState(ended=stop % self.block_rows == 0)
            return begins, [None] * (len(begins) + 1), ended
        columns = [
            (np.asarray(values), present)
            for values, present in read_columns(view, self._cuts, start, stop)
        ]
        begins, state = find_cuts(columns, self._state)
        if self._of_bools:
            return start + begins, [None] * (len(begins) + 1), state
        values, present = columns[0]
        labels: list[int | None] = values[begins].tolist()
        if begins[:1].tolist() != [0]:  # the first part continues a segment, or has no number yet
            known = np.flatnonzero(present)
            first = int(values[known[0]]) if self._state.value is None and len(known) else None
            labels.insert(0, self._state.value if first is None else first)
        return start + begins, labels, state

    def _sums(self, view: Readable, starts: NDArray[np.int64], stop: int) -> NDArray[np.float64]:
        """(parts, summed fields) sums over the parts of a block that begin at `starts`."""
        start = int(starts[0])
        sums = np.zeros((len(starts), len(self.summed)))
        if not self.summed:
            return sums
        for place, (values, present) in enumerate(read_columns(view, self.summed, start, stop)):
            numbers = np.where(present, np.asarray(values), 0).astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                sums[:, place] = np.add.reduceat(numbers, starts - start)
        return sums

    def _presence(self, view: Readable, starts: NDArray[np.int64], stop: int) -> NDArray[np.int64]:
        """(parts, fields) the number of rows that have each field. Only the index is read."""
        start = int(starts[0])
        steps = self.model.steps(view, start, stop)
        table = view.index_table(start, stop)
        part = np.searchsorted(steps[starts - start], table["step"], side="right") - 1
        types = [field.type_id for field in self.fields]
        width = max(int(table["type"].max(initial=0)), *types, 0) + 1
        counts = np.bincount(part * width + table["type"], minlength=len(starts) * width)
        return counts.reshape(len(starts), width)[:, types]
