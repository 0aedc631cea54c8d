"""Where segments begin, found block by block; `StreamStore.segments` does all rows at once.

Views show segments while they are being found, and exporters read large stores without mapping all
of them, so both read the fields that cut segments in blocks and carry a `CutState` from one block
to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


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
