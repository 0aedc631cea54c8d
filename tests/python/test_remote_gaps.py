"""What a mirror missed, and objects that are gone: an error that names them, and never old rows."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remote_helpers import Remote, assert_same, memory
from stream_store import RemoteError, Shipper, StreamStore
from stream_store._remote import manifest as manifests
from stream_store._remote import publish
from stream_store._remote.bucket import Bucket
from stream_store._remote.history import read_state
from test_remote_manifests import fold, manifest, pack

X = {"x": "int64"}


@pytest.fixture
def source(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "source", fields=X)


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return tmp_path / "replica"


def extend(store: StreamStore, first: int, count: int) -> None:
    store.extend({"x": np.arange(first, first + count)})


# --- crashes of the writer ---

WRITE_AND_DIE = """
import os, sys
from stream_store import StreamStore
store = StreamStore(sys.argv[1], fields={"x": "int64"}, sync_seconds=None)
for end in (10, 20, 30):
    store.extend({"x": range(end - 10, end)})
    store.sync()
store.extend({"x": range(30, 35)})
os._exit(0)
"""


def interrupt_sync(store: Path, durable: int) -> None:
    """Make a store as if a kill had interrupted a sync; "live words" in format.md has the words."""
    with (store / "control").open("r+b") as control:
        control.seek(65536 + 144)
        control.write(struct.pack("<QQ", 2, durable))


@pytest.mark.parametrize("durable", [10, 20, 30])
def test_a_sync_that_a_crash_interrupted_cuts_nothing(
    tmp_path: Path, replica: Path, durable: int
) -> None:
    """Fewer records may be known to be durable than were shipped; they are there all the same."""
    path = tmp_path / "source"
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, path], check=True)
    remote = memory()
    assert remote.shipper(path).ship_now().rows == 30
    mirror = remote.mirror(replica)
    mirror.pull()
    interrupt_sync(path, durable)
    counts = []
    shipper = remote.shipper(path)
    assert shipper.ship_now(lambda *now: counts.append(now)).rows == 30
    with StreamStore(path) as store:
        assert shipper.ship_now().rows == 30
        assert mirror.pull().rows == 30
        extend(store, 35, 5)
        store.sync()
        assert shipper.ship_now().records == 10
    assert mirror.pull().rows == 40
    assert counts == []
    assert read_state(remote.bucket).cuts == ()
    assert_same(path, replica)


def test_a_drop_that_a_crash_took_back_stays_in_the_remote_store(
    tmp_path: Path, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = StreamStore(tmp_path / "source", fields=X)
    extend(source, 0, 100)
    source.sync()
    remote = memory()
    shipper = remote.shipper(source)
    old = publish.Source(source.path).durable()
    source.drop_before(60)
    shipper.ship_now()
    extend(source, 100, 50)
    source.sync()
    new = publish.Source(source.path).durable()
    monkeypatch.setattr(shipper._publisher, "_source", Durable(shipper, (old[0], new[1])))
    shipper.ship_now()
    state = read_state(remote.bucket)
    assert (state.begin.row, state.end.row) == (60, 150)
    remote.mirror(replica).pull()
    with StreamStore(replica, "r") as kept:
        assert (kept.first_row, kept.num_rows) == (60, 150)


class Durable:
    """A source with another durable part."""

    def __init__(self, shipper: Shipper, part: Any) -> None:
        self._source = shipper._publisher._source
        self._part = part

    def durable(self) -> Any:
        self._source.durable()
        return self._part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


# --- truncations that a mirror missed ---


@pytest.mark.parametrize("again", [False, True])
def test_a_cut_is_known_after_its_records_were_dropped(
    source: StreamStore, replica: Path, tmp_path: Path, again: bool
) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    extend(source, 0, 100)
    shipper.ship_now()
    mirror.pull()
    source.truncate(50)
    extend(source, 1000, 50)
    shipper.ship_now()
    source.drop_before(60)
    shipper.ship_now()
    if again:
        for row in range(300):  # the next full manifests know it, too
            extend(source, row, 1)
            shipper.ship_now()
        mirror = remote.mirror(replica)
    with pytest.raises(RemoteError, match=r"a gap: .* mirror it to a new path"):
        mirror.pull()
    with StreamStore(replica, "r") as kept:
        assert [row["x"] for row in kept.rows()] == list(range(50))
    remote.mirror(tmp_path / "new").pull()
    assert_same(source.path, tmp_path / "new")


def test_a_replica_without_a_note_that_is_younger_than_a_cut(
    source: StreamStore, replica: Path
) -> None:
    remote = memory()
    shipper = remote.shipper(source, pack_bytes=1000)
    extend(source, 0, 100)
    shipper.ship_now()
    source.truncate(50)
    extend(source, 1000, 50)
    source.drop_before(60)
    shipper.ship_now()
    remote.mirror(replica).pull()
    (replica / "mirror").unlink()  # as if it was killed before it wrote the note
    extend(source, 2000, 10)
    shipper.ship_now()
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_a_joined_cut_costs_only_a_download(
    source: StreamStore, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "MOST_CUTS", 1)
    remote = memory()
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    extend(source, 0, 100)
    shipper.ship_now()
    source.truncate(50)
    extend(source, 1000, 50)
    source.drop_before(60)
    shipper.ship_now()
    mirror.pull()
    source.truncate(90)
    extend(source, 2000, 20)
    shipper.ship_now()
    mirror.pull()
    assert_same(source.path, replica)


def test_a_remote_store_that_was_shipped_anew_has_all_cuts(
    source: StreamStore, replica: Path
) -> None:
    remote = memory()
    shipper = remote.shipper(source)
    for row in range(5):
        extend(source, row, 1)
        shipper.ship_now()
    remote.mirror(replica).pull()
    for folder in ("packs", "manifests", "schemas"):
        for name in remote.names(folder):
            remote.bucket.delete(name)
    shipper = remote.shipper(source)
    shipper.ship_now()
    source.truncate(3)
    extend(source, 1000, 4)
    shipper.ship_now()
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_many_cuts_become_fewer_that_remove_as_much() -> None:
    most = manifests.MOST_CUTS
    changes = [manifest(0, 1, added=(pack(0, 1),))]
    for number in range(1, most + 50):
        end = number + 1
        cuts = (manifests.Cut(number, number),)
        changes.append(manifest(number, end, added=(pack(number, end),), cuts=cuts))
    state = fold(changes)
    assert len(state.cuts) == most
    for applied in range(0, most + 49, 7):
        left = min(cut.record for cut in state.cuts if cut.number > applied)
        assert left <= applied + 1
    assert state.cuts[1:] == tuple(change.cuts[0] for change in changes[-most + 1 :])


# --- manifests that are missing ---


def five_manifests(source: StreamStore) -> tuple[Remote, Any]:
    remote = memory()
    shipper = remote.shipper(source)
    for row in range(5):
        extend(source, row * 10, 10)
        shipper.ship_now()
    return remote, shipper


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_missing_manifest_is_named_by_all(
    source: StreamStore, replica: Path, number: int
) -> None:
    remote, _ = five_manifests(source)
    name = remote.names("manifests")[number]
    remote.bucket.delete(name)
    left = [remote.names(folder) for folder in ("packs", "manifests", "schemas")]
    match = rf"{name}: expected a manifest, because later ones exist"
    with pytest.raises(RemoteError, match=match) as caught:
        remote.mirror(replica).pull()
    assert not caught.value.transient
    assert not replica.exists()
    extend(source, 50, 10)
    with pytest.raises(RemoteError, match=match):
        remote.shipper(source).ship_now()
    assert [remote.names(folder) for folder in ("packs", "manifests", "schemas")] == left
    assert [(f.severity, f.file) for f in remote.verify().findings] == [("damage", name)]


def test_a_running_mirror_names_a_missing_manifest(source: StreamStore, replica: Path) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    for row in range(5):
        extend(source, row, 1)
        shipper.ship_now()
        if row == 1:
            mirror.pull()
    name = remote.names("manifests")[3]
    remote.bucket.delete(name)
    mirror.pull()  # what is there
    with pytest.raises(RemoteError, match=name):
        mirror.pull()


def test_a_remote_store_that_is_wiped_is_noticed(
    source: StreamStore, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, shipper = five_manifests(source)
    for folder in ("packs", "manifests", "schemas"):
        for name in remote.names(folder):
            remote.bucket.delete(name)
    monkeypatch.setattr(publish, "LOOK_EVERY", 0.0)
    assert shipper.ship_now().records == 0  # without new rows, it does not look
    extend(source, 50, 10)
    for _ in range(2):
        with pytest.raises(RemoteError, match=r"manifests/0{19}4\.json: .* it is gone") as caught:
            shipper.ship_now()
        assert not caught.value.transient
        assert remote.names("packs") == remote.names("manifests") == []
    remote.shipper(source).ship_now()  # a new one ships everything again
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_a_shipper_looks_seldom(source: StreamStore, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    exists = Bucket.exists
    monkeypatch.setattr(
        Bucket, "exists", lambda self, name: looks.append(name) or exists(self, name)
    )
    _, shipper = five_manifests(source)
    assert looks == []
    shipper._publisher._looked = -1e9  # as if that was long ago
    for row in range(5):
        extend(source, row, 1)
        shipper.ship_now()
    assert len(looks) == 1


def test_one_pull_finds_what_follows_a_deleted_manifest(source: StreamStore, replica: Path) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source, grace=0), remote.mirror(replica)
    extend(source, 0, 10)
    shipper.ship_now()
    mirror.pull()
    for row in range(300):
        extend(source, row, 1)
        shipper.ship_now()
    assert remote.mirror(replica.parent / "other").pull().rows == 310
    assert mirror.pull().rows == 310
    assert_same(source.path, replica)
