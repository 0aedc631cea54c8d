"""The fields that can cut the segments of a store, and those that do by default."""

from __future__ import annotations

from typing import Any

from ._fields import declared_fields
from ._retention import retention_of

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
