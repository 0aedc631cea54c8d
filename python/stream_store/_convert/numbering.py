"""Numbers of episodes: an import that adds to a store continues those that the store has."""

from __future__ import annotations

from stream_store._fields import declared_fields
from stream_store._statistics import collect
from stream_store._store_life import StoreLife

from .source import Source


def offset_after(store: StoreLife, first_row: int, source: Source) -> int:
    """What to add to the numbers of a source, so that they are greater than those of a store.

    0 if the store has no number, or only smaller ones: a part of a data set that follows another
    part keeps its numbers.

    Args:
        store: where the episodes are added.
        first_row: the row with which the import begins.
        source: has the numbers.

    Raises:
        ValueError: no int64 is left for the numbers.
    """
    last = _last_number(store, first_row, source.episode_field)
    first, end = source.episode_numbers
    if last is None or last < first:
        return 0
    offset = last + 1 - first
    if end + offset >= 2**63:
        raise ValueError(
            f"{source.path}: {source.format}: append: the store has the episode {last}, so the "
            f"field {source.episode_field!r} cannot hold the numbers after it"
        )
    return offset


def _last_number(store: StoreLife, stop: int, name: str | None) -> int | None:
    """The greatest number of an episode in the rows before `stop`."""
    if name is None or not store.fields or not stop:
        return None
    spec = next((one for one in declared_fields(store).specs if one.name == name), None)
    if spec is None or spec.shape or spec.info.kind not in ("int", "uint"):
        return None
    greatest = collect(store.snapshot(stop), [name], (), None)[name].max
    return None if greatest is None else int(greatest)


def change_of(source: Source) -> dict[str, str]:
    """The entry of the report for numbers that were changed."""
    if source.episode_field is None or not source.episode_offset:
        return {}
    first, last = source.episode_numbers
    offset = source.episode_offset
    old, new = (
        f"{one}" if one == other else f"{one} to {other}"
        for one, other in ((first, last), (first + offset, last + offset))
    )
    return {source.episode_field: f"{old} -> {new}, after those of the store"}
