"""checkpoint(path, update=True): bytes copied, rows of the copy, samplers, refusals, processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from model_process import PATIENCE, start
from store_helpers import flip, stored
from stream_store import StreamStore, WindowSampler

FIELDS = {"reward": "int64", "obs": "float64[100]"}
ROW = 8 * 101 + 32

#: Some small constant: the layouts that each session writes.
SLACK = 200


def fill(store: StreamStore, rows: int) -> None:
    first = store.num_rows
    numbers = np.arange(first, first + rows)
    store.extend({"reward": numbers, "obs": np.repeat(numbers[:, None] / 2, 100, axis=1)})


def facts(store: StreamStore) -> tuple[Any, ...]:
    return store.num_rows, len(store), list(store.fields), stored(store)


def assert_up_to_date(store: StreamStore, copy: Path) -> None:
    with StreamStore(copy, "r") as opened:
        assert facts(opened) == facts(store)
        assert opened.recovery.state == "clean"
        assert opened.durable_rows == store.num_rows
    assert stream_store.verify(copy).findings == ()
    assert store.checkpoint(copy, update=True) == 0


def content(path: Path) -> dict[str, bytes]:
    """The bytes of all files that say what a store has."""
    return {
        name.name: name.read_bytes()
        for name in sorted(path.iterdir())
        if name.name not in ("control", "lock")
    }


@pytest.mark.parametrize("temporary", [True, False])
def test_only_new_bytes_are_copied(tmp_path: Path, temporary: bool) -> None:
    copy = tmp_path / "copies" / "copy"
    store = StreamStore(None if temporary else tmp_path / "run", fields=FIELDS)
    fill(store, 100)
    assert 0 <= store.checkpoint(copy, update=True) - 100 * ROW < SLACK
    for rows in (1, 300, 7000, 2):
        assert_up_to_date(store, copy)
        fill(store, rows)
        assert 0 <= store.checkpoint(copy, update=True) - rows * ROW < SLACK
    assert_up_to_date(store, copy)
    with StreamStore(copy, "r") as opened:
        assert opened.row(7402)["reward"] == 7402


def test_without_update_the_rows_are_counted(tmp_path: Path) -> None:
    store = StreamStore(fields=FIELDS)
    fill(store, 12)
    assert store.checkpoint(tmp_path / "copy") == 12
    assert store.checkpoint(tmp_path / "other", update=False) == 12
    with pytest.raises(FileExistsError, match="found a store"):
        store.checkpoint(tmp_path / "copy")


def test_readers_update_too_and_readers_of_the_copy_follow(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    store = StreamStore(run, fields=FIELDS)
    fill(store, 10)
    reader = StreamStore(run, "r")
    reader.checkpoint(copy, update=True)
    follower = StreamStore(copy, "r")
    assert follower.num_rows == 10
    fill(store, 20)
    seen: list[tuple[int, int]] = []
    assert (
        reader.checkpoint(
            copy, update=True, progress=lambda done, total: seen.append((done, total))
        )
        == 20 * ROW
    )
    assert seen[-1][0] == seen[-1][1] == 2 * 20 * ROW
    assert facts(follower) == facts(store)
    assert_up_to_date(store, copy)


def test_a_sampler_state_of_the_store_loads_on_the_copy(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    fill(store, 500)
    store.checkpoint(copy, update=True)
    for rows in (0, 300, 2000):
        if rows:
            fill(store, rows)
        arguments = {"batch_size": 16, "seed": 3, "rows": (0, store.num_rows)}
        sampler = WindowSampler(store, 8, **arguments)
        sampler.sample()
        state = json.loads(json.dumps(sampler.state_dict()))
        wanted = [sampler.sample()["values"] for _ in range(3)]
        store.checkpoint(copy, update=True)
        with StreamStore(copy, "r") as opened:
            other = WindowSampler(opened, 8, **arguments)
            other.load_state_dict(state)
            for values in wanted:
                np.testing.assert_array_equal(other.sample()["values"], values)


def test_a_state_is_refused_by_a_copy_with_other_rows(tmp_path: Path) -> None:
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    fill(store, 100)
    for name in ("old", "other", "dropped"):
        store.checkpoint(tmp_path / name)
    fill(store, 20)
    state = WindowSampler(store, 4, batch_size=8, seed=1).state_dict()
    with StreamStore(tmp_path / "other") as other:
        fill(other, 20)  # the same values, but appended by another session
        other.truncate(110)
        other.extend({"reward": np.arange(10), "obs": np.ones((10, 100))})
    with StreamStore(tmp_path / "dropped") as dropped:
        fill(dropped, 200)
        dropped.drop_before(150)
    for name, text in {
        "old": "row 119 .* bring it up to date",
        "other": "row 119 differs",
        "dropped": "the copy has rows 150 to 300",
    }.items():
        with StreamStore(tmp_path / name, "r") as copy:
            sampler = WindowSampler(copy, 4, batch_size=8, seed=1)
            with pytest.raises(ValueError, match=text):
                sampler.load_state_dict(state)
    store.checkpoint(tmp_path / "old", update=True)
    with StreamStore(tmp_path / "old", "r") as copy:
        sampler = WindowSampler(copy, 4, batch_size=8, seed=1)
        sampler.load_state_dict(state)
        with pytest.raises(ValueError, match="another store"):
            sampler.load_state_dict({**state, "stores": ["ab" * 16]})
        with pytest.raises(ValueError, match="row 0 of the store"):
            sampler.load_state_dict({key: state[key] for key in state if key != "checks"})


def test_rows_that_were_truncated_are_kept_until_they_are_given_up(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    fill(store, 100)
    store.checkpoint(copy)
    with pytest.raises(ValueError, match="only the rows before row 50 are equal"):
        store.snapshot(50).checkpoint(copy, update=True)
    store.truncate(60)
    before = content(copy)
    for rows in (0, 10, 200):
        if rows:
            fill(store, rows)
            store.truncate(60)
            store.extend({"reward": np.arange(rows), "obs": np.ones((rows, 100))})
        with pytest.raises(ValueError, match=r"only the rows before row 60 .* truncate\(60\)"):
            store.checkpoint(copy, update=True)
        assert content(copy) == before
    with StreamStore(copy) as opened:
        assert opened.num_rows == 100
        opened.truncate(60)
    assert 0 <= store.checkpoint(copy, update=True) - 200 * ROW < SLACK
    assert_up_to_date(store, copy)


def test_rows_that_the_copy_got_are_not_lost(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    fill(store, 10)
    store.checkpoint(copy)
    with StreamStore(copy) as opened:
        fill(opened, 5)
    fill(store, 5)
    with pytest.raises(ValueError, match="written to the checkpoint"):
        store.checkpoint(copy, update=True)
    with StreamStore(copy, "r") as opened:
        assert opened.num_rows == 15


def test_added_fields_are_copied(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    fill(store, 10)
    store.checkpoint(copy)
    follower = StreamStore(copy, "r")
    store.add_fields({"success": "bool"})
    assert store.checkpoint(copy, update=True) == 0
    assert_up_to_date(store, copy)
    store.append_step({"reward": 1, "success": True})
    assert store.checkpoint(copy, update=True) > 0
    assert_up_to_date(store, copy)
    assert follower.row(10)["success"]


def test_dropped_rows_are_dropped(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    fill(store, 1000)
    store.checkpoint(copy)
    for first, rows in ((400, 100), (450, 0), (1000, 500), (5500, 5000)):
        fill(store, rows)
        store.drop_before(first)
        kept = min(rows, store.num_rows - first)
        assert 0 <= store.checkpoint(copy, update=True) - kept * ROW < SLACK
        with StreamStore(copy, "r") as opened:
            assert (opened.first_row, opened.num_rows) == (first, store.num_rows)
            assert [row["reward"] for row in opened.rows()] == list(range(first, store.num_rows))
            with pytest.raises(stream_store.DroppedError):
                opened.row(first - 1)
        assert stream_store.verify(copy).findings == ()
        assert store.checkpoint(copy, update=True) == 0


def test_an_open_copy_is_locked(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(fields=FIELDS)
    fill(store, 10)
    store.checkpoint(copy)
    fill(store, 10)
    with (
        StreamStore(copy),
        pytest.raises(stream_store.LockedError, match="open for writing"),
    ):
        store.checkpoint(copy, update=True)
    assert store.checkpoint(copy, update=True) == 10 * ROW
    assert_up_to_date(store, copy)


def test_anything_else_is_refused_and_stays(tmp_path: Path) -> None:
    run, copy, other = tmp_path / "run", tmp_path / "copy", tmp_path / "other"
    store = StreamStore(run, fields=FIELDS)
    fill(store, 10)
    store.sync()
    store.checkpoint(copy)
    with StreamStore(other, fields=FIELDS) as foreign:
        fill(foreign, 10)
        foreign.checkpoint(tmp_path / "copy of other")
    with StreamStore(copy, "r") as opened:
        opened.checkpoint(tmp_path / "copy of copy")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, text in {
        "run": "the store itself",
        "other": "a store that is no copy",
        "copy of other": "a copy of the store",
        "copy of copy": "a copy of the store",
        "full": "found something else",
        "file": "found something else",
    }.items():
        path = tmp_path / name
        before = content(path) if path.is_dir() else {}
        with pytest.raises(FileExistsError, match=text):
            store.checkpoint(path, update=True)
        assert (content(path) if path.is_dir() else {}) == before
    with pytest.raises(ValueError, match="inside"):
        store.checkpoint(run / "in", update=True)


def test_damage_is_not_copied(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    store = StreamStore(run, fields=FIELDS)
    fill(store, 10)
    store.checkpoint(copy)
    fill(store, 50)
    store.sync()
    before = content(copy)
    flip(run, "values", 8 * 101 * 40 + 16)
    with pytest.raises(stream_store.CorruptStoreError, match="record 40 of 60"):
        store.checkpoint(copy, update=True)
    assert content(copy) == before
    assert stream_store.verify(copy).findings == ()
    flip(run, "values", 8 * 101 * 40 + 16)
    assert store.checkpoint(copy, update=True) == 50 * ROW
    assert_up_to_date(store, copy)


def test_progress_ends_the_call(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    store = StreamStore(fields=FIELDS)
    fill(store, 10)
    store.checkpoint(copy)
    fill(store, 5000)
    before = content(copy)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.checkpoint(copy, update=True, progress=stop)
    assert content(copy) == before
    with pytest.raises(TypeError, match="progress must be callable"):
        store.checkpoint(copy, update=True, progress=5)  # type: ignore[arg-type]
    assert store.checkpoint(copy, update=True) == 5000 * ROW
    assert_up_to_date(store, copy)


def test_while_another_process_appends_and_is_killed(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    writer = start(
        """
store = StreamStore(sys.argv[1], fields={"n": "int64", "obs": "float64[100]"}, capacity=1000)
for i in range(10**9):
    store.append_step({"n": i, "obs": [i / 2] * 100})
    if i == 1000: print("ready", flush=True)
    if i % 100 == 0: time.sleep(0.005)  # at full speed, the store outgrows the machine
""",
        run,
    )
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        with StreamStore(run, "r") as reader:
            before = 0
            for _ in range(8):
                reader.checkpoint(copy, update=True)
                with StreamStore(copy, "r") as opened:
                    assert opened.num_rows >= before
                    before = opened.num_rows
                    last = opened.row(before - 1)
                    assert last["n"] == before - 1
                    assert (last["obs"] == (before - 1) / 2).all()
                assert stream_store.verify(copy).findings == ()
    finally:
        writer.kill()
        writer.communicate(timeout=PATIENCE)
    with StreamStore(run) as store:
        store.checkpoint(copy, update=True)
        assert_up_to_date(store, copy)


def test_the_updating_process_may_be_killed(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    store = StreamStore(run, fields=FIELDS)
    fill(store, 10)
    store.checkpoint(copy)
    rows = {10}
    chance = np.random.default_rng(1)
    for _ in range(8):
        fill(store, 3000)
        store.sync()
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from stream_store import StreamStore\n"
                "reader = StreamStore(sys.argv[1], 'r'); print('go', flush=True)\n"
                "reader.checkpoint(sys.argv[2], update=True)",
                str(run),
                str(copy),
            ],
            stdout=subprocess.PIPE,
            env=os.environ,
        )
        assert child.stdout is not None
        child.stdout.readline()
        try:
            child.wait(chance.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
        child.stdout.close()
        rows.add(store.num_rows)
        with StreamStore(copy, "r") as opened:
            assert opened.num_rows in rows
            assert opened.recovery.state == "clean"
            assert opened.row(opened.num_rows - 1)["reward"] == opened.num_rows - 1
        assert stream_store.verify(copy).ok
    store.checkpoint(copy, update=True)
    assert_up_to_date(store, copy)
