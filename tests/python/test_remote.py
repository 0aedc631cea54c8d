"""Shipper and Mirror: a replica has the durable rows of its source, under the same numbers."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from model_process import PATIENCE
from remote_helpers import FIELDS, Remote, append, assert_same, content, memory, wait_until
from stream_store import StoreGroup, StreamStore, WindowSampler
from stream_store._remote.bucket import Bucket


@pytest.fixture
def source(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "source", fields=FIELDS)


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return tmp_path / "replica"


def settle(shipper: Any) -> None:
    """Wait for a merge in the background."""
    job = shipper._publisher._merger._job
    wait_until(lambda: job is None or job.done())


def test_a_replica_follows_its_source(remote: Remote, source: StreamStore, replica: Path) -> None:
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    assert mirror.pull().manifest == -1
    assert shipper.ship_now().manifest == -1
    assert not replica.exists()
    for count in (1, 3, 50, 0, 7):
        append(source, count)
        shipped, pulled = shipper.ship_now(), mirror.pull()
        assert shipped.rows == pulled.rows == source.num_rows
        assert shipped.records == pulled.records
        if count:
            assert shipped.bytes == pulled.bytes > 0
        assert_same(source.path, replica)
    assert remote.verify().ok
    assert remote.verify().rows == source.num_rows


def test_every_kind_of_field_arrives(replica: Path, tmp_path: Path) -> None:
    fields = {
        "image": "packed uint8[4,4]",
        "text": "packed string",
        "chat": "nested list<struct<role: string, content: string>>",
        "when": "timestamp[ns]",
        "list": "float64[]",
    }
    with StreamStore(tmp_path / "source", fields=fields) as store:
        for row in range(20):
            store.append_step(
                {
                    "image": np.full((4, 4), row),
                    "text": "é" * row,
                    "chat": [{"role": "user", "content": "x" * row}] * (row % 3),
                    "when": np.datetime64(row, "ns"),
                    "list": [np.nan, -0.0][: row % 3],
                }
            )
        remote = memory()
        remote.shipper(store).ship_now()
        rows = [repr(row) for row in store.rows()]
    remote.mirror(replica).pull()
    with StreamStore(replica, "r") as copy:
        assert [repr(row) for row in copy.rows()] == rows
        assert dict(copy.features) == dict(StreamStore(tmp_path / "source", "r").features)


def test_only_durable_rows_are_shipped(remote: Remote, source: StreamStore, replica: Path) -> None:
    shipper = remote.shipper(source.path)  # of a path: nothing is synced for it
    append(source, 10)
    assert shipper.ship_now().records == 0
    source.sync()
    append(source, 5)
    assert shipper.ship_now().rows == 10
    assert remote.mirror(replica).pull().rows == 10


def test_nothing_new_writes_nothing(source: StreamStore, replica: Path) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    append(source, 10)
    shipper.ship_now()
    before = [remote.names(folder) for folder in ("packs", "manifests", "schemas")]
    for _ in range(5):
        assert shipper.ship_now().records == 0
        mirror.pull()
    assert [remote.names(folder) for folder in ("packs", "manifests", "schemas")] == before


def test_large_rounds_are_several_packs(source: StreamStore, replica: Path) -> None:
    remote = memory()
    append(source, 500)
    seen: list[tuple[int, int]] = []
    shipper = remote.shipper(source, pack_bytes=4000)
    shipper.ship_now(lambda done, total: seen.append((done, total)))
    assert len(remote.names("packs")) > 5
    assert all(size <= 4000 for size in remote.bucket.list("packs").values())
    assert len(seen) == len(remote.names("packs"))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    pulled: list[tuple[int, int]] = []
    remote.mirror(replica).pull(lambda done, total: pulled.append((done, total)))
    assert pulled[-1][0] == pulled[-1][1]
    assert_same(source.path, replica)


def test_a_mirror_that_starts_again_downloads_nothing_twice(
    source: StreamStore, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = memory()
    shipper = remote.shipper(source, pack_bytes=2000)
    got: list[str] = []
    get = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, name: got.append(name) or get(self, name))
    for _ in range(60):
        append(source, 3)
        shipper.ship_now()
        remote.mirror(replica).pull()  # a new one each time
    assert_same(source.path, replica)
    packs = [name for name in got if name.startswith("packs/")]
    assert len(packs) == len(set(packs))


def test_small_packs_are_merged_and_deleted_later(source: StreamStore, replica: Path) -> None:
    remote = memory()
    shipper = remote.shipper(source, grace=0)
    for _ in range(100):
        append(source, 2)
        shipper.ship_now()
        settle(shipper)
    shipper.ship_now()
    shipper.ship_now()
    assert len(remote.names("packs")) <= 16 + 100 // 16 + 2
    assert remote.mirror(replica).pull().rows == 200
    assert_same(source.path, replica)
    assert remote.verify().ok


def test_a_mirror_uses_the_small_packs_while_they_exist(
    source: StreamStore, replica: Path, tmp_path: Path
) -> None:
    remote = memory()
    shipper = remote.shipper(source)
    mirror = remote.mirror(replica)
    append(source, 4)
    bytes_of_packs = shipper.ship_now().bytes
    mirror.pull()
    for _ in range(16):
        append(source, 2)
        bytes_of_packs += shipper.ship_now().bytes
    settle(shipper)
    shipper.ship_now()
    assert any(pack.level for pack in shipper._publisher._state.packs)
    first = sum(pack.bytes for pack in shipper._publisher._state.retired[:1])
    assert mirror.pull().bytes == bytes_of_packs - first
    assert_same(source.path, replica)
    # Without them, the merged pack is applied from its middle on.
    for pack in shipper._publisher._state.retired:
        remote.bucket.delete(pack.name)
    other = tmp_path / "other"
    remote.mirror(other).pull()
    assert_same(source.path, other)


def test_dropped_rows_are_dropped_in_the_replica(
    remote: Remote, source: StreamStore, replica: Path, tmp_path: Path
) -> None:
    shipper, mirror = remote.shipper(source, grace=0, pack_bytes=1000), remote.mirror(replica)
    append(source, 100)
    shipper.ship_now()
    mirror.pull()
    packs = remote.names("packs")
    source.drop_before(60)
    assert shipper.ship_now().records == 0
    mirror.pull()
    assert_same(source.path, replica)
    shipper.ship_now()  # deletes what was dropped
    assert set(remote.names("packs")) < set(packs)
    remote.mirror(tmp_path / "late").pull()
    assert_same(source.path, tmp_path / "late")
    assert remote.verify().first_row == 60
    append(source, 10)
    shipper.ship_now()
    mirror.pull()
    assert_same(source.path, replica)


def test_a_bounded_source_has_a_bounded_replica(tmp_path: Path, replica: Path) -> None:
    remote = memory()
    with StreamStore(tmp_path / "source", fields=FIELDS, retain_rows=50) as source:
        shipper, mirror = remote.shipper(source, grace=0), remote.mirror(replica)
        for _ in range(40):
            append(source, 10)
            shipper.ship_now()
            mirror.pull()
        wait_until(lambda: source.kept_rows <= 51)
        shipper.ship_now()
        mirror.pull()
        with StreamStore(replica, "r") as copy:
            assert content(copy) == content(source)
        shipper.ship_now()
        assert remote.verify().packs < 20


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_truncated_rows_are_truncated_in_the_replica(
    source: StreamStore, replica: Path, away: bool, lost: bool
) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source, pack_bytes=2000), remote.mirror(replica)
    append(source, 100)
    shipper.ship_now()
    mirror.pull()
    for rows, more in ((90, 0), (60, 5), (10, 200), (0, 1)):
        source.truncate(rows)
        append(source, more)
        shipper.ship_now()
        if not away:
            mirror.pull()
            assert_same(source.path, replica)
    append(source, 20)
    shipper.ship_now()
    if lost:
        (replica / "mirror").unlink()
    remote.mirror(replica).pull()
    assert_same(source.path, replica)
    assert remote.verify().ok


def test_a_truncation_while_the_shipper_was_away_is_found(
    source: StreamStore, replica: Path
) -> None:
    remote = memory()
    append(source, 100)
    remote.shipper(source, pack_bytes=1500).ship_now()
    remote.mirror(replica).pull()
    source.truncate(33)
    append(source, 100)  # as many rows as before, with other content
    remote.shipper(source, pack_bytes=1500).ship_now()
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_added_fields_arrive(remote: Remote, source: StreamStore, replica: Path) -> None:
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    append(source, 5)
    shipper.ship_now()
    mirror.pull()
    reader = StreamStore(replica, "r")
    source.add_fields({"extra": "int64"})
    shipper.ship_now()
    mirror.pull()
    assert reader.fields == source.fields
    source.append_step({"extra": 7}, step=1000)
    source.add_fields({"more": "string"})
    source.append_step({"more": "text"}, step=1001)
    shipper.ship_now()
    mirror.pull()
    assert reader.row(-1)["more"] == "text"
    assert_same(source.path, replica)


def test_a_mirror_that_was_away_for_long_reads_on(source: StreamStore, replica: Path) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source, grace=0), remote.mirror(replica)
    rounds = 0
    for count in (10, 400):
        for _ in range(count):
            append(source, 1)
            rounds = shipper.ship_now().manifest
        if count == 10:
            mirror.pull()
    assert rounds > 3 * 128
    assert len(remote.names("manifests")) <= 2 * 128 + 1
    mirror._replicator._looked = -1e9  # as if it had looked long ago
    mirror.pull()
    assert_same(source.path, replica)
    assert remote.verify().ok


def test_threads_ship_and_mirror_while_rows_are_appended(
    remote: Remote, source: StreamStore, replica: Path
) -> None:
    with (
        remote.shipper(source, every=0.02) as shipper,
        remote.mirror(replica, every=0.02) as mirror,
    ):
        append(source, 5)
        with StreamStore(replica, "r", wait=PATIENCE) as reader:
            for _ in range(20):
                append(source, 20)
                assert reader.wait(source.num_rows, timeout=PATIENCE)
                assert content(reader) == content(source)
        assert shipper.error is mirror.error is None
        assert shipper.lag is not None
        assert mirror.lag is not None
        append(source, 5)
    remote.mirror(replica).pull()  # the shipper shipped once more when it was closed
    assert_same(source.path, replica)


def test_a_shipper_waits_for_its_store(tmp_path: Path, replica: Path) -> None:
    remote = memory()
    with remote.shipper(tmp_path / "source", every=0.01), remote.mirror(replica, every=0.01):
        time.sleep(0.03)
        with StreamStore(tmp_path / "source", fields=FIELDS) as source:
            append(source, 3)
            source.sync()
            with StreamStore(replica, "r", wait=PATIENCE) as reader:
                assert reader.wait(3, timeout=PATIENCE)


def test_errors_that_pass_are_logged_once_and_overcome(
    source: StreamStore,
    replica: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    remote = memory()
    create = Bucket.create
    left = [3]

    def fail(self: Bucket, name: str, data: bytes) -> bool:
        if left[0]:
            left[0] -= 1
            raise self.error(name, "no answer", transient=True)
        return create(self, name, data)

    monkeypatch.setattr(Bucket, "create", fail)
    append(source, 5)
    with caplog.at_level(logging.WARNING), remote.shipper(source, every=0.01) as shipper:
        wait_until(lambda: remote.names("manifests"))
        wait_until(lambda: shipper.error is None)
    assert [record.getMessage().count("no answer") for record in caplog.records] == [1]
    assert len(remote.names("packs")) == 1  # of the same name at each try
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_a_lost_answer_is_recognised(
    source: StreamStore, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = memory()
    shipper = remote.shipper(source)
    create = Bucket.create

    def lose(self: Bucket, name: str, data: bytes) -> bool:
        create(self, name, data)
        raise self.error(name, "timeout", transient=True)

    append(source, 5)
    shipper.ship_now()
    append(source, 5)
    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "create", lose)
        with pytest.raises(stream_store.RemoteError, match="timeout"):
            shipper.ship_now()
    append(source, 5)
    with pytest.raises(stream_store.RemoteError, match="earlier try") as caught:
        shipper.ship_now()
    assert caught.value.transient
    assert shipper.ship_now().rows == 15
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_clocks_may_jump(
    source: StreamStore, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    for jump in (0.0, 1e9, -1e9, 5.0, -3600.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: 1.7e9 + jump)
        append(source, 3)
        assert shipper.ship_now().records
        assert mirror.pull().age >= 0
        assert_same(source.path, replica)
    assert stream_store.verify_remote(remote.place).ok


def test_replicas_in_a_directory_are_a_group(tmp_path: Path) -> None:
    remotes = [memory() for _ in range(2)]
    sources = [StreamStore(tmp_path / f"source{i}", fields={"n": "int64"}) for i in range(2)]
    shippers = [remotes[i].shipper(sources[i]) for i in range(2)]
    mirrors = [remotes[i].mirror(tmp_path / "replicas" / str(i)) for i in range(2)]
    seen: set[int] = set()
    for first in (0, 1000):
        for i, source in enumerate(sources):
            source.extend({"n": np.arange(first, first + 1000) + i * 10_000})
            shippers[i].ship_now()
            mirrors[i].pull()
        if first == 0:
            group = StoreGroup(tmp_path / "replicas")
            sampler = WindowSampler(group, 4, unit="row", batch_size=256)
        assert sampler.num_starts == 2 * (first + 997)
        for _ in range(50):
            seen |= set(sampler.sample()["n"][:, 0].tolist())
    assert len(seen) > 3500
    assert {n % 10_000 // 1000 + n // 10_000 * 10 for n in seen} == {0, 1, 10, 11}
