"""Where segments begin, found block by block; `StreamStore.segments` does all rows at once.

Views show segments while they are being found, and exporters read large stores without mapping all
of them, so both read the fields that cut segments in blocks and carry a `CutState` from one block
to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .features.names import batch_key

_AT_ONCE = 1 << 15  # rows whose numbers are read together


class Reads(Protocol):
    """A store, as far as its rows are read here."""

    @property
    def num_rows(self) -> int: ...

    def read_rows(self, rows: Any, *, fields: Sequence[str]) -> dict[str, Any]: ...


class CutState(NamedTuple):
    """The rows before a block, as far as they decide about the cuts in it.

    Attributes:
        value: of the int field, in the last row that has it; None before the first one.
        ended: whether a bool field is true in the last row.
    """

    value: int | None = None
    ended: bool = False


def find_cuts(
    columns: Sequence[tuple[NDArray[Any], NDArray[np.bool_]]], before: CutState
) -> tuple[NDArray[np.int64], CutState]:
    """Find the rows of a block at which a segment begins because the one before it has ended.

    Args:
        columns: the values, and where they are present, of the int field or of the bool fields that
            cut segments. At least one row.
        before: of the block before, or `CutState()`.

    Returns:
        The rows, counted from 0 in the block, and the state for the next block.
    """
    values, present = columns[0]
    if values.dtype == bool:
        ends = np.logical_or.reduce([ends & there for ends, there in columns])
        begins = np.flatnonzero(np.concatenate([[before.ended], ends[:-1]]))
        return begins, CutState(ended=bool(ends[-1]))
    rows = np.flatnonzero(present)
    if not len(rows):
        return rows, before
    given = values[rows]
    first = given[:1] if before.value is None else np.array([before.value], given.dtype)
    changes = given != np.concatenate([first, given[:-1]])
    return rows[changes], CutState(value=int(given[-1]))


def find_interleaved(view: Reads, field: str, starts: Sequence[int]) -> tuple[int, int] | None:
    """Find two rows of one episode between which there are rows of other episodes only.

    The rows of environments that step together alternate between their episodes, so that each
    segment has one row. Segments of one row that return to the same number are such rows; longer
    ones may return, as the phases of a task do.

    Args:
        view: a snapshot.
        field: the field that cuts the segments; of a bool field, nothing is found.
        starts: the first rows of all segments that it cuts.

    Returns:
        The first two such rows, or None.
    """
    single = np.diff([*starts, view.num_rows]) == 1
    # Sequences of segments of one row, as [begin, end); the segment at `end` may return, too.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], single, [False]]).astype(np.int8)))
    key = batch_key(field)
    for begin, end in edges.reshape(-1, 2).tolist():
        rows = starts[begin : end + 1]
        seen: dict[int, int] = {}
        for first in range(0, len(rows) if end - begin > 1 else 0, _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            batch = view.read_rows(np.asarray(some), fields=[field])
            if batch[key].dtype == bool:
                return None
            pairs = zip(some, batch[key].tolist(), batch["_mask"][key].tolist(), strict=True)
            for row, number, present in pairs:
                if present and seen.setdefault(number, row) != row:
                    return seen[number], row
    return None


def interleaved_text(view: Reads, field: str, rows: tuple[int, int]) -> str:
    """What `find_interleaved` has found, for messages."""
    found = view.read_rows(np.array([rows[0], rows[0] + 1]), fields=[field])[batch_key(field)]
    return (
        f"the rows of several episodes are interleaved: rows {rows[0]} and {rows[1]} have "
        f"{field} {found[0]}, but row {rows[0] + 1} has {field} {found[1]}"
    )
