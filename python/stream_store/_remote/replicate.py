"""Replicator: the rounds of a `Mirror`, without threads.

A round:
1. Read the manifests that are new. A mirror that was away for long begins with the newest full one.
2. If the source has removed records since the last round, truncate the replica.
3. Download the packs from the end of the replica on, verify and apply them.
4. Add fields and drop rows as the source did, sync, and note the number of the manifest.

The replica itself says where to continue, so a mirror that is killed downloads nothing twice. The
number of the manifest is only needed to know which truncations are new: one that is too low costs a
download, never correctness. Without it, and if the remote store was deleted and shipped again,
everything is downloaded again.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stream_store._core import Replica
from stream_store._file_errors import naming
from stream_store._types import Progress
from stream_store.errors import CorruptStoreError, Error, VersionError

from .bucket import Bucket
from .fetch import DamagedPackError, MissingPackError, choose_packs, download
from .history import (
    OtherHistoryError,
    manifest_numbers,
    read_manifest,
    read_on,
    read_schema,
    read_state,
)
from .manifest import Pack, State

#: The file in a replica that names the last manifest.
NOTE = "mirror"
#: Seconds after which a mirror that sees nothing new looks whether the remote store still exists.
LOOK_EVERY = 30.0


@dataclass(frozen=True)
class PullReport:
    """The result of one round of a `Mirror`.

    Attributes:
        records: number of records that were applied.
        bytes: number of bytes of packs that were downloaded.
        rows: number of rows of the replica now, dropped ones included.
        manifest: number of the newest manifest; -1 if there is none yet.
        age: seconds since the newest manifest was written, by the clocks of both hosts.

    Examples:
        >>> import stream_store
        >>> stream_store.PullReport(records=0, bytes=0, rows=0, manifest=-1, age=0.0).rows
        0
    """

    records: int
    bytes: int
    rows: int
    manifest: int
    age: float


class Replicator:
    """Keeps one replica. Belongs to one thread at a time."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        self._bucket = bucket
        self._path = path
        self._replica: Replica | None = None
        self._opened = (0, 0)  # device and inode of its `control`
        self._state: State | None = None
        self._looked = 0.0
        # The last manifest whose truncations were made, and its history.
        self._applied: tuple[str, int] | None = None
        self._schema: tuple[str, memoryview] | None = None
        self._missing: set[str] = set()  # retired packs that were deleted

    def close(self) -> None:
        """Close the replica. The next round opens it again."""
        replica, self._replica = self._replica, None
        if replica is not None:
            replica.close()

    def round(self, progress: Progress | None = None, *, look: bool = True) -> PullReport:
        """Bring the replica up to date. Without `look`, look only now and then.

        A look finds manifests that were written after one that was deleted already.
        """
        state = self._read(look=look)
        self._require_in_place()
        if state is None:
            return PullReport(0, 0, 0, -1, 0.0)
        self._open(state)
        self._follow_cuts(state)
        records, downloaded = self._apply(progress)
        self._finish(changed=bool(records))
        assert self._state is not None
        newest = self._state.newest
        age = max(0.0, time.time() - newest.time)
        return PullReport(records, downloaded, newest.end.row, newest.number, age)

    # --- manifests ---

    def _read(self, *, look: bool) -> State | None:
        if self._state is None:
            self._state = read_state(self._bucket)
            self._looked = time.monotonic()
            return self._state
        before = self._state.newest.number
        self._read_on(self._state)
        look = look or time.monotonic() - self._looked > LOOK_EVERY
        if self._state.newest.number == before and look:
            self._look(before)
        return self._state

    def _read_on(self, state: State) -> None:
        """Read the manifests that follow, or those of another history."""
        try:
            self._state = read_on(self._bucket, state)
        except OtherHistoryError:
            self._state = read_state(self._bucket) or state

    def _look(self, newest: int) -> None:
        """Make sure that there is nothing new: the next manifest may have been deleted.

        That happens while a mirror is away for long, or if the remote store is shipped again.
        """
        self._looked = time.monotonic()
        assert self._state is not None
        name = self._state.newest.name
        same = read_manifest(self._bucket, newest)
        of_history = same is not None and same.history == self._state.newest.history
        if of_history and not manifest_numbers(self._bucket, newest):
            return
        found = read_state(self._bucket)
        if found is None:
            raise self._bucket.error(
                name,
                "expected the manifest that was there, but it is gone: restore the remote store, "
                "or ship to another URL and mirror that",
            )
        self._state = found

    def _schema_of(self, state: State) -> memoryview:
        if self._schema is None or self._schema[0] != state.newest.schema:
            self._schema = (state.newest.schema, read_schema(self._bucket, state))
        return self._schema[1]

    # --- the replica ---

    def _open(self, state: State) -> None:
        """Open the replica if it is there, and make sure that it is one of this source."""
        if self._replica is None:
            if not Path(self._path, "control").exists():
                return
            self._replica = Replica(self._path)
            self._opened = self._identity()
            self._applied = self._read_note(state)
        parent = self._replica.parent
        if parent != state.newest.store:
            raise self._bucket.error(
                state.newest.name,
                f"it is of the store {state.newest.store}, but {self._path} is "
                + (f"a replica of {parent}" if int(parent, 16) else "no replica"),
            )

    def _identity(self) -> tuple[int, int]:
        found = Path(self._path, "control").stat()
        return found.st_dev, found.st_ino

    def _require_in_place(self) -> None:
        """Notice that the replica was deleted or moved; the next round does without it."""
        if self._replica is None:
            return
        with suppress(OSError):
            if self._identity() == self._opened:
                return
        with suppress(Error, OSError):
            self.close()
        raise FileNotFoundError(
            f"{self._path}: the replica was deleted or moved while it was mirrored; mirror it again"
        )

    def _follow_cuts(self, state: State) -> None:
        if self._replica is not None:
            history, number = self._applied or ("", -1)
            if history != state.newest.history:
                self._truncate(self._replica, 0)  # nothing says which records are equal
            elif cuts := [cut.record for cut in state.cuts if cut.number > number]:
                self._truncate(self._replica, min(cuts))
        self._applied = (state.newest.history, state.newest.number)

    @staticmethod
    def _truncate(replica: Replica, record: int) -> None:
        """Remove the records from this one on."""
        begin, end = replica.range()
        if record <= begin[0]:  # older than the replica, or joined with one that is
            # The first pack that is applied verifies the row that is kept.
            replica.truncate(begin[1] + (1 if begin[0] else 0))
        elif record < end[0]:
            replica.truncate(replica.record(record)[1])

    def _apply(self, progress: Progress | None) -> tuple[int, int]:
        """Apply all packs that are new. Returns the numbers of records and of downloaded bytes."""
        records = downloaded = 0
        while True:
            state = self._state
            assert state is not None
            packs = choose_packs(state, self._next_record(state), self._missing)
            total = downloaded + sum(pack.bytes for pack in packs)
            try:
                for pack, data in download(self._bucket, packs):
                    records += self._apply_pack(state, pack, data)
                    downloaded += pack.bytes
                    if progress is not None:
                        progress(downloaded, total)
                return records, downloaded
            except MissingPackError as error:
                self._note_missing(state, error.pack)
            except DamagedPackError as error:
                if error.pack.name in state.live():
                    raise
                self._missing.add(error.pack.name)  # the pack that replaced it has its records

    def _note_missing(self, state: State, pack: Pack) -> None:
        """Read on after a pack was not there; newer manifests replace it."""
        self._missing.add(pack.name)
        self._read_on(state)
        assert self._state is not None
        if pack.name in self._state.live():
            self._look(self._state.newest.number)
            assert self._state is not None
            if pack.name in self._state.live():
                raise self._bucket.error(
                    pack.name, f"expected a pack, because {state.newest.name} lists it"
                )
        self._follow_cuts(self._state)

    def _next_record(self, state: State) -> int:
        begin, end = state.begin.record, state.end.record
        if self._replica is None:
            return begin
        at = self._replica.range()[1][0]
        if at > end:
            raise self._bucket.error(
                state.newest.name,
                f"its records end at {end}, but {self._path} has records up to {at}: another "
                "program has appended to the replica",
            )
        if at < begin:
            raise self._bucket.error(
                state.newest.name,
                f"a gap: the source has dropped the records from {at} to {begin} before they were "
                f"mirrored to {self._path}: mirror it to a new path",
            )
        if at == begin and tuple(state.begin[1:3]) != tuple(self._replica.range()[1][1:3]):
            raise self._bucket.error(
                state.newest.name,
                f"a gap: the source has replaced the records before {begin}, and dropped them "
                f"before they were mirrored to {self._path}: mirror it to a new path",
            )
        return at

    def _apply_pack(self, state: State, pack: Pack, data: memoryview) -> int:
        url = self._bucket.url_of(pack.name)
        schema = self._schema_of(state)
        try:
            if self._replica is None:
                self._replica = Replica(self._path, data, schema, state.begin)
                self._opened = self._identity()
                self._write_note()
                return self._replica.range()[1][0] - state.begin.record
            return self._replica.apply(data, schema, url)
        except (CorruptStoreError, VersionError, IndexError, ValueError) as error:
            differs = "is another one in the source" in str(error)
            advice = f": mirror it to a new path instead of {self._path}" if differs else ""
            text = str(error) if str(error).startswith(url) else f"{url}: {error}"
            raise DamagedPackError(pack, f"{text}{advice}", url) from error

    def _finish(self, *, changed: bool) -> None:
        state, replica = self._state, self._replica
        assert state is not None
        if replica is None:
            return
        replica.add_fields(self._schema_of(state))
        begin, end = replica.range()
        if begin[1] < state.begin.row < end[1]:
            replica.drop_before(state.begin.row)
        if changed or self._noted != (state.newest.history, state.newest.number):
            replica.sync()
            self._write_note()

    # --- the note ---

    _noted = ("", -1)

    def _write_note(self) -> None:
        assert self._state is not None
        newest = self._state.newest
        facts = {"store": newest.store, "history": newest.history, "manifest": newest.number}
        text = json.dumps(facts)
        temporary = Path(self._path, NOTE + ".tmp")
        with naming(temporary, "mirror"):
            temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(Path(self._path, NOTE))
        self._noted = (newest.history, newest.number)

    def _read_note(self, state: State) -> tuple[str, int] | None:
        """The manifest in the note; None if it is not one of this remote store."""
        try:
            note = json.loads(Path(self._path, NOTE).read_text(encoding="utf-8"))
            number = int(note["manifest"])
            same = note["history"] == state.newest.history and number <= state.newest.number
            return (state.newest.history, number) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
