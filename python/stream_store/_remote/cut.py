"""Finds where a store was cut back since its records were shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_store._core import Source

from .manifest import Pack

#: Session numbers are stored with 16 bits; a store never has that many sessions in one pack.
_SESSIONS = 1 << 16


@dataclass(frozen=True)
class CutBack:
    """Records from `record` on are gone from the store; `packs` have at least one of them."""

    record: int
    packs: tuple[Pack, ...]


def find_cut(source: Source, packs: Sequence[Pack], begin: int, end: int) -> CutBack | None:
    """Where the records from `begin` on differ from those of the packs; None if they do not.

    A record that was appended after a truncation has another session than all records that were
    there before, so equal checksums and sessions mean equal records up to there.

    The durable records end at `end`. Records of packs may lie after it: after a crash during a
    sync, fewer records are known to be durable than before.
    """

    def same(pack: Pack) -> bool:
        if pack.end - 1 < begin:  # it was dropped since
            return True
        if pack.end > source.num_records:
            return False
        _, _, _, session, checksum = source.record(pack.end - 1)
        return (checksum, session) == (pack.checksum, pack.session)

    good = len(packs)
    while good and not same(packs[good - 1]):
        good -= 1
    if good == len(packs):
        return None
    first = packs[good]
    record = _first_new(source, first, max(first.first, begin), min(first.end, end))
    while begin < record < end and source.record(record)[1] == source.record(record - 1)[1]:
        record -= 1  # to the first record of its row
    return CutBack(record, tuple(pack for pack in packs if pack.end > record))


def _first_new(source: Source, pack: Pack, low: int, high: int) -> int:
    """The first record in [low, high) of a later session than the pack; `high` if there is none."""
    low = min(low, high)
    while low < high:
        middle = (low + high) // 2
        newer = (source.record(middle)[3] - pack.session) % _SESSIONS
        if 0 < newer < _SESSIONS // 2:
            high = middle
        else:
            low = middle + 1
    return low
