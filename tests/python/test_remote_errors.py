"""Errors of shipping and mirroring name the object, and the replica keeps its rows."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import obstore.exceptions
import obstore.store
import pytest

import stream_store
from model_process import PATIENCE
from remote_helpers import FIELDS, Remote, append, ask_server, assert_same, memory
from stream_store import FencedError, RemoteError, StreamStore
from stream_store._remote.bucket import Bucket


@pytest.fixture
def source(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "source", fields=FIELDS)


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return tmp_path / "replica"


def test_the_shipper_that_comes_later_takes_over(
    remote: Remote, source: StreamStore, replica: Path
) -> None:
    first, second = remote.shipper(source), remote.shipper(source)
    append(source, 5)
    first.ship_now()
    append(source, 5)
    second.ship_now()
    append(source, 5)
    for _ in range(2):  # it stays fenced
        with pytest.raises(
            FencedError, match=r"manifests/0{19}1\.json: .* has taken over"
        ) as caught:
            first.ship_now()
    assert not caught.value.transient
    assert second.ship_now().rows == 15
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_of_two_that_begin_together_one_is_fenced(source: StreamStore, replica: Path) -> None:
    remote = memory()
    append(source, 5)
    shippers = [remote.shipper(source.path) for _ in range(4)]
    source.sync()
    errors: list[Exception] = []

    def ship(shipper: stream_store.Shipper) -> None:
        for _ in range(20):
            try:
                shipper.ship_now()
            except FencedError as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=ship, args=(shipper,)) for shipper in shippers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    remote.shipper(source).ship_now()
    for shipper in shippers:
        append(source, 1)
        source.sync()
        with pytest.raises(FencedError):
            shipper.ship_now()
    remote.shipper(source).ship_now()
    remote.mirror(replica).pull()
    assert_same(source.path, replica)
    assert remote.verify().ok


def test_a_fenced_shipper_deletes_nothing(source: StreamStore) -> None:
    remote = memory()
    first = remote.shipper(source, grace=0)
    append(source, 5)
    first.ship_now()
    source.drop_before(3)
    append(source, 5)
    source.sync()
    first._publisher._sweeper.later(remote.names("packs"))
    remote.shipper(source.path).ship_now()
    with pytest.raises(FencedError):
        first._publisher._sweep(wrote=False)
    assert remote.verify().ok


def test_the_thread_of_a_fenced_shipper_ends(source: StreamStore) -> None:
    remote = memory()
    append(source, 5)
    with remote.shipper(source, every=0.01) as shipper:
        shipper.ship_now()
        remote.shipper(source).ship_now()
        append(source, 1)
        deadline = time.monotonic() + PATIENCE
        while not isinstance(shipper.error, FencedError):
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_a_url_holds_one_store(remote: Remote, source: StreamStore, tmp_path: Path) -> None:
    append(source, 5)
    remote.shipper(source).ship_now()
    with StreamStore(tmp_path / "other", fields=FIELDS) as other:
        append(other, 3)
        with pytest.raises(RemoteError, match=r"manifests/.*: it is a manifest of the store"):
            remote.shipper(other).ship_now()


def test_a_store_that_was_replaced_is_not_shipped(source: StreamStore, tmp_path: Path) -> None:
    remote = memory()
    shipper = remote.shipper(source.path)
    append(source, 5)
    source.sync()
    shipper.ship_now()
    source.close()
    (tmp_path / "source").rename(tmp_path / "old")
    with StreamStore(tmp_path / "source", fields=FIELDS) as other:
        append(other, 9)
        other.sync()
        with pytest.raises(RemoteError, match="ship it to another URL"):
            shipper.ship_now()


def test_a_replica_is_of_one_store(source: StreamStore, replica: Path, tmp_path: Path) -> None:
    one, two = memory(), memory()
    append(source, 5)
    one.shipper(source).ship_now()
    one.mirror(replica).pull()
    with StreamStore(tmp_path / "other", fields=FIELDS) as other:
        append(other, 9)
        two.shipper(other).ship_now()
    with pytest.raises(RemoteError, match=r"manifests/.*: it is of the store .* is a replica of"):
        two.mirror(replica).pull()
    with pytest.raises(RemoteError, match="is no replica"):
        two.mirror(tmp_path / "other").pull()
    assert_same(source.path, replica)


def test_a_gap_is_an_error_and_a_new_replica_begins_after_it(
    source: StreamStore, replica: Path, tmp_path: Path
) -> None:
    remote = memory()
    shipper = remote.shipper(source)
    append(source, 10)
    shipper.ship_now()
    remote.mirror(replica).pull()
    append(source, 30)
    source.drop_before(20)
    shipper.ship_now()
    with pytest.raises(RemoteError, match=r"manifests/.*: a gap: .* mirror it to a new path"):
        remote.mirror(replica).pull()
    with StreamStore(replica, "r") as kept:
        assert kept.num_rows == 10
    remote.mirror(tmp_path / "new").pull()
    assert_same(source.path, tmp_path / "new")


def test_rows_that_others_append_to_a_replica_are_noticed(
    source: StreamStore, replica: Path
) -> None:
    remote = memory()
    append(source, 5)
    remote.shipper(source).ship_now()
    remote.mirror(replica).pull()
    with StreamStore(replica) as wrong:
        wrong.append_step({"action": 1}, step=1000)
    with pytest.raises(RemoteError, match="another program has appended to the replica"):
        remote.mirror(replica).pull()
    append(source, 5)
    remote.shipper(source).ship_now()
    with pytest.raises(
        RemoteError,
        match=r"packs/.*: record 6 is another one in the source.*mirror it to a new path",
    ):
        remote.mirror(replica).pull()


def test_a_replica_has_one_mirror(source: StreamStore, replica: Path) -> None:
    remote = memory()
    append(source, 5)
    remote.shipper(source).ship_now()
    with StreamStore(source.path.parent / "unrelated", fields=FIELDS):
        remote.mirror(replica).pull()
    with StreamStore(replica), pytest.raises(stream_store.LockedError):
        remote.mirror(replica).pull()


def test_a_bucket_that_disappears(s3_endpoint: str, source: StreamStore, replica: Path) -> None:
    from remote_helpers import new_bucket, s3_options

    remote = Remote("s3", new_bucket(s3_endpoint), s3_options(s3_endpoint))
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    append(source, 5)
    shipper.ship_now()
    mirror.pull()
    bucket = remote.place.split("/")[2]
    for folder in ("packs", "manifests", "schemas"):
        for name in remote.names(folder):
            remote.bucket.delete(name)
    ask_server(s3_endpoint, "DELETE", bucket)
    append(source, 5)
    with pytest.raises(RemoteError, match=rf"{bucket}.*NoSuchBucket") as caught:
        shipper.ship_now()
    assert not caught.value.transient
    with pytest.raises(RemoteError, match=rf"{bucket}.*NoSuchBucket"):
        mirror.pull()
    with StreamStore(replica, "r") as kept:
        assert kept.num_rows == 5
    ask_server(s3_endpoint, "PUT", bucket)
    remote.shipper(source).ship_now()  # a new one ships everything again
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_objects_that_disappear(source: StreamStore, replica: Path) -> None:
    remote = memory()
    shipper, mirror = remote.shipper(source), remote.mirror(replica)
    append(source, 5)
    shipper.ship_now()
    mirror.pull()
    append(source, 5)
    shipper.ship_now()
    (_, pack) = remote.names("packs")
    data = remote.bucket.get(pack)
    assert data is not None
    remote.bucket.delete(pack)
    for _ in range(2):
        with pytest.raises(RemoteError, match=f"{pack}: expected a pack, because manifests/"):
            mirror.pull()
    remote.bucket.put(pack, bytes(data))
    mirror.pull()
    assert_same(source.path, replica)
    for name in remote.names("manifests"):
        remote.bucket.delete(name)
    mirror._replicator._looked = -1e9
    with pytest.raises(RemoteError, match="expected the manifest that was there, but it is gone"):
        mirror.pull()


@pytest.mark.parametrize("folder", ["packs", "manifests", "schemas"])
def test_a_damaged_object_is_named(source: StreamStore, replica: Path, folder: str) -> None:
    remote = memory()
    append(source, 20)
    remote.shipper(source, pack_bytes=500).ship_now()
    names = remote.names(folder)
    name = names[len(names) // 2]
    data = remote.bucket.get(name)
    assert data is not None
    good = bytes(data)
    for place in (0, 9, len(good) // 2, len(good) - 1):
        bad = bytearray(good)
        bad[place] ^= 4
        remote.bucket.put(name, bytes(bad))
        with pytest.raises((RemoteError, stream_store.CorruptStoreError), match=name):
            remote.mirror(replica).pull()
        report = remote.verify()
        assert not report.ok
        assert [finding.file for finding in report.findings if finding.severity == "damage"] == [
            name
        ]
    remote.bucket.put(name, good[:-8])
    with pytest.raises((RemoteError, stream_store.CorruptStoreError), match=name):
        remote.mirror(replica).pull()
    remote.bucket.put(name, good)
    remote.mirror(replica).pull()  # continues where it was
    assert_same(source.path, replica)
    assert remote.verify().findings == ()


def test_verify_finds_missing_and_unknown_objects(source: StreamStore) -> None:
    remote = memory()
    append(source, 20)
    remote.shipper(source, pack_bytes=500).ship_now()
    pack = remote.names("packs")[1]
    data = remote.bucket.get(pack)
    assert data is not None
    other = pack.replace("packs/0", "packs/1")
    remote.bucket.put(other, bytes(data))
    (finding,) = remote.verify().findings
    assert (finding.severity, finding.file) == ("notice", other)
    assert remote.verify().ok
    remote.bucket.delete(pack)
    assert not remote.verify().ok
    schema = remote.names("schemas")[0]
    remote.bucket.delete(schema)
    assert schema in {finding.file for finding in remote.verify().findings}


@pytest.mark.parametrize(
    ("kind", "transient"),
    [
        ("PermissionDeniedError", False),
        ("UnauthenticatedError", False),
        ("NotSupportedError", False),
        ("GenericError", True),
    ],
)
def test_errors_of_the_object_store_name_the_object(
    source: StreamStore,
    replica: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    transient: bool,
) -> None:
    remote = memory()
    append(source, 5)
    remote.shipper(source).ship_now()

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise getattr(obstore.exceptions, kind)("refused\n\nDebug source:\nlong")

    for call in ("get", "list", "put"):
        with monkeypatch.context() as patched:
            patched.setattr(obstore, call, refuse)
            append(source, 1)
            with pytest.raises(
                RemoteError, match=r"(schemas|manifests|packs).*: refused\Z"
            ) as caught:
                remote.shipper(source).ship_now()
            assert caught.value.transient == transient
            assert caught.value.url in str(caught.value)
            if call != "put":
                with pytest.raises(RemoteError, match="refused") as caught:
                    remote.mirror(replica).pull()
                assert caught.value.transient == transient
    remote.shipper(source).ship_now()
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


def test_a_full_disk_is_an_error_of_the_replica(
    source: StreamStore, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stream_store._remote import replicate

    remote = memory()
    append(source, 5)
    remote.shipper(source).ship_now()
    mirror = remote.mirror(replica)

    class Full:
        def __init__(self, *_arguments: Any) -> None:
            raise stream_store.StoreFullError(28, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(replicate, "Replica", Full)
        with pytest.raises(stream_store.StoreFullError):
            mirror.pull()
    mirror.pull()
    assert_same(source.path, replica)


def test_arguments_are_checked(source: StreamStore, tmp_path: Path) -> None:
    place = obstore.store.MemoryStore()
    for arguments in ({"every": 0}, {"grace": -1}, {"pack_bytes": 0}):
        with pytest.raises(ValueError, match="must be"):
            stream_store.Shipper(source, place, **arguments)
    with pytest.raises(ValueError, match="above 0"):
        stream_store.Mirror(place, tmp_path, every=0)
    for url in ("runs/a", "ftp://host/a", "http://host/a", ""):
        with pytest.raises(ValueError, match="a remote store is a URL"):
            stream_store.Mirror(url, tmp_path)
    with pytest.raises(TypeError, match="a URL or a store of obstore, not int"):
        stream_store.Mirror(5, tmp_path)
    with pytest.raises(ValueError, match="temporary store"):
        stream_store.Shipper(StreamStore(fields=FIELDS), place)
    with pytest.raises(RemoteError, match="az://container"):
        stream_store.Mirror("az://container/a", tmp_path)
    with pytest.raises(FileNotFoundError):
        stream_store.Shipper(tmp_path / "missing", place).ship_now()


def test_without_obstore_the_error_says_how_to_install_it(
    source: StreamStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ImportError, match=r"stream-store\[remote\]"):
        stream_store.Shipper(source, "s3://bucket/a")


def test_an_error_in_progress_ends_the_round(source: StreamStore, replica: Path) -> None:
    remote = memory()
    append(source, 50)

    def fail(_done: int, _total: int) -> None:
        raise KeyError("stop")

    shipper = remote.shipper(source, pack_bytes=500)
    with pytest.raises(KeyError):
        shipper.ship_now(fail)
    shipper.ship_now()
    with pytest.raises(KeyError):
        remote.mirror(replica).pull(fail)
    remote.mirror(replica).pull()
    assert_same(source.path, replica)
    assert Bucket(remote.place).exists(remote.names("packs")[0])
