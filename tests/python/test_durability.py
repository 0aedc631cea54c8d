"""Background sync, durable rows, safe reads, and stores that are created and deleted meanwhile."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import shutil
import signal
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_process import PATIENCE, line_of, run, start
from store_helpers import FILES, chunk_name, data_file
from stream_store import CorruptStoreError, LockedError, StreamStore

FIELDS = {"n": "int64", "many": "int64[]"}

#: Place of the live words `state` and `durable` in the file `control`, and a value of `state`.
LIVE_STATE, SYNCING = (64 << 10) + 144, 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def fill(store: StreamStore, rows: int) -> None:
    first = store.num_rows
    for i in range(first, first + rows):
        store.append_step({"n": i, "many": [i] * (i % 5)})


def becomes(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


# --- background sync ---


def test_a_store_syncs_in_the_background(path: Path) -> None:
    store = StreamStore(path, fields=FIELDS, sync_seconds=0.02)
    reader = StreamStore(path, "r")
    assert (store.durable_rows, reader.durable_rows) == (0, 0)
    for rows in (3, 5):
        fill(store, rows - store.num_rows)
        assert becomes(lambda rows=rows: store.durable_rows == rows)  # type: ignore[misc]
        assert reader.durable_rows == rows
    store.close()
    assert StreamStore(path, "r").durable_rows == 5


def test_a_store_syncs_after_sync_bytes(path: Path) -> None:
    store = StreamStore(path, fields=FIELDS, sync_seconds=None, sync_bytes=100_000)
    fill(store, 10)
    store.append_step({"many": np.arange(20_000)})
    assert becomes(lambda: store.durable_rows == 11)


@pytest.mark.parametrize(("confirmed", "expected"), [(5, 5), (10, 10)])
def test_a_sync_that_did_not_end_is_not_durable(path: Path, confirmed: int, expected: int) -> None:
    """A writer that dies in a sync leaves `state` 2, and the last good sync in `durable`."""
    script = """
    store = StreamStore(sys.argv[1], fields={"n": "int64"}, sync_seconds=None, sync_bytes=None)
    for first in (0, 5):
        for i in range(first, first + 5):
            store.append_step({"n": i})
        store.sync()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    process = start(script, path)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    with (path / "control").open("r+b") as control:
        control.seek(LIVE_STATE)
        control.write(struct.pack("<QQ", SYNCING, confirmed))
    assert StreamStore(path, "r").durable_rows == expected


def test_background_sync_can_be_turned_off(path: Path) -> None:
    with StreamStore(path, fields=FIELDS, sync_seconds=None, sync_bytes=None) as store:
        fill(store, 10)
        time.sleep(0.1)
        assert store.durable_rows == 0
        assert store.sync() == store.durable_rows == 10
        temporary = StreamStore(fields=FIELDS)
        fill(temporary, 1)
        assert temporary.durable_rows == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"sync_seconds": 0},
        {"sync_seconds": -1},
        {"sync_seconds": float("nan")},
        {"sync_bytes": 0},
        {"sync_bytes": -5},
        {"sync_bytes": 2**63},
        {"safe_reads": True},
    ],
)
def test_invalid_sync_and_safe_reads_arguments_are_refused(
    path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamStore(path, fields=FIELDS, **wrong)
    assert not path.exists()


def test_live_says_whether_a_writer_has_the_store_open(path: Path) -> None:
    store = StreamStore(path)
    assert not store.live
    store.define_fields(FIELDS)
    reader = StreamStore(path, "r")
    assert store.live
    assert reader.live
    store.close()
    assert not reader.live


# --- safe reads ---


def test_safe_reads_equal_other_reads(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 1000)
        safe = StreamStore(path, "r", safe_reads=True)
        rng = np.random.default_rng(0)
        starts = rng.integers(0, len(store) - 50, 64)
        for columns in (("values", "types", "step"), ("number", "offset", "row")):
            ours = safe.windows(starts, 50, columns=columns)  # type: ignore[arg-type]
            theirs = store.windows(starts, 50, columns=columns)  # type: ignore[arg-type]
            for name in columns:
                assert (ours[name] == theirs[name]).all()
        rows = rng.integers(0, 990, 64)
        ours, theirs = safe.read_rows(rows, 10), store.read_rows(rows, 10)
        assert (ours["n"] == theirs["n"]).all()
        assert (ours["many"] == theirs["many"]).all()
        assert (safe[:]["values"] == store[:]["values"]).all()
        assert (safe.index_table() == store.index_table()).all()
        assert [r["n"] for r in safe.rows()] == list(range(1000))
        assert safe.num_field_writes == store.num_field_writes
        assert safe.verify().ok
        twin = pickle.loads(pickle.dumps(safe.snapshot(10)))
        assert twin._safe_reads
        assert twin.num_rows == 10
        fill(store, 5)
        assert safe.num_rows == 1005


def test_safe_reads_continue_when_the_writer_closes_and_trims_its_files(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 10)
        snapshot = StreamStore(path, "r", safe_reads=True).snapshot()
    assert [row["n"] for row in snapshot.rows()] == list(range(10))
    assert len(snapshot[:]["values"]) == len(snapshot)


def test_safe_reads_of_a_truncated_file_are_errors(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 1000)
    run(
        """
store = StreamStore(sys.argv[1], "r", safe_reads=True)
assert store.row(900)["n"] == 900
os.truncate(sys.argv[2], 64)
try: store[:]
except stream_store.CorruptStoreError as error: assert "values" in str(error), error
else: raise SystemExit("read what is not there")
os.truncate(sys.argv[1] + "/control", 0)
try: store.num_rows
except stream_store.CorruptStoreError as error: pass
""",
        path,
        data_file(path, "values"),
    )


# --- coming and going ---


def test_opening_a_store_that_comes_and_goes_succeeds_or_finds_none(path: Path) -> None:
    process = start(
        """
import shutil
print("ready", flush=True)
for i in range(10**9):
    with StreamStore(sys.argv[1], fields={"n": "int64"}) as store:
        store.append_step({"n": 1})
    shutil.rmtree(sys.argv[1])
""",
        path,
    )
    found, missing, half_gone = 0, 0, set()
    try:
        line_of(process.stdout)
        enough, patience = time.monotonic() + 5, time.monotonic() + PATIENCE
        while min(found, missing) < (200 if time.monotonic() < enough else 1):
            assert time.monotonic() < patience
            try:
                with StreamStore(path, "r") as store:
                    assert store.num_rows in (0, 1)
                found += 1
            except FileNotFoundError:
                missing += 1
            except CorruptStoreError as error:  # a file of it was deleted just now
                half_gone.add(str(error).partition(": ")[2])
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert found
    assert missing
    assert all("missing" in text for text in half_gone)


def test_killed_and_stopped_readers_do_not_disturb_others(path: Path) -> None:
    store = StreamStore(path, fields=FIELDS, capacity=500)
    fill(store, 100)
    script = """
store = StreamStore(sys.argv[1], "r")
rng = np.random.default_rng()
print("ready", flush=True)
while True:
    size = len(store)
    store.windows(rng.integers(0, size - 20, 100), 20)
"""
    readers = [start(script, path) for _ in range(4)]
    try:
        for reader in readers:
            line_of(reader.stdout)
        readers[0].send_signal(signal.SIGSTOP)
        for reader in readers[1:]:
            fill(store, 2000)
            reader.kill()
            reader.wait()
        fill(store, 2000)
        assert store.sync() == 8100
        store.close()
        with StreamStore(path) as store:
            fill(store, 10)
            readers[0].send_signal(signal.SIGCONT)
            assert readers[0].poll() is None
        assert StreamStore(path, "r").verify().findings == ()
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def count_rows(path: str, out: Any) -> None:
    store = StreamStore(path, "r")
    out.put((store.num_rows, int(store.row(-1)["n"])))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_stores_work_under_every_start_method(path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 500)
        out = context.Queue()
        workers = [context.Process(target=count_rows, args=(str(path), out)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for _ in workers:
            assert out.get(timeout=PATIENCE) == (500, 499)
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        fill(store, 10)
        assert store.sync() == 510


def test_only_one_of_many_processes_may_write(path: Path) -> None:
    with StreamStore(path, fields=FIELDS):
        pass
    script = """
sys.stdin.read(1)
try:
    store = StreamStore(sys.argv[1])
    print("won", flush=True)
    sys.stdin.read()
except stream_store.LockedError:
    print("lost", flush=True)
"""
    processes = [start(script, path) for _ in range(8)]
    try:
        for process in processes:
            process.stdin.write("g")
            process.stdin.flush()
        said = sorted(line_of(process.stdout) for process in processes)
        assert said == ["lost"] * 7 + ["won"]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    StreamStore(path).close()


# --- security ---


def test_only_the_owner_may_read_the_files(path: Path) -> None:
    before = os.umask(0)
    try:
        with StreamStore(path, fields=FIELDS) as store:
            fill(store, 10)
            store.checkpoint(path.with_name("copy"))
    finally:
        os.umask(before)
    for directory in (path, path.with_name("copy")):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        for file in directory.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_links_inside_a_store_are_not_followed(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 10)
    for name in FILES:
        target = path.with_name("elsewhere")
        (path / name).rename(target)
        (path / name).symlink_to(target)
        for mode in ("r", "a"):
            with pytest.raises(CorruptStoreError, match=f"{name}.*symbolic link"):
                StreamStore(path, mode)  # type: ignore[arg-type]
        (path / name).unlink()
        target.rename(path / name)
    assert StreamStore(path, "r").num_rows == 10


NAMES = [
    "../../evil",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    chunk_name("values"),
    "__reduce__",
    "é" * 80,
]


def test_field_names_are_never_paths(path: Path) -> None:
    fields = dict.fromkeys([name for name in NAMES if not name.startswith("_")], "int64")
    with StreamStore(path, fields=fields) as store:
        store.append_step(dict.fromkeys(fields, 7))
        store.checkpoint(path.with_name("copy"))
    assert StreamStore(path, "r").row(0) == dict.fromkeys(fields, 7)
    for directory in (path, path.with_name("copy")):
        assert {entry.name for entry in directory.iterdir()} == set(FILES)
    assert {entry.name for entry in path.parent.iterdir()} == {"run", "copy"}


def test_a_pickled_store_holds_a_path_and_no_code(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 1000)
        pickled = pickle.dumps(store)
    assert len(pickled) < 300
    shutil.rmtree(path)
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_the_package_never_unpickles_or_evaluates_data() -> None:
    import stream_store

    package = Path(stream_store.__file__).parent
    for file in package.rglob("*.py"):
        text = file.read_text()
        for word in ("pickle.load", "eval(", "exec(", "marshal", "allow_pickle=True", "yaml"):
            assert word not in text, f"{file} has {word}"


def test_a_thread_that_appends_is_not_disturbed_by_syncs(path: Path) -> None:
    with StreamStore(path, fields=FIELDS, sync_seconds=0.01) as store:
        stop = threading.Event()

        def sync() -> None:
            while not stop.is_set():
                store.sync()

        thread = threading.Thread(target=sync)
        thread.start()
        fill(store, 5000)
        stop.set()
        thread.join()
        assert store.verify().ok
        assert store.sync() == 5000
    with pytest.raises((io.UnsupportedOperation, ValueError, LockedError)):
        store.sync()


def test_a_sync_waits_while_another_thread_replaces_a_temporary_store() -> None:
    """clear() destroys the C++ writer, which a sync in another thread must not use any more."""
    store = StreamStore(fields={"x": "int64"})
    stop = threading.Event()
    results = []

    def sync() -> None:
        while not stop.is_set():
            results.append(store.sync())

    thread = threading.Thread(target=sync)
    thread.start()
    for step in range(300):
        store.append_step({"x": step})
        store.clear()
    stop.set()
    thread.join()
    assert set(results) <= {0, 1}
    store.append_step({"x": 7})
    assert store.row(0)["x"] == 7
