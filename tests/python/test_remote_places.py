"""Where a store is shipped to, and in which processes: URLs, forks, threads, arguments."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import obstore.store
import pytest

import stream_store
from model_process import PATIENCE
from remote_helpers import FIELDS, Remote, append, assert_same, memory, wait_until
from stream_store import Mirror, Shipper, StoreGroup, StreamStore


@pytest.fixture
def source(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "source", fields=FIELDS)


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return tmp_path / "replica"


# --- URLs ---


@pytest.mark.parametrize("name", ["a b", "a#b", "a?b", "a%20b", "a%b", "é", "a:b", "a\\b", "a;b="])
def test_the_path_of_a_file_url_is_literal(
    source: StreamStore, replica: Path, tmp_path: Path, name: str
) -> None:
    place = tmp_path / name / "deep"
    append(source, 5)
    shipper = Shipper(source, f"file://{place}/")
    assert shipper.url == f"file://{place}"
    shipper.ship_now()
    assert {child.name for child in place.iterdir()} == {"packs", "manifests", "schemas"}
    assert Mirror(f"file://{place}", replica).pull().rows == 5
    assert stream_store.verify_remote(f"file://{place}").ok
    assert_same(source.path, replica)


@pytest.mark.parametrize("prefix", ["a b", "a%20b", "a%b", "é"])
def test_the_prefix_of_a_bucket_is_literal(
    s3_endpoint: str, source: StreamStore, replica: Path, prefix: str
) -> None:
    from remote_helpers import new_bucket, s3_options

    bucket = new_bucket(s3_endpoint).split("/")[2]
    append(source, 5)
    remote = Remote("s3", f"s3://{bucket}/{prefix}/", s3_options(s3_endpoint))
    remote.shipper(source).ship_now()
    whole = obstore.store.S3Store(bucket, **s3_options(s3_endpoint))
    names = [entry["path"] for page in obstore.list(whole) for entry in page]
    assert {name.rpartition("/")[0].rpartition("/")[0] for name in names} == {prefix}
    remote.mirror(replica).pull()
    assert_same(source.path, replica)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file://", "the absolute path of a directory that is not /"),
        ("file:///", "the absolute path of a directory that is not /"),
        ("file:////", "the absolute path of a directory that is not /"),
        ("file:///.", "the absolute path of a directory that is not /"),
        ("file:///a/..", "the absolute path of a directory that is not /"),
        ("file://data/a", "the absolute path"),
        ("file://./a", "the absolute path"),
        ("file:///d/a\0b", "cannot have the character"),
        ("file:///d/a\nb", "cannot have the character"),
        ("s3://bucket/a\n", "cannot have the character"),
        ("s3://bucket/a?b", "has no meaning"),
        ("s3://bucket/a#b", "has no meaning"),
        ("gs://bucket/a#b", "has no meaning"),
        ("az://bucket?b", "has no meaning"),
        ("s3://", "name of a bucket"),
        ("s3:///a", "name of a bucket"),
    ],
)
def test_urls_that_say_nothing_clear_are_refused(
    source: StreamStore, replica: Path, url: str, problem: str
) -> None:
    for use in (
        lambda: Shipper(source, url),
        lambda: Mirror(url, replica),
        lambda: stream_store.verify_remote(url),
    ):
        with pytest.raises(ValueError, match=problem):
            use()


# --- forks ---


def in_child(work: Callable[[], object]) -> str:
    """What a forked child that does some work raises; "" for nothing."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            text = ""
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(into, text.encode()[:4000])
        os._exit(0)
    os.close(into)
    try:
        with os.fdopen(out, "rb") as pipe:
            return pipe.read().decode()
    finally:
        os.waitpid(pid, 0)


FORKS = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_remote_places import in_child
from stream_store import Mirror, Shipper, StreamStore, verify_remote
url = f"file://{Path.cwd()}/remote"
store = StreamStore("source", fields={"x": "int64"})
store.append_step({"x": 1})
store.close()
early = Shipper("source", url)
assert in_child(lambda: early.ship_now()) == "", "nothing was used before"
assert in_child(lambda: Mirror(url, "replica").pull()) == ""
mirror, shipper = Mirror(url, "other"), Shipper("source", url)
mirror.pull()
shipper._lock.acquire()  # as if a thread of the parent shipped right now
for work in (
    mirror.pull,
    shipper.ship_now,
    lambda: Mirror(url, "third").pull(),
    lambda: Shipper("source", url).ship_now(),
    lambda: verify_remote(url),
):
    text = in_child(work)
    assert text.startswith("RuntimeError: ") and "'spawn'" in text, text
    text = in_child(lambda: print(in_child(work), flush=True))
shipper._lock.release()
shipper.ship_now()
print("done")
"""


def test_a_forked_child_raises_instead_of_waiting(tmp_path: Path) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(Path(__file__).parent)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("RuntimeError") == 5
    assert done.stdout.endswith("done\n")


# --- threads ---


def test_a_thread_is_started_once(source: StreamStore, replica: Path) -> None:
    remote = memory()
    for started in (remote.shipper(source), remote.mirror(replica)):
        before = threading.active_count()
        again = (started.start, started.__enter__, getattr(started, "run", None) or started.follow)
        with started:
            for start in again:
                with pytest.raises(RuntimeError, match="started already: close it first"):
                    start()
            assert threading.active_count() <= before + 1
        wait_until(lambda before=before: threading.active_count() <= before)
        started.start()  # after close it may
        started.close()
    append(source, 3)
    remote.shipper(source).ship_now()
    with remote.shipper(source, every=0.01) as fenced:
        while fenced.error is None:
            append(source, 1)
            with suppress(stream_store.FencedError):  # the thread was faster
                remote.shipper(source).ship_now()
        wait_until(lambda: fenced._rounds.ended)
        fenced.start()  # and after an error


def test_an_outage_may_last_for_days(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream_store._remote.loop import Rounds

    failures = 0

    def fail() -> None:
        nonlocal failures
        failures += 1
        if failures == 3000:
            rounds.stop()
        raise stream_store.RemoteError("no answer", "s3://bucket", transient=True)

    rounds = Rounds("shipping", fail, 1.0)
    pauses: list[float] = []
    monkeypatch.setattr(rounds._stop, "wait", pauses.append)
    rounds.run()
    assert failures == 3000
    assert max(pauses) == 30


def test_a_replica_that_is_deleted_is_an_error_at_once(source: StreamStore, replica: Path) -> None:
    remote = memory()
    append(source, 5)
    shipper = remote.shipper(source)
    shipper.ship_now()
    with remote.mirror(replica, every=0.01) as mirror:
        StreamStore(replica, "r", wait=PATIENCE).close()
        wait_until(lambda: mirror.lag is not None)
        shutil.rmtree(replica)
        wait_until(lambda: mirror.error is not None)
        assert isinstance(mirror.error, FileNotFoundError)
        assert f"{replica}: the replica was deleted" in str(mirror.error)
    mirror.close()
    mirror.pull()  # a new replica
    assert_same(source.path, replica)


def test_a_replica_that_is_moved_and_replaced_is_noticed(
    source: StreamStore, replica: Path, tmp_path: Path
) -> None:
    remote = memory()
    append(source, 5)
    remote.shipper(source).ship_now()
    with remote.mirror(replica, every=60) as mirror:
        wait_until(lambda: mirror.lag is not None)
        replica.rename(tmp_path / "moved")
        shutil.copytree(tmp_path / "moved", replica)
        with pytest.raises(FileNotFoundError, match="deleted or moved"):
            mirror.pull()
        mirror.pull()
    assert_same(source.path, replica)


# --- arguments ---


def test_wrong_arguments_are_errors_of_the_constructor(source: StreamStore, replica: Path) -> None:
    place = obstore.store.MemoryStore()
    for name in ("every", "grace"):
        for value in (float("nan"), float("inf"), 1e300, 10**400, -1):
            with pytest.raises(ValueError, match=f"{name} must be seconds"):
                Shipper(source, place, **{name: value})
        for wrong in ("1s", None, True, [1]):
            with pytest.raises(TypeError, match=f"{name} must be seconds"):
                Shipper(source, place, **{name: wrong})
    for value in (1.5, "64", None, True, 2**31 + 1, 0, -5):
        with pytest.raises(ValueError, match="pack_bytes must be an int"):
            Shipper(source, place, pack_bytes=value)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="every must be seconds"):
            Mirror(place, replica, every=value)


def test_a_group_is_shipped_store_by_store(tmp_path: Path) -> None:
    place = obstore.store.MemoryStore()
    StreamStore(tmp_path / "plain" / "a", fields=FIELDS).close()
    with StoreGroup(tmp_path / "group", fields=FIELDS) as group:
        with pytest.raises(TypeError, match="ship each of its stores"):
            Shipper(group, place)
        for path in (tmp_path / "group", tmp_path / "plain"):
            with pytest.raises(ValueError, match=f"{path} is a group of stores: ship each"):
                Shipper(path, place)
    Shipper(tmp_path / "plain" / "a", place)


def test_nothing_to_verify_is_an_error(tmp_path: Path, source: StreamStore) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none", source.path.name):
        url = f"file://{tmp_path / name}"
        with pytest.raises(FileNotFoundError, match=f"{url}: nothing was shipped there"):
            stream_store.verify_remote(url)
    with pytest.raises(FileNotFoundError, match="memory:/: nothing was shipped there"):
        stream_store.verify_remote(obstore.store.MemoryStore())
