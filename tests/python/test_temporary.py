"""The hidden directory of a temporary store: when it is deleted, and who reads it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_process import PATIENCE, finish, line_of, run, start
from stream_store import StreamStore, WindowSampler

FIELDS = {"number": "int64"}

HELPERS = """
FIELDS = {"number": "int64"}
os.environ["TMPDIR"] = sys.argv[1]

def left():
    return sorted(os.listdir(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the temporary stores of a test are."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


def left(place: Path) -> list[Path]:
    return sorted(place.iterdir())


def filled(rows: int = 5) -> StreamStore:
    store = StreamStore(fields=FIELDS)
    store.extend({"number": np.arange(rows)})
    return store


# --- when it is deleted ---


def test_it_is_hidden_private_and_unknown_to_the_user(place: Path) -> None:
    store = filled()
    (directory,) = left(place)
    assert directory.name.startswith(".stream_store.tmp-")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
    assert store.path is None
    assert "temporary" in repr(store)
    with pytest.raises(ValueError, match="step") as refused:
        store.append_step({"number": 1}, step=0)
    for text in (repr(store), repr(store.snapshot()), str(refused.value), str(store.verify())):
        assert directory.name not in text


def test_nothing_is_left_after_close_del_and_clear(place: Path) -> None:
    store = filled()
    store.clear()
    assert len(left(place)) == 1
    store.close()
    assert left(place) == []
    store = filled()
    del store
    gc.collect()
    assert left(place) == []


def test_snapshots_and_samplers_keep_the_directory(place: Path) -> None:
    store = filled()
    shown, sampler = store.snapshot(), WindowSampler(store, 2, unit="row", seed=1)
    store.close()
    filled().close()  # cleans up, but not what is in use
    assert len(left(place)) == 1
    assert shown[:]["values"].tolist() == [0, 1, 2, 3, 4]
    shown.close()
    del shown, sampler
    gc.collect()
    assert left(place) == []


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "shown = store.snapshot(); store.close()",
        "shown = [store.snapshot()]; shown.append(shown)",
        "import builtins; builtins.kept = (store, store.snapshot())",
        "s = stream_store.WindowSampler(store, 2, unit='row'); p = s.prefetch(2); next(p)",
    ],
)
def test_nothing_is_left_after_the_interpreter_ends(place: Path, end: str) -> None:
    run(HELPERS + f"""
store = StreamStore(fields=FIELDS)
store.extend({{"number": np.arange(100)}})
assert len(left()) == 1
{end}
""", place)  # fmt: skip
    assert left(place) == []


WAITING = (
    HELPERS
    + """
store = StreamStore(fields=FIELDS)
store.append_step({"number": 7})
print("ready", flush=True)
sys.stdin.readline()
"""
)


def test_the_next_temporary_store_deletes_that_of_a_killed_process(place: Path) -> None:
    alive, killed = start(WAITING, place), start(WAITING, place)
    try:
        for process in (alive, killed):
            assert line_of(process.stdout) == "ready"
        killed.kill()
        killed.communicate()
        assert len(left(place)) == 2
        filled().close()
        assert len(left(place)) == 1
        finish(alive)
    finally:
        alive.kill()
    assert left(place) == []


def test_what_a_child_that_ends_by_exit_leaves_is_deleted_by_the_next_store(place: Path) -> None:
    run(HELPERS + """
if os.fork() == 0:
    store = StreamStore(fields=FIELDS)
    os._exit(0)
assert os.wait()[1] == 0
assert len(left()) == 1
""", place)  # fmt: skip
    filled().close()
    assert left(place) == []


@pytest.mark.parametrize("end", ["sys.exit(0)", "store.close(); sys.exit(0)", "os._exit(0)"])
def test_a_forked_child_deletes_nothing(place: Path, end: str) -> None:
    run(HELPERS + f"""
store = StreamStore(fields=FIELDS)
store.append_step({{"number": 7}})
closed = StreamStore(fields=FIELDS)
closed.append_step({{"number": 8}})
shown = closed.snapshot()
closed.close()
if os.fork() == 0:
    assert store.num_rows == shown.num_rows == 1 and store.live
    {end}
assert os.wait()[1] == 0
assert len(left()) == 2
store.append_step({{"number": 9}})
assert store[:]["values"].tolist() == [7, 9] and shown[:]["values"].tolist() == [8]
""", place)  # fmt: skip
    assert left(place) == []


def test_processes_that_create_and_clean_up_at_once_keep_their_stores(place: Path) -> None:
    script = (
        HELPERS
        + """
kept = StreamStore(fields=FIELDS)
for i in range(50):
    kept.append_step({"number": i})
    with StreamStore(fields=FIELDS) as other:
        other.append_step({"number": i})
        assert other.row(0)["number"] == i
assert kept[:]["values"].tolist() == list(range(50))
assert len(left()) >= 1
"""
    )
    for process in [start(script, place) for _ in range(3)]:
        finish(process)
    assert left(place) == []


# --- where it is created ---


@pytest.mark.parametrize("refusing", ["/proc", "/none/such", "/dev/null"])
def test_a_tmpdir_that_refuses_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    monkeypatch.setenv("TMPDIR", refusing)
    with filled() as store:
        assert store.num_rows == 5


def test_a_relative_tmpdir_is_found_after_the_directory_was_changed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("TMPDIR", ".")
    store = filled()
    monkeypatch.chdir("/")
    assert len(left(place)) == 1
    store.close()
    assert left(place) == []


def test_the_directory_can_be_opened_for_reading_only(place: Path) -> None:
    with filled() as store:
        (directory,) = left(place)
        with StreamStore(directory, "r") as reader:
            assert reader.num_rows == 5
            store.extend({"number": [5]})
            assert reader[:]["values"].tolist() == [0, 1, 2, 3, 4, 5]
        for mode in ("a", "x"):
            with pytest.raises(ValueError, match="temporary stores"):
                StreamStore(directory, mode)
        assert store.num_rows == 6
    assert left(place) == []


# --- other processes ---


def answer(store: StreamStore, out: Any) -> None:
    out.put((store.mode, store.live, store.durable_rows, int(store[:]["values"].sum())))


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_read_it_and_delete_nothing(place: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    mode = "a" if method == "fork" else "r"
    with filled() as store:
        for _ in range(2):
            out = context.Queue()
            worker = context.Process(target=answer, args=(store, out))
            worker.start()
            assert out.get(timeout=PATIENCE) == (mode, True, 0, 10)
            worker.join()
            assert worker.exitcode == 0
        assert len(left(place)) == 1
        store.extend({"number": [5]})
        del worker
    assert left(place) == []


# multiprocessing drops the arguments of a process as soon as that was started.
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_gets_a_store_that_nobody_else_keeps(place: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    out = context.Queue()
    store = filled()
    worker = context.Process(target=answer, args=(store, out))
    worker.start()
    store.close()
    assert out.get(timeout=PATIENCE)[3] == 10
    worker.join()
    assert worker.exitcode == 0
    del worker
    gc.collect()
    assert left(place) == []


def read_on(store: StreamStore, closed: Any, out: Any) -> None:
    out.put(store.num_rows)
    assert closed.wait(PATIENCE)
    answer(store, out)


def test_a_worker_keeps_the_rows_of_a_store_that_was_closed() -> None:
    context = multiprocessing.get_context("spawn")
    closed, out = context.Event(), context.Queue()
    store = filled()
    worker = context.Process(target=read_on, args=(store, closed, out))
    worker.start()
    assert out.get(timeout=PATIENCE) == 5
    store.extend({"number": np.arange(5, 1000)})
    store.close()
    closed.set()
    assert out.get(timeout=PATIENCE) == ("r", False, 0, sum(range(1000)))
    worker.join()
    assert worker.exitcode == 0


def pass_on(store: StreamStore, out: Any) -> None:
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=answer, args=(store.snapshot(3), out))
    worker.start()
    worker.join()
    os._exit(worker.exitcode or 0)


def test_a_worker_passes_it_on(place: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    with filled() as store:
        worker = context.Process(target=pass_on, args=(store, out))
        worker.start()
        assert out.get(timeout=PATIENCE) == ("r", True, 0, 3)
        worker.join()
        assert worker.exitcode == 0
        assert len(left(place)) == 1
