"""Bounded stores: retain_rows, retain_bytes, retain_segments, segment_by, against Python lists."""

from __future__ import annotations

import math
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import stream_store
from model_process import PATIENCE, start
from store_helpers import chunk_bytes
from stream_store import Retention, StreamStore

FIELDS = {"episode": "int64", "done": "bool", "value": "int64"}
MIB = 2**20


def eventually(true: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait for a condition; returns the seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come true"
        time.sleep(0.005)
    return time.monotonic() - began


def values(store: StreamStore, field: str = "value") -> list[int]:
    return [int(row[field]) for row in store.rows()]


def disk_usage(path: Path) -> int:
    """The disk space of all files of a store."""
    total = 0
    for file in path.iterdir():
        try:
            total += 512 * file.stat().st_blocks
        except FileNotFoundError:
            continue  # it was dropped
    return total


class Episodes:
    """Appends episodes of random length; knows where each begins."""

    def __init__(self, store: StreamStore, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.starts: list[int] = []

    def append(self, longest: int = 30) -> None:
        """Append one episode in two calls, so that the store has an open one in between."""
        first, length = self.store.num_rows, self.chance.randint(2, longest)
        self.starts.append(first)
        number = len(self.starts)
        for rows in (range(length - 1), range(length - 1, length)):
            self.store.extend(
                {
                    "episode": [number for _ in rows],
                    "done": [i == length - 1 for i in rows],
                    "value": [first + i for i in rows],
                }
            )


# --- limits ---


@pytest.mark.parametrize("temporary", [True, False])
def test_retain_rows_is_reached_soon_and_never_undercut(tmp_path: Path, temporary: bool) -> None:
    path = None if temporary else tmp_path / "store"
    store = StreamStore(path, fields=FIELDS, retain_rows=1000)
    for turn in range(30):
        numbers = range(turn * 500, turn * 500 + 500)
        store.extend({"value": numbers})
        view = store.snapshot()
        assert view.kept_rows >= min(1000, view.num_rows)
        assert values(view) == list(range(view.first_row, view.num_rows))
        time.sleep(0.002)
    seconds = eventually(lambda: store.kept_rows == 1000)
    assert seconds < 10  # about 0.25 on an idle machine
    assert (store.first_row, store.num_rows, store.first_position) == (14_000, 15_000, 14_000)
    assert values(store) == list(range(14_000, 15_000))
    store.close()
    if path is not None:
        assert stream_store.verify(path).ok


def test_closing_drops_what_is_left_to_drop(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "store", fields=FIELDS, retain_rows=7) as store:
        store.extend({"value": range(5000)})
    with StreamStore(tmp_path / "store", "r") as store:
        assert values(store) == list(range(4993, 5000))


def test_retain_bytes_bounds_the_disk_usage_over_ten_times_the_limit(tmp_path: Path) -> None:
    limit, chunk = 8 * MIB, MIB
    path = tmp_path / "store"
    fields = {"block": "int64[128]"}
    with StreamStore(path, fields=fields, retain_bytes=limit, chunk_bytes=chunk) as store:
        assert chunk_bytes(path) == chunk
        most = 0
        for turn in range(80):  # 1 MiB each
            rows = np.arange(turn * 1024, turn * 1024 + 1024)
            store.extend({"block": np.repeat(rows[:, None], 128, axis=1)})
            eventually(lambda: disk_usage(path) <= limit + 4 * chunk)
            most = max(most, disk_usage(path))
        assert store.num_rows == 80 * 1024
        eventually(lambda: store.kept_rows * 1024 <= limit)
        assert store.kept_rows * 1024 > limit * 3 // 4, "more than necessary was dropped"
        frozen = store.snapshot()  # rows may still be dropped
        assert [int(row["block"][0]) for row in frozen.rows()] == list(
            range(frozen.first_row, frozen.num_rows)
        )
    assert most > limit // 2, "the limit was never near"
    assert disk_usage(path) <= limit + 4 * chunk
    assert stream_store.verify(path).ok


def test_a_writer_that_only_appends_does_not_hold_what_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store"
    limits = {"retain_bytes": 8 * MIB, "chunk_bytes": MIB}
    with StreamStore(path, fields={"block": "int64[4096]"}, **limits) as store:
        for i in range(640):  # 20 MiB
            store.append_step({"block": np.full(4096, i)})
            if i % 32 == 31:
                eventually(lambda: disk_usage(path) <= 12 * MIB)
        held = stream_store.verify(path).held_bytes
    assert held <= 5 * MIB


@pytest.mark.parametrize("last_call", ["append", "read", "long read"])
def test_an_idle_writer_gives_back_what_is_dropped_after_its_last_call(
    tmp_path: Path, last_call: str
) -> None:
    path = tmp_path / "store"
    limits = {"retain_bytes": 8 * MIB, "chunk_bytes": MIB}
    fields = {"block": "int64[4096]"}
    with StreamStore(path, fields=fields, sync_seconds=None, **limits) as store:
        block = np.zeros((32, 4096), np.int64)
        for _ in range(20):  # 1 MiB each, faster than rows are dropped
            store.extend({"block": block})
            if last_call == "read":
                assert store.row(-1)["block"][0] == 0
        if last_call == "long read":
            windows = store.windows(np.arange(store.first_position, len(store) - 1000, 101), 1000)
            assert not windows["values"].any()
        eventually(lambda: disk_usage(path) <= 12 * MIB)
        eventually(lambda: stream_store.verify(path).held_bytes == 0)
        assert store.row(-1)["block"][0] == 0
        assert store.kept_rows == store.num_rows - store.first_row < 640


@pytest.mark.parametrize("by", ["episode", "done", ["done"]])
def test_segments_are_dropped_whole_and_their_number_is_retained(
    tmp_path: Path, by: str | list[str]
) -> None:
    store = StreamStore(tmp_path / "store", fields=FIELDS, retain_segments=5, segment_by=by)
    episodes = Episodes(store, seed=3)
    for _ in range(120):
        episodes.append()
        view = store.snapshot()
        assert view.first_row in episodes.starts
        assert len(view.segments(by)) >= min(5, len(episodes.starts))
        time.sleep(0.001)
    eventually(lambda: len(store.segments(by)) == 5)
    assert store.first_row == episodes.starts[-5]
    assert store.segments(by)[:, 0].tolist() == episodes.starts[-5:]
    assert values(store) == list(range(episodes.starts[-5], store.num_rows))


def test_a_limit_of_rows_drops_whole_segments_if_there_are_any() -> None:
    store = StreamStore(fields=FIELDS, retain_rows=50, segment_by="episode")
    episodes = Episodes(store, seed=4)
    for _ in range(60):
        episodes.append(longest=20)
        assert store.first_row in episodes.starts
    # The first start that leaves at most 50 rows, but never more than the last segment.
    fits = [start for start in episodes.starts if store.num_rows - start <= 50]
    eventually(lambda: store.first_row == fits[0])
    for _ in range(3):  # an open segment that is longer than the limit stays whole
        store.extend({"episode": [999] * 100, "value": range(100)})
    eventually(lambda: store.kept_rows == 300)
    time.sleep(0.5)
    assert store.kept_rows == 300


def test_the_strictest_limit_applies() -> None:
    for rows, segments, left in ((1000, 3, 30), (25, 3, 20), (10**6, 10**6, 400)):
        store = StreamStore(
            fields=FIELDS, retain_rows=rows, retain_segments=segments, segment_by="episode"
        )
        for number in range(40):
            store.extend({"episode": [number] * 10, "value": range(10)})
        eventually(lambda: store.kept_rows == left)  # noqa: B023
        time.sleep(0.3)
        assert store.kept_rows == left


# --- the setting ---


def test_limits_are_stored_and_can_be_changed_and_lifted(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with StreamStore(path, fields=FIELDS, retain_rows=100, chunk_bytes=MIB) as store:
        assert store.retention == Retention(rows=100)
        store.extend({"value": range(500)})
    with StreamStore(path) as store:  # it keeps them
        assert store.retention == Retention(rows=100)
        assert (store.first_row, store.num_rows) == (400, 500)
        store.extend({"value": range(500, 600)})
        eventually(lambda: store.first_row == 500)
    with StreamStore(path, retain_rows=20, retain_bytes=64 * MIB, fields=FIELDS) as store:
        assert store.retention == Retention(rows=20, bytes=64 * MIB)
        eventually(lambda: store.first_row == 580)
    with StreamStore(path, retain_segments=3, segment_by=["episode"]) as store:
        assert store.retention == Retention(20, 64 * MIB, 3, ("episode",))
    with StreamStore(path, "r") as store:
        assert store.retention == Retention(20, 64 * MIB, 3, ("episode",))
    nothing = {"retain_rows": math.inf, "retain_bytes": math.inf, "retain_segments": math.inf}
    with StreamStore(path, **nothing) as store:
        assert not store.retention.limited
        store.extend({"value": range(600, 900)})
        time.sleep(0.5)
    with StreamStore(path, "r") as store:
        assert store.kept_rows == 320
        assert str(store.retention) == "everything"
        assert store.snapshot().retention == store.retention


def kill_with_excess(path: Path) -> int:
    """Leave a store with rows that its limit of 10 does not let stay; returns its first row."""
    script = """
    store = StreamStore(sys.argv[1])
    time.sleep(0.1)  # the helper thread pauses now, for 0.2 s
    store.extend({"value": range(100_000)})
    os.kill(os.getpid(), signal.SIGKILL)
    """
    while True:
        process = start(script, path)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        with StreamStore(path, "r") as store:
            if store.kept_rows > 50_000:
                return store.first_row


def test_a_limit_that_is_lifted_after_a_kill_drops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    StreamStore(path, fields=FIELDS, retain_rows=10).close()
    for new, kept in ((math.inf, None), (50_000, 50_000)):
        first = kill_with_excess(path)
        with StreamStore(path, retain_rows=new) as store:
            if kept is None:
                time.sleep(0.3)
                assert store.first_row == first
            else:
                eventually(lambda: store.kept_rows == kept)  # noqa: B023
        with StreamStore(path, "r") as store:
            assert store.kept_rows == (store.num_rows - first if kept is None else kept)
        StreamStore(path, retain_rows=10).close()  # drops them


def test_wrong_fields_after_a_kill_drop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    StreamStore(path, fields=FIELDS, retain_rows=10).close()
    first = kill_with_excess(path)
    with pytest.raises(ValueError, match="other"):
        StreamStore(path, fields={"other": "int64"})
    with StreamStore(path, "r") as store:
        assert store.first_row == first


def test_the_limits_of_a_temporary_store_are_seen_by_its_readers() -> None:
    store = StreamStore(retain_rows=5)
    assert store.retention == Retention(rows=5)
    store.define_fields(FIELDS)
    assert store.retention == store.snapshot().retention == Retention(rows=5)
    store.extend({"value": range(10)})
    eventually(lambda: store.kept_rows == 5)
    store.clear()
    assert store.retention == Retention(rows=5)
    store.extend({"value": range(10)})
    eventually(lambda: store.first_row == 5)


# --- bad input ---

CHUNK = {"chunk_bytes": MIB}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"retain_rows": 0}, ValueError, "retain_rows.*0"),
        ({"retain_rows": -1}, ValueError, "retain_rows.*-1"),
        ({"retain_rows": 2**63}, ValueError, "retain_rows"),
        ({"retain_rows": True}, TypeError, "retain_rows.*True"),
        ({"retain_rows": 1.5}, TypeError, "retain_rows.*1.5"),
        ({"retain_rows": -math.inf}, TypeError, "retain_rows.*-inf"),
        ({"retain_rows": math.nan}, TypeError, "retain_rows.*nan"),
        ({"retain_rows": "10"}, TypeError, "retain_rows.*'10'"),
        ({"retain_bytes": 0}, ValueError, "retain_bytes.*0"),
        ({"retain_bytes": MIB - 1} | CHUNK, ValueError, "retain_bytes.*1048576.*1048575"),
        ({"retain_segments": 0, "segment_by": "done"}, ValueError, "retain_segments.*0"),
        ({"retain_segments": 3}, ValueError, "retain_segments needs segment_by"),
        ({"retain_rows": 9, "segment_by": "nope"}, ValueError, "segment_by.*nope"),
        ({"retain_rows": 9, "segment_by": "real"}, ValueError, "real"),
        ({"retain_rows": 9, "segment_by": ["episode", "done"]}, ValueError, "not all are bool"),
        ({"retain_rows": 9, "segment_by": ["done", "done"]}, ValueError, "once"),
        ({"retain_rows": 9, "segment_by": []}, ValueError, "segment_by"),
        ({"retain_rows": 9, "segment_by": 5}, ValueError, "segment_by.*5"),
        ({"retain_rows": 9, "segment_by": [5]}, ValueError, "segment_by.*5"),
        ({"chunk_bytes": 3 * MIB}, ValueError, "chunk_bytes.*power of two"),
        ({"chunk_bytes": 2**19}, ValueError, "chunk_bytes"),
        ({"chunk_bytes": 2**31}, ValueError, "chunk_bytes"),
        ({"chunk_bytes": 0}, ValueError, "chunk_bytes.*0"),
        ({"chunk_bytes": 1.0}, TypeError, "chunk_bytes"),
        ({"chunk_bytes": True}, TypeError, "chunk_bytes"),
    ],
)
def test_a_refused_limit_leaves_the_store_as_it_was(
    tmp_path: Path, arguments, error, words
) -> None:
    fields = FIELDS | {"real": "float32"}
    new = tmp_path / "new"
    with pytest.raises(error, match=words):
        StreamStore(new, fields=fields, **arguments)
    with pytest.raises(error, match=words):
        StreamStore(fields=fields, **arguments)
    assert list(tmp_path.iterdir()) == []
    if set(arguments) == {"chunk_bytes"}:
        return  # it is of no consequence for a store that exists
    old = tmp_path / "old"
    with StreamStore(old, fields=fields, retain_rows=50, **CHUNK) as store:
        store.extend({"value": range(50)})
    before = {file.name: file.read_bytes() for file in old.iterdir()}
    with pytest.raises(error, match=words):
        StreamStore(old, **arguments)
    with pytest.raises(error, match=words):
        StreamStore(old, fields=fields, **arguments)
    with StreamStore(old, "r") as store:
        assert store.retention == Retention(rows=50)
        assert values(store) == list(range(50))
    after = {file.name: file.read_bytes() for file in old.iterdir()}
    assert {name for name in before if before[name] != after[name]} <= {"control"}


def test_wrong_fields_do_not_change_the_limits_of_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with StreamStore(path, fields=FIELDS) as store:
        store.extend({"value": range(50)})
    with pytest.raises(ValueError, match="other"):
        StreamStore(path, fields={"other": "int64"}, retain_rows=3)
    with StreamStore(path, "r") as store:
        assert (store.kept_rows, store.retention) == (50, Retention())


@pytest.mark.parametrize("name", ["retain_rows", "retain_bytes", "retain_segments", "chunk_bytes"])
def test_readers_take_no_limits(tmp_path: Path, name: str) -> None:
    StreamStore(tmp_path / "store", fields=FIELDS).close()
    with pytest.raises(ValueError, match=f"{name}.*mode is 'r'"):
        StreamStore(tmp_path / "store", "r", **{name: 2**20})
