"""Other processes, forks, threads and kills: the rows they see and the calls they may make."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_process import PATIENCE, finish, line_of, run, start
from stream_store import LockedError, StreamStore

FIELDS = {"first": "int64", "many": "int64[]", "last": "int64"}

WRITER = """
FIELDS = {"first": "int64", "many": "int64[]", "last": "int64"}

def fill(store, rows, begin=0):
    # Each value of a row holds the number of the row.
    for i in range(begin, begin + rows):
        store.append_step({"first": i, "many": [i] * (i % 7), "last": i}, step=i)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def check_rows(store: StreamStore) -> int:
    """Assert that every row is complete and right; return the number of rows."""
    rows = store.num_rows
    if rows:
        for row in {0, rows // 3, rows // 2, max(rows - 2, 0), rows - 1}:
            found = store.row(row)
            assert int(found["first"]) == int(found["last"]) == row
            assert found["many"].tolist() == [row] * (row % 7)
        read = store.read_rows(np.arange(max(rows - 50, 0), rows))
        assert (read["first"] == read["last"]).all()
        assert (read["first"] == read["_step"]).all()
    return rows


@contextmanager
def child(script: str, *arguments: object) -> Iterator[Any]:
    process = start(WRITER + script, *arguments)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


# --- readers and writers ---


def test_a_reader_follows_a_writer_and_never_loses_rows(path: Path) -> None:
    script = """
with StreamStore(sys.argv[1], fields=FIELDS, capacity=500) as store:
    print("ready", flush=True)
    for begin in range(0, 20000, 100):
        fill(store, 100, begin)
"""
    with child(script, path) as writer:
        line_of(writer.stdout)
        seen, looks, reader = 0, 0, StreamStore(path, "r")
        while seen < 20000:
            rows = check_rows(reader)
            assert rows >= seen
            seen, looks = rows, looks + 1
            assert writer.poll() in (None, 0)
        finish(writer)
    assert check_rows(reader) == 20000
    assert looks > 1
    assert reader.complete_rows == 20000


def test_the_rows_of_a_call_appear_together(path: Path) -> None:
    script = """
with StreamStore(sys.argv[1], fields={"call": "int64"}, capacity=100) as store:
    print("ready", flush=True)
    for call in range(600):
        if call % 2:
            store.extend({"call": np.full(call % 50 + 1, call)})
        else:
            first = store.num_rows
            count = call % 50 + 1
            store.append(range(first, first + count), ["call"] * count, [call] * count)
"""
    sizes = [call % 50 + 1 for call in range(600)]
    borders = set(np.cumsum([0, *sizes]).tolist())
    with child(script, path) as writer:
        line_of(writer.stdout)
        reader = StreamStore(path, "r")
        while writer.poll() is None:
            assert reader.num_rows in borders
            assert len(reader) in borders
        finish(writer)
    assert reader.num_rows == sum(sizes)


def test_a_reader_waits_for_a_store_to_appear(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run"):
        StreamStore(path, "r")
    began = time.monotonic()
    with pytest.raises(FileNotFoundError):
        StreamStore(path, "r", wait=0.2)
    assert 0.15 < time.monotonic() - began < 60
    script = """
time.sleep(0.3)
with StreamStore(sys.argv[1], fields=FIELDS) as store:
    fill(store, 3)
"""
    with child(script, path) as writer:
        reader = StreamStore(path, "r", wait=PATIENCE)
        finish(writer)
    assert check_rows(reader) == 3


def test_a_reader_outlives_writers_and_follows_the_next(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        store.append_step({"first": 0, "many": [], "last": 0})
    reader = StreamStore(path, "r")
    for rows in (1, 11, 21):
        assert check_rows(reader) == rows
        run(WRITER + f"with StreamStore(sys.argv[1]) as store: fill(store, 10, {rows})", path)
    assert check_rows(reader) == 31


def test_the_error_of_a_second_writer_names_the_first(path: Path) -> None:
    script = """
store = StreamStore(sys.argv[1], fields=FIELDS)
print("ready", flush=True)
sys.stdin.read()
"""
    with child(script, path) as writer:
        line_of(writer.stdout)
        for mode in ("a", "a"):
            with pytest.raises(LockedError, match=rf"pid {writer.pid}\b") as caught:
                StreamStore(path, mode)  # type: ignore[arg-type]
            assert str(path) in str(caught.value)
        with pytest.raises(FileExistsError):
            StreamStore(path, "x", fields=FIELDS)
        assert StreamStore(path, "r").num_rows == 0
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with StreamStore(path) as store:
        store.append_step({"first": 0, "many": [], "last": 0})
        with pytest.raises(LockedError, match=rf"pid {os.getpid()}\b"):
            StreamStore(path)
        run("""
        try: StreamStore(sys.argv[1])
        except stream_store.LockedError as error: assert f"pid {sys.argv[2]}" in str(error), error
        else: raise SystemExit("opened twice")
        """, path, os.getpid())  # fmt: skip
        assert check_rows(store) == 1


# --- deaths ---


@pytest.mark.parametrize("life", range(3))
def test_no_acknowledged_step_is_lost_when_the_writer_is_killed(path: Path, life: int) -> None:
    script = """
store = StreamStore(sys.argv[1], fields=FIELDS, capacity=200)
acknowledged = np.memmap(sys.argv[2], np.int64, "w+", shape=(1,))
print("ready", flush=True)
for i in range(10**9):
    fill(store, 1, i)
    acknowledged[0] = i + 1
"""
    counter = path.with_name("counter")
    with child(script, path, counter) as writer:
        line_of(writer.stdout)
        reader = StreamStore(path, "r")
        while reader.num_rows < 300 * (life + 1):
            time.sleep(0.001)
        writer.kill()
        writer.wait()
    acknowledged = int(np.fromfile(counter, np.int64)[0])
    assert reader.num_rows >= acknowledged
    fixed = StreamStore(path, "r")
    assert fixed.recovery.state == "process_crash"
    assert acknowledged <= check_rows(fixed) <= acknowledged + 1
    with StreamStore(path) as store:
        assert store.recovery.state == "process_crash"
        assert store.recovery.rows_cut == 0
        rows = check_rows(store)
        assert acknowledged <= rows <= acknowledged + 1
        store.append_step({"first": rows, "many": [rows] * (rows % 7), "last": rows}, step=rows)
        assert check_rows(reader) == check_rows(store) == rows + 1
    with StreamStore(path) as store:
        assert store.recovery.state == "clean"
        assert check_rows(store) == rows + 1


def test_a_script_that_ends_without_close_leaves_a_clean_store(path: Path) -> None:
    run(WRITER + "store = StreamStore(sys.argv[1], fields=FIELDS); fill(store, 5)", path)
    with StreamStore(path) as store:
        assert store.recovery.state == "clean"
        assert check_rows(store) == 5


# --- forks and copies ---


def test_a_forked_child_reads_and_cannot_write(path: Path) -> None:
    run(WRITER + """
temporary = StreamStore(fields=FIELDS)
stored = StreamStore(sys.argv[1], fields=FIELDS)
for store in (temporary, stored):
    fill(store, 1000)
child = os.fork()
if child == 0:
    status = 1
    try:
        for store in (temporary, stored):
            assert store.num_rows == 1000 and store.row(-1)["first"] == 999
            assert (store[:]["values"] == store[np.arange(len(store))]["values"]).all()
            for call in (lambda: fill(store, 1, 1000), lambda: store.extend({"first": [1]}),
                         lambda: store.append([1000], ["first"], [1]), store.sync):
                try: call()
                except io.UnsupportedOperation as error: assert "fork" in str(error), error
                else: raise AssertionError("a child wrote")
            store.close()
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
for store in (temporary, stored):
    fill(store, 5000, 1000)
    assert store.num_rows == 6000 and store.row(-1)["first"] == 5999
stored.close()
store = StreamStore(sys.argv[1])
assert store.recovery.state == "clean" and store.num_rows == 6000
""", path)  # fmt: skip


def test_a_child_that_exits_normally_leaves_the_parent_its_store(path: Path) -> None:
    run(WRITER + """
store = StreamStore(sys.argv[1], fields=FIELDS)
fill(store, 10)
for _ in range(3):
    if os.fork() == 0:
        assert store.num_rows == 10
        sys.exit(0)  # runs atexit and destructors
    assert os.wait()[1] == 0
fill(store, 10, 10)
try: StreamStore(sys.argv[1])
except stream_store.LockedError: pass
else: raise AssertionError("the lock went with a child")
store.close()
assert StreamStore(sys.argv[1]).num_rows == 20
""", path)  # fmt: skip


def sum_of(store: StreamStore, out: Any) -> None:
    out.put((store.mode, store.num_rows, int(store[:]["values"].sum())))


def test_a_store_goes_to_a_spawned_worker_by_its_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context("spawn")
    with StreamStore(path, fields=FIELDS) as store:
        store.extend({"first": np.arange(1000)})
        monkeypatch.chdir(path.parent)
        for sent, rows in (
            (store, 1000),
            (store.snapshot(10), 10),
            (StreamStore("run", "r"), 1000),
        ):
            out = context.Queue()
            worker = context.Process(target=sum_of, args=(sent, out))
            worker.start()
            assert out.get(timeout=PATIENCE) == ("r", rows, sum(range(rows)))
            worker.join()
            assert worker.exitcode == 0


def rows_of(stores: list[StreamStore], out: Any) -> None:
    out.put([(store.num_rows, int(store[:]["values"].sum())) for store in stores])


def test_a_temporary_store_goes_to_a_spawned_worker_together_with_its_snapshots() -> None:
    context = multiprocessing.get_context("spawn")
    store = StreamStore(fields=FIELDS)
    store.extend({"first": np.arange(1000)})
    out = context.Queue()
    sent = [store.snapshot(10), store, store.snapshot(20)]
    worker = context.Process(target=rows_of, args=(sent, out))
    worker.start()
    assert out.get(timeout=PATIENCE) == [(rows, sum(range(rows))) for rows in (10, 1000, 20)]
    worker.join()
    assert worker.exitcode == 0


def test_copies_read_the_same_rows_and_temporary_stores_refuse_to_be_copied(path: Path) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        store.extend({"first": [1, 2]})
        for twin in (copy.copy(store), copy.deepcopy(store), pickle.loads(pickle.dumps(store))):
            assert twin.mode == "r"
            assert twin.num_rows == 2
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(store)
    temporary = StreamStore(fields=FIELDS)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"temporary.*path"):
            attempt(temporary)
    with pytest.raises(TypeError, match="temporary"):
        pickle.dumps(temporary.snapshot())


# --- threads ---


def in_threads(works: list[Any]) -> None:
    """Run all of them at once; raise the first error of any."""
    errors: list[BaseException] = []
    begin = threading.Barrier(len(works))

    def body(work: Any) -> None:
        try:
            begin.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("items", [1, 6000], ids=["small", "without-the-gil"])
def test_appends_of_several_threads_do_not_mix(items: int) -> None:
    store = StreamStore(fields={"who": "int64", "many": "int64[]"}, capacity=1000)
    rounds = 60

    def write(who: int) -> None:
        for _ in range(rounds):
            step = store.append_step({"who": who, "many": [who] * items})
            assert store.row(int(store.row_at(step)))["who"] == who
            store.extend({"who": [who, who], "many": np.full((2, items), who)})

    in_threads([lambda who=who: write(who) for who in range(4)])
    assert store.num_rows == 4 * rounds * 3
    read = store.read_rows(np.arange(store.num_rows))
    assert read["_step"].tolist() == list(range(store.num_rows))
    assert (read["many"] == read["who"][:, None]).all()
    assert np.bincount(read["who"]).tolist() == [rounds * 3] * 4


def test_a_thread_that_extends_all_the_time_does_not_starve_another() -> None:
    run("""
import threading
store = StreamStore(fields={"a": "float64[8]"})
block = {"a": np.zeros((50_000, 8))}
calls, over = [0, 0], threading.Event()

def extend(which):
    while not over.is_set():
        store.extend(block)
        calls[which] += 1
        if min(calls) >= 3 or max(calls) >= 300:
            over.set()

threads = [threading.Thread(target=extend, args=(which,)) for which in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert min(calls) >= 3, calls
""")  # fmt: skip


def test_threads_sample_while_one_appends(path: Path) -> None:
    store = StreamStore(path, fields=FIELDS, capacity=100)
    done = threading.Event()

    def write() -> None:
        try:
            for i in range(8000):
                store.append_step({"first": i, "many": [i] * (i % 7), "last": i}, step=i)
        finally:
            done.set()

    def sample() -> None:
        rng, view = np.random.default_rng(threading.get_ident()), StreamStore(path, "r")
        while not done.is_set():
            for one in (store, view):
                size = len(one)
                if size < 64:
                    continue
                read = one.windows(rng.integers(0, size - 32, 40), 32, columns=("values", "row"))
                assert (read["values"] == read["row"]).all()
                check_rows(one.snapshot())

    in_threads([write, sample, sample])
    assert check_rows(store) == 8000


def test_a_store_closed_by_another_thread_says_so(path: Path) -> None:
    for _ in range(5):
        store = StreamStore(path, fields=FIELDS)
        begin = store.num_rows

        def write(store: StreamStore = store) -> None:
            while True:
                step = store.num_rows
                store.append_step({"first": step, "many": [step] * (step % 7), "last": step})

        def read(store: StreamStore = store) -> None:
            while True:
                store[:], store.read_rows(np.arange(store.num_rows)), len(store)

        def until_closed(work: Any) -> None:
            with pytest.raises(ValueError, match="closed"):
                work()

        in_threads(
            [
                lambda work=write: until_closed(work),
                lambda work=read: until_closed(work),
                lambda store=store: (time.sleep(0.05), store.close()),
            ]
        )
        with StreamStore(path, "r") as closed:
            assert check_rows(closed) >= begin
    with pytest.raises(io.UnsupportedOperation):
        StreamStore(path, "r").append_step({})


def test_a_store_is_copied_after_writers_were_killed_that_had_allocated_ahead(
    tmp_path: Path,
) -> None:
    # The next writer gives the space back, so the files become shorter than a reader has mapped.
    path = tmp_path / "run"
    script = """
store = StreamStore(sys.argv[1], fields={"x": "int64", "text": "string"})
store.extend({"x": range(store.num_rows, store.num_rows + 20), "text": ["word"] * 20})
store.sync()
os.kill(os.getpid(), signal.SIGKILL)
"""
    reader = None
    for count in range(1, 5):
        start(script, path).communicate()
        reader = reader or StreamStore(path, "r")
        assert reader.num_rows == 20 * count
        copy = tmp_path / f"copy{count}"
        assert reader.checkpoint(copy) == 20 * count
        with StreamStore(copy, "r") as copied:
            assert (copied.read_rows(slice(None))["x"] == range(20 * count)).all()
