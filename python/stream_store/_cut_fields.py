"""The fields that can cut the segments of a store, and those that do by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._fields import declared_fields
from ._retention import retention_of
from .features.names import batch_key

#: Fields that hold the number of an episode, in the order in which they are tried.
EPISODE_FIELDS = ("episode", "episode_index", "episode_id")


def default_cut_fields(store: Any) -> tuple[str, ...]:
    """The fields that cut the segments that a user is shown.

    They are `segment_by` of the store, or its field of episode numbers; empty if it has neither.
    """
    if by := retention_of(store).segment_by:
        return by
    numbers = {
        spec.name
        for spec in declared_fields(store).specs
        if not spec.hidden and not spec.shape and spec.info.kind in ("int", "uint")
    }
    return next(((name,) for name in EPISODE_FIELDS if name in numbers), ())


def cut_fields_text(store: Any) -> str:
    """The names of the fields that can cut segments, for messages."""
    names = [
        repr(spec.name)
        for spec in declared_fields(store).specs
        if not spec.hidden and not spec.shape and spec.info.kind in ("bool", "int", "uint")
    ]
    return ", ".join(names) or "none"


def repeated_value(
    store: Any, by: Sequence[str], starts: Sequence[int]
) -> tuple[int, int, int] | None:
    """A value of an int field that shows that segments are parts of interleaved episodes.

    Several environments that append side by side change the number of the episode with nearly
    every row, and come back to it. A store whose numbers begin again has longer segments.

    Args:
        store: a store or a snapshot.
        by: the fields that cut segments.
        starts: the first rows of all segments.

    Returns:
        The value, the row in which it is first, and a row in which it is again after others; None
        if most segments have several rows, or no value returns.
    """
    rows = np.asarray(starts, np.int64)
    if len(by) != 1 or len(rows) < 3:
        return None
    single = np.count_nonzero(np.diff(rows, append=store.num_rows) == 1)
    if 2 * single < len(rows):
        return None
    values = store.read_rows(rows, fields=list(by))[batch_key(by[0])]
    if values.dtype == bool:
        return None
    _, firsts, group = np.unique(values, return_index=True, return_inverse=True)
    again = np.flatnonzero(firsts[group] != np.arange(len(values)))
    if not len(again):
        return None
    return int(values[again[0]]), int(rows[firsts[group[again[0]]]]), int(rows[again[0]])
