"""Merging small packs: which to merge, and reading them again from the local store.

Each round ships a small pack. When there are enough of one level, one pack of the next level
replaces them, so that a day of rounds becomes a few objects. Nothing is downloaded for this.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from stream_store._core import Source, crc32c
from stream_store.errors import DroppedError, Error

from .bucket import Bucket
from .manifest import Pack, make_pack
from .names import pack_name

#: Packs of one level that are merged into one.
FAN = 16


def choose_group(packs: Sequence[Pack], begin: int, most_bytes: int) -> tuple[Pack, ...]:
    """Adjacent packs of one level to be merged now; () if there are none.

    They are FAN packs, or fewer if they would exceed `most_bytes` otherwise. Packs with dropped
    records are left out: the local store may lack them.
    """
    kept = [pack for pack in packs if pack.first >= begin]
    for _level, run in itertools.groupby(kept, key=lambda pack: pack.level):
        group: list[Pack] = []
        size = 0
        for pack in run:
            if size + pack.bytes > most_bytes:
                if len(group) > 1:
                    return tuple(group)
                group, size = [], 0
            group.append(pack)
            size += pack.bytes
            if len(group) == FAN:
                return tuple(group)
    return ()


@dataclass(frozen=True)
class Merge:
    """A pack that was written, and those that it replaces."""

    merged: Pack
    replaced: tuple[Pack, ...]


class Merger:
    """Merges one group at a time in a thread, so that shipping does not wait for it."""

    def __init__(self, path: str, bucket: Bucket, shipper: str) -> None:
        self._path = path
        self._bucket = bucket
        self._shipper = shipper
        self._pool = ThreadPoolExecutor(1, "stream-store-merge")
        self._job: Future[Merge | None] | None = None
        self._closed = False

    def start(self, group: tuple[Pack, ...]) -> None:
        """Begin to merge a group, unless another one is under way."""
        if self._job is None and group and not self._closed:
            self._job = self._pool.submit(self._merge, group)

    def take(self) -> Merge | None:
        """The finished merge, once; None if there is none. Raises the error that ended it."""
        job = self._job
        if job is None or not job.done():
            return None
        self._job = None
        return job.result()

    def close(self) -> None:
        """Wait for the merge under way. Nothing is merged afterwards."""
        self._closed = True
        self._pool.shutdown()

    def _merge(self, group: tuple[Pack, ...]) -> Merge | None:
        try:
            return self._merge_now(group)
        except DroppedError:
            return None
        except Error as error:
            if type(error) is not Error:  # else the store was cut back meanwhile
                raise
            return None

    def _merge_now(self, group: tuple[Pack, ...]) -> Merge | None:
        first, last = group[0].first, group[-1]
        source = Source(self._path)
        (begin, *_), (end, *_) = source.durable()
        if begin > first or end < last.end:
            return None
        _, _, _, session, checksum = source.record(last.end - 1)
        if (checksum, session) != (last.checksum, last.session):
            return None  # the store was cut back
        data = source.pack(first, last.end, 1 << 62)
        name = pack_name(first, last.end - first, crc32c(data), self._shipper)
        self._bucket.put(name, data)
        level = 1 + max(pack.level for pack in group)
        return Merge(make_pack(name, len(data), level, last.checksum, last.session), group)
