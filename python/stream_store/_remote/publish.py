"""Publisher: the rounds of a `Shipper`, without threads.

A round:
1. Look at the durable part of the store. Nothing new: write nothing.
2. If records that were shipped are gone, write a manifest that says so.
3. Write the new records as packs, and after each pack the manifest that adds it.
4. Merge small packs in the background, and delete packs that were replaced a while ago.

Manifests have consecutive numbers and are created, never overwritten. Of two shippers, the one that
comes later continues the numbers, and the other one finds its next number taken.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stream_store._core import Source, crc32c
from stream_store._types import Progress
from stream_store.errors import DroppedError, Error, FencedError

from .bucket import Bucket
from .cut import find_cut
from .history import manifest_numbers, read_manifest, read_state
from .manifest import Begin, Cut, End, Manifest, Pack, State, as_written, encode, follow, make_pack
from .merge import Merge, Merger, choose_group
from .names import manifest_name, pack_name, schema_name
from .sweep import Sweeper

#: The level of packs that are too large to be merged.
LARGE = 1 << 16
#: How often a round begins again because rows were truncated or dropped meanwhile.
_TRIES = 10
#: Seconds between two looks whether the remote store still exists, while something is written.
LOOK_EVERY = 30.0
_RECORD_BYTES = 32
_VALUE_BYTES = 8


@dataclass(frozen=True)
class ShipReport:
    """The result of one round of a `Shipper`.

    Attributes:
        records: number of records that were shipped.
        bytes: number of bytes of packs that were written for them.
        rows: number of rows of the remote store now, dropped ones included.
        manifest: number of the newest manifest; -1 if there is none.

    Examples:
        >>> import stream_store
        >>> stream_store.ShipReport(records=2, bytes=256, rows=2, manifest=0).records
        2
    """

    records: int
    bytes: int
    rows: int
    manifest: int


def changed_meanwhile(error: Error) -> bool:
    """Whether the store was cut back, or rows were dropped, while they were read."""
    return type(error) is Error or isinstance(error, DroppedError)


class Publisher:
    """Ships one store to one bucket. Belongs to one thread at a time."""

    def __init__(self, path: str, bucket: Bucket, pack_bytes: int, grace: float) -> None:
        self._path = path
        self._bucket = bucket
        self._pack_bytes = pack_bytes
        self.id = uuid.uuid4().hex
        self._source: Source | None = None
        self._opened = (0, 0)  # device and inode of the `control` of the source
        self._state: State | None = None
        self._history = uuid.uuid4().hex  # of a remote store that this shipper begins
        self._began = False
        self._looked = 0.0
        self._fenced: FencedError | None = None
        self._schema: tuple[str, bytes] | None = None  # the last one that was written
        self._unnamed: set[str] = set()  # packs that were written, but that no manifest names
        self._merge: Merge | None = None  # for the next manifest
        self._merger = Merger(path, bucket, self.id)
        self._sweeper = Sweeper(bucket, grace)

    def close(self) -> None:
        """Wait for a merge under way."""
        self._merger.close()

    def durable_records(self) -> int:
        """The number of durable records now; -1 if it cannot be read."""
        try:
            return -1 if self._source is None else self._source.durable()[1][0]
        except (Error, OSError):
            return -1  # the next round raises it

    def round(self, progress: Progress | None = None) -> ShipReport:
        """Ship everything that is durable now. Raises FencedError again and again.

        If the store is truncated meanwhile, or rows are dropped that were to be shipped, the round
        begins again: what it has written is right up to there.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._round(progress)
            except Error as error:
                if not changed_meanwhile(error):
                    raise
        return self._round(progress)

    def _round(self, progress: Progress | None) -> ShipReport:
        if self._fenced is not None:
            raise self._fenced
        self._sweeper.later(self._unnamed)
        self._unnamed.clear()
        self._open_source()
        begin, end = (Begin(*place) for place in self._local.durable())
        self._begin()
        before = self._state
        if before is not None:
            begin = self._later_begin(begin, end)
            self._ship_cut(begin, end)
        first = max(begin.record, 0 if self._state is None else self._state.end.record)
        records = bytes_written = 0
        counts = progress is not None and first < end.record
        total = self._bytes_between(self._place(first, begin, end), end) if counts else 0
        for pack in self._write_packs(first, end.record):
            self._commit(begin, self._place(pack.end, begin, end), added=(pack,))
            records += pack.end - pack.first
            bytes_written += pack.bytes
            if progress is not None:
                progress(min(bytes_written, total), total)
        self._ship_rest(begin)
        self._sweep(wrote=self._state is not before)
        if self._state is None:
            return ShipReport(0, 0, 0, -1)
        durable = [pack for pack in self._state.packs if pack.end <= end.record]
        self._merger.start(choose_group(durable, begin.record, self._pack_bytes))
        newest = self._state.newest
        return ShipReport(records, bytes_written, newest.end.row, newest.number)

    @property
    def _local(self) -> Source:
        assert self._source is not None
        return self._source

    def _open_source(self) -> None:
        """Open the store, again if another one is at the path now."""
        try:
            found = Path(self._path, "control").stat()
        except FileNotFoundError:
            raise FileNotFoundError(f"{self._path}: shipping it: there is no store") from None
        if self._source is None or self._opened != (found.st_dev, found.st_ino):
            self._source = Source(self._path)
            self._opened = (found.st_dev, found.st_ino)
        if self._state is not None:
            self._require_same_store(self._state.newest)

    def _require_same_store(self, newest: Manifest) -> None:
        if newest.store != self._local.id:
            raise self._bucket.error(
                newest.name,
                f"it is a manifest of the store {newest.store}, but {self._path} is the store "
                f"{self._local.id}: ship it to another URL",
            )

    def _begin(self) -> None:
        """Continue after the newest manifest. The next one takes over from another shipper."""
        if self._began:
            return
        state = read_state(self._bucket)
        if state is not None:
            self._require_same_store(state.newest)
            self._sweeper.begin(state)
            self._state = state
            self._history = state.newest.history
            self._commit(state.begin, state.end)
        self._looked = time.monotonic()
        self._began = True

    def _later_begin(self, begin: Begin, end: Begin) -> Begin:
        """The later begin: rows that were dropped from the remote store do not come back.

        After a crash, a store may have rows again that it had dropped.
        """
        assert self._state is not None
        shipped = self._state.begin
        return shipped if begin.record < shipped.record < end.record else begin

    def _ship_cut(self, begin: Begin, end: Begin) -> None:
        """If records that were shipped are gone, say so, and ship again the rest of their pack."""
        assert self._state is not None
        cut = find_cut(self._local, self._state.packs, begin.record, end.record)
        if cut is None:
            return
        first = max(cut.packs[0].first, begin.record)
        self._commit(
            begin,
            self._place(cut.record, begin, end),
            added=tuple(self._write_packs(first, cut.record)),
            removed=[pack.name for pack in cut.packs],
            cut=cut.record,
        )

    def _write_packs(self, first: int, end: int) -> Iterator[Pack]:
        """Write the packs of records [first, end). The next one is read while one is uploaded."""
        if first < end:
            self._look()
        with ThreadPoolExecutor(1, "stream-store-upload") as pool:
            upload: Future[Pack] | None = None
            while first < end:
                data = self._local.pack(first, end, self._pack_bytes)
                pack = self._describe(data, first)
                if upload is not None:
                    yield upload.result()
                upload = pool.submit(self._upload, pack, data)
                first = pack.end
            if upload is not None:
                yield upload.result()

    def _describe(self, data: Any, first: int) -> Pack:
        records = int.from_bytes(data[48:56].tobytes(), "little")  # see docs/format.md, "Packs"
        _, _, _, session, checksum = self._local.record(first + records - 1)
        name = pack_name(first, records, crc32c(data), self.id)
        level = LARGE if len(data) > self._pack_bytes // 2 else 0
        return make_pack(name, len(data), level, checksum, session)

    def _upload(self, pack: Pack, data: Any) -> Pack:
        self._unnamed.add(pack.name)
        self._bucket.put(pack.name, data)
        return pack

    @staticmethod
    def _bytes_between(begin: End, end: Begin) -> int:
        records, values = end.record - begin.record, end.position - begin.position
        return records * _RECORD_BYTES + values * _VALUE_BYTES

    def _place(self, record: int, begin: Begin, end: Begin) -> End:
        """The rows and values before a record."""
        if record == end.record:
            return End(*end[:3])
        if record == begin.record:
            return End(*begin[:3])
        return End(record, self._local.record(record - 1)[1] + 1, self._local.record(record)[2])

    def _ship_rest(self, begin: Begin) -> None:
        """Writes a manifest if anything but records is new."""
        if self._state is None:
            return
        newest = self._state.newest
        schema = self._write_schema(newest.end.record)
        self._take_merge()
        if self._merge is not None or begin != newest.begin or schema != newest.schema:
            self._commit(begin, newest.end)

    def _write_schema(self, records: int) -> str:
        """The name of the schema of so many records, which is written if it is new."""
        schema = self._local.schema(records)
        if self._schema is None or self._schema[1] != schema:
            name = schema_name(schema, crc32c(schema))
            if self._state is None or self._state.newest.schema != name:
                self._bucket.put(name, schema)
            self._schema = (name, schema)
        return self._schema[0]

    def _take_merge(self) -> None:
        """Take a finished merge, unless its packs were removed meanwhile."""
        if self._merge is not None or self._state is None:
            return
        merge = self._merger.take()
        if merge is None:
            return
        if {pack.name for pack in merge.replaced} <= self._state.live():
            self._merge = merge
        else:
            self._sweeper.later([merge.merged.name])

    def _commit(
        self,
        begin: Begin,
        end: End,
        *,
        added: tuple[Pack, ...] = (),
        removed: Iterable[str] = (),
        cut: int | None = None,
    ) -> None:
        """Write the next manifest, with these changes and those that follow from them."""
        self._look()
        number = 0 if self._state is None else self._state.newest.number + 1
        gone = set(removed)
        self._take_merge()
        merge, self._merge = self._merge, None
        if merge is not None:
            self._unnamed.add(merge.merged.name)
            if not gone & {pack.name for pack in merge.replaced}:
                gone |= {pack.name for pack in merge.replaced}
                added = (*added, merge.merged)
        if self._state is not None:  # retention
            gone |= {pack.name for pack in self._state.packs if pack.end <= begin.record}
        added = tuple(pack for pack in added if pack.end > begin.record)
        changes = Manifest(
            number=number,
            history=self._history,
            store=self._local.id,
            shipper=self.id,
            schema=self._write_schema(end.record),
            begin=begin,
            end=end,
            time=time.time(),
            added=added,
            removed=tuple(sorted(gone)),
            cuts=() if cut is None else (Cut(number, cut),),
        )
        self._create(as_written(self._state, changes))

    def _look(self) -> None:
        """Make sure now and then that nobody has deleted the remote store meanwhile."""
        now = time.monotonic()
        if not self._began or self._state is None or now - self._looked < LOOK_EVERY:
            return
        name = self._state.newest.name
        if not self._bucket.exists(name):
            manifest_numbers(self._bucket)  # raises if even the bucket is gone
            raise self._bucket.error(
                name,
                "expected the manifest that this shipper wrote, but it is gone: restore the remote "
                "store, ship to another URL, or delete what is left and start again",
            )
        self._looked = now

    def _create(self, manifest: Manifest) -> None:
        """Create a manifest. That its number is taken means another shipper, or an answer lost."""
        if not self._bucket.create(manifest.name, encode(manifest)):
            found = read_manifest(self._bucket, manifest.number)
            if found is None or found.shipper != self.id:
                raise self._fence(manifest.number, found)
            if found != manifest:  # an earlier try of this round, of which no answer came
                self._adopt(found)
                raise self._bucket.error(
                    found.name, "it was written by an earlier try of this round", transient=True
                )
        self._adopt(manifest)

    def _fence(self, number: int, found: Manifest | None) -> FencedError:
        name = manifest_name(number)
        other = "unknown" if found is None else found.shipper
        self._fenced = FencedError(
            f"{self._bucket.url_of(name)}: expected a number that is free, but the shipper {other} "
            f"has written it: it has taken over from this shipper, {self.id}",
            self._bucket.url_of(name),
        )
        return self._fenced

    def _adopt(self, manifest: Manifest) -> None:
        """Continue after a manifest of this shipper."""
        known = set() if self._state is None else {pack.name for pack in self._state.retired}
        self._state = state = follow(self._state, manifest)
        self._unnamed -= state.live()
        self._sweeper.later(pack.name for pack in state.retired if pack.name not in known)
        self._sweeper.after(state)

    def _sweep(self, *, wrote: bool) -> None:
        """Delete the objects that are due, if this shipper still owns the remote store."""
        names = self._sweeper.due()
        if not names or self._state is None:
            return
        following = self._state.newest.number + 1
        if not wrote and self._bucket.exists(manifest_name(following)):
            raise self._fence(following, read_manifest(self._bucket, following))
        self._sweeper.delete(names, self._state.live())
        deleted = set(names)
        kept = tuple(pack for pack in self._state.retired if pack.name not in deleted)
        self._state = replace(self._state, retired=kept)
