"""WindowSampler: its state, and prefetched batches."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_process import run
from sampler_model import (
    CHOICES,
    FIELDS,
    append,
    check_content,
    epoch,
    filled,
    make_rows,
    row_windows,
    windows_of,
)
from stream_store import StreamStore, WindowSampler

# --- resuming ---


@given(seed=st.integers(0, 99), done=st.integers(0, 12), replacement=st.booleans(), **CHOICES)
@settings(max_examples=40)
def test_a_state_resumes_exactly(
    seed: int,
    done: int,
    replacement: bool,
    length: int,
    segment_by: str | None,
    pad: Any,
    lanes: int,
) -> None:
    store, rows = filled(50, seed)
    arguments: dict[str, Any] = {
        "unit": "row",
        "batch_size": 6,
        "replacement": replacement,
        "segment_by": segment_by,
        "pad": pad,
        "lanes": lanes,
    }
    if not row_windows(rows, length, segment_by, pad, lanes):
        return
    sampler = WindowSampler(store, length, seed=seed, **arguments)
    batches = iter(sampler)
    for _ in range(done):
        next(batches, None)
    state = json.loads(json.dumps(sampler.state_dict()))
    if not replacement:
        append(store, make_rows(np.random.default_rng(9), 20, first=50))
    resumed = WindowSampler(store, length, **arguments)
    resumed.load_state_dict(state)
    rest = [windows_of(batch) for batch, _ in zip(batches, range(20), strict=False)]
    if rest or replacement:
        again = [windows_of(batch) for batch, _ in zip(resumed, range(20), strict=False)]
        assert again == rest
    else:  # the epoch was over: the next one begins, at once if the end was handed out
        if not state["finished"]:
            assert epoch(resumed) == []
        assert sorted(epoch(resumed), key=str) == sorted(epoch(sampler), key=str)


def test_a_state_resumes_in_another_process(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append(store, make_rows(np.random.default_rng(0), 50))
        sampler = WindowSampler(
            store, 3, unit="row", replacement=False, batch_size=5, seed=3, segment_by="episode"
        )
        batches = iter(sampler)
        for _ in range(3):
            next(batches)
        (tmp_path / "state").write_text(json.dumps(sampler.state_dict()))
        expected = [batch["_step"].tolist() for batch in batches]
    script = """
import json
from stream_store import WindowSampler
store = StreamStore(sys.argv[1] + "/s", "r")
sampler = WindowSampler(
    store, 3, unit="row", replacement=False, batch_size=5, segment_by="episode"
)
sampler.load_state_dict(json.loads(open(sys.argv[1] + "/state").read()))
print(json.dumps([batch["_step"].tolist() for batch in sampler]))
"""
    assert json.loads(run(script, tmp_path)) == expected


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("replacement", [False, True])
def test_a_state_continues_on_a_copy_of_the_store_at_its_rows(
    tmp_path: Path, replacement: bool, persistent: bool
) -> None:
    # Replayed from a report: the copy refused the state, because it has an id of its own.
    store = StreamStore(tmp_path / "s" if persistent else None, fields=FIELDS)
    append(store, make_rows(np.random.default_rng(0), 1000))
    arguments: dict[str, Any] = {"unit": "row", "segment_by": "episode", "batch_size": 32}
    sampler = WindowSampler(store, 3, replacement=replacement, seed=5, **arguments)
    batches = iter(sampler)
    for _ in range(4):
        next(batches)
    state = json.loads(json.dumps(sampler.state_dict()))
    expected = [windows_of(batch) for batch, _ in zip(batches, range(5), strict=False)]
    append(store, make_rows(np.random.default_rng(1), 500, first=1000))
    store.snapshot(1000).checkpoint(tmp_path / "copy")
    with StreamStore(tmp_path / "copy", "r") as copy:
        assert copy.num_rows == 1000
        resumed = WindowSampler(copy, 3, replacement=replacement, **arguments)
        resumed.load_state_dict(state)
        found = [windows_of(batch) for batch, _ in zip(resumed, range(5), strict=False)]
        assert found == expected
        again = WindowSampler(store, 3, replacement=replacement, **arguments)
        with pytest.raises(ValueError, match="another store"):
            again.load_state_dict(resumed.state_dict())  # the store is no copy of its copy


def test_what_was_read_ahead_is_drawn_again_from_the_rows_that_are_stored_then() -> None:
    store, _ = filled(50)
    arguments: dict[str, Any] = {"unit": "row", "batch_size": 40, "seed": 6}
    samplers = [WindowSampler(store, 1, **arguments) for _ in range(2)]
    with samplers[0].prefetch(4) as ahead:
        for _ in range(3):
            np.testing.assert_array_equal(next(ahead)["_step"], samplers[1].sample()["_step"])
        state = samplers[0].state_dict()
        assert state == samplers[1].state_dict()
        append(store, make_rows(np.random.default_rng(9), 500, first=50))
        resumed = WindowSampler(store, 1, **arguments)
        resumed.load_state_dict(state)
        found = [resumed.sample()["_step"] for _ in range(4)]
        for steps in found:  # as a sampler that does not read ahead
            np.testing.assert_array_equal(steps, samplers[1].sample()["_step"])
        assert max(steps.max() for steps in found) >= 50
        assert max(next(ahead)["_step"].max() for _ in range(3)) < 50


@pytest.mark.parametrize("pad", [None, "right", "left"])
def test_batches_of_a_snapshot_are_repeated_after_the_store_has_grown(pad: Any) -> None:
    store, _ = filled(50)
    arguments: dict[str, Any] = {"unit": "row", "batch_size": 7, "pad": pad}
    count = store.complete_rows
    sampler = WindowSampler(store.snapshot(count), 6, seed=6, **arguments)
    with sampler.prefetch(4) as batches:
        next(batches)
        state = sampler.state_dict()
        append(store, make_rows(np.random.default_rng(9), 500, first=50))
        resumed = WindowSampler(store.snapshot(count), 6, **arguments)
        resumed.load_state_dict(state)
        for batch, _ in zip(batches, range(10), strict=False):
            assert windows_of(batch) == windows_of(resumed.sample())


def test_a_sampler_in_use_takes_the_state_of_another_number_of_rows() -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": np.arange(40)})

    def begun() -> tuple[WindowSampler, list[Any]]:
        sampler = WindowSampler(store, 1, unit="row", batch_size=10, replacement=False)
        return sampler, [next(iter(sampler))["_row"]]

    def sorted_rows(batches: list[Any]) -> list[int]:
        return sorted(np.concatenate(batches).ravel().tolist())

    sampler, _ = begun()
    few, rows_of_few = begun()
    store.extend({"x": np.arange(40, 80)})
    many, rows_of_many = begun()

    sampler.load_state_dict(many.state_dict())  # of rows that it has not looked at
    rows_of_many += [batch["_row"] for batch in sampler]
    assert sorted_rows(rows_of_many) == list(range(80))

    sampler.load_state_dict(few.state_dict())
    rows_of_few += [batch["_row"] for batch in sampler]
    assert sorted_rows(rows_of_few) == list(range(40))
    assert sorted_rows([batch["_row"] for batch in sampler]) == list(range(80))


def test_a_sampler_pickles_with_its_state(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append(store, make_rows(np.random.default_rng(0), 50))
        sampler = WindowSampler(store, 3, unit="row", batch_size=5, rows=(3, None), seed=8)
        sampler.sample()
        twin = pickle.loads(pickle.dumps(sampler))
        assert twin.sample()["_step"].tolist() == sampler.sample()["_step"].tolist()


def test_a_state_that_does_not_fit_is_refused() -> None:
    store, _ = filled()
    sampler = WindowSampler(store, 3, unit="row", replacement=False, batch_size=4)
    next(iter(sampler))
    state = sampler.state_dict()
    plain = (int, str, list)
    assert all(isinstance(value, plain) for value in state.values())
    other, _ = filled(seed=1)
    same = WindowSampler(other, 3, unit="row", replacement=False, batch_size=4)
    with pytest.raises(ValueError, match=f"another store.*{store.id}"):
        same.load_state_dict(state)
    for wrong, match in (
        ({"version": 2}, "version 1"),
        ({"length": 4}, "length"),
        ({"batch_size": 5}, "batch_size"),
        ({"rows": [10**6]}, "1000000 rows"),
        ({"rows": [-1]}, "rows"),
        ({"rows": []}, "length"),
        ({"batches": "3"}, "batches"),
        ({"stores": []}, "1 stores but found one of 0"),
    ):
        with pytest.raises(ValueError, match=match):
            sampler.load_state_dict({**state, **wrong})
    for wrong in ({}, None, 5, {"version": 1}):
        with pytest.raises(ValueError, match=r"state|version|length"):
            sampler.load_state_dict(wrong)  # type: ignore[arg-type]
    incomplete = dict(state)
    del incomplete["epoch"]
    with pytest.raises(ValueError, match="epoch"):
        sampler.load_state_dict(incomplete)
    assert sampler.state_dict() == state


# --- prefetch ---


def test_threads_share_a_prefetch() -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": np.arange(3000)})
    sampler = WindowSampler(store, 1, unit="row", replacement=False)
    for closes in (False, True):
        batches = sampler.prefetch(3)
        found: list[int] = []

        def take(batches: Any = batches, found: list[int] = found) -> None:
            found.extend(int(batch["x"][0, 0]) for batch in batches)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        if closes:
            batches.close()
        for thread in threads:
            thread.join()
        assert len(found) == len(set(found))
        assert closes or sorted(found) == list(range(3000))


@pytest.mark.parametrize("replacement", [False, True])
def test_prefetched_batches_equal_others(replacement: bool) -> None:
    store, rows = filled(200)
    arguments: dict[str, Any] = {"unit": "row", "batch_size": 9, "replacement": replacement}
    plain = WindowSampler(store, 4, **arguments)
    ahead = WindowSampler(store, 4, **arguments)
    for n in (1, 3, 50):
        pairs = zip(plain, ahead.prefetch(n), range(15), strict=False)
        for expected, found, _ in pairs:
            assert windows_of(found) == windows_of(expected)
            check_content(found, rows)
            assert ahead.state_dict() == plain.state_dict()
    text = StreamStore(fields={"t": "string", "n": "int64"})
    text.extend({"t": [f"row {i}" for i in range(50)], "n": np.arange(50)})
    with WindowSampler(text, 2, unit="row", batch_size=8).prefetch(2) as batches:
        batch = next(batches)
        assert batch["t"] == [[f"row {i}" for i in window] for window in batch["n"].tolist()]


def four_batches(store: StreamStore) -> WindowSampler:
    """A sampler whose epoch has 4 batches: 16 windows of one row."""
    assert store.num_rows == 16
    return WindowSampler(store, 1, unit="row", replacement=False, batch_size=4)


def test_closing_a_prefetch_forgets_the_end_that_it_saw() -> None:
    store, _ = filled(16)
    expected = epoch(four_batches(store))
    sampler = four_batches(store)
    batches = sampler.prefetch(10)  # reads the whole epoch at once
    first = windows_of(next(batches))
    batches.close()
    state = sampler.state_dict()
    assert (state["finished"], state["batches"]) == (0, 1)
    resumed = four_batches(store)
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(rest) == 3
    assert first + [window for batch in rest for window in windows_of(batch)] == expected


@pytest.mark.parametrize("ahead", [0, 1, 2, 4, 10])
def test_an_epoch_is_finished_once_its_end_was_handed_out(ahead: int) -> None:
    store, _ = filled(16)
    sampler = four_batches(store)
    batches: Any = sampler.prefetch(ahead) if ahead else iter(sampler)
    for handed_out in range(1, 5):
        next(batches)
        state = sampler.state_dict()
        assert (state["finished"], state["batches"]) == (0, handed_out)
    resumed = four_batches(store)
    resumed.load_state_dict(state)
    assert epoch(resumed) == []  # the rest of the epoch, which is nothing
    assert next(batches, None) is None
    state = sampler.state_dict()
    assert (state["finished"], state["batches"]) == (1, 4)
    resumed.load_state_dict(state)
    assert epoch(resumed) == epoch(sampler) != []  # the next epoch


@pytest.mark.parametrize("ahead", [0, 10])
def test_an_epoch_keeps_its_length_until_its_end_was_handed_out(ahead: int) -> None:
    store, _ = filled(16)
    sampler = four_batches(store)
    batches: Any = sampler.prefetch(ahead) if ahead else iter(sampler)
    next(batches)
    append(store, make_rows(np.random.default_rng(9), 16, first=16))
    assert len(sampler) == 4
    assert len(list(batches)) == 3
    assert len(sampler) == 8


def test_batches_that_were_not_handed_out_are_drawn_again() -> None:
    store, _ = filled(100)
    arguments: dict[str, Any] = {"unit": "row", "batch_size": 5, "replacement": False}
    expected = epoch(WindowSampler(store, 3, **arguments))
    sampler = WindowSampler(store, 3, **arguments)
    with sampler.prefetch(4) as batches:
        found = windows_of(next(batches)) + windows_of(next(batches))
        state = sampler.state_dict()
        assert state["batches"] == 2
    assert next(batches, None) is None
    assert sampler.state_dict() == state
    sampler.load_state_dict(state)
    found += [window for batch in sampler.prefetch(2) for window in windows_of(batch)]
    assert found == expected


def test_a_new_iterator_begins_where_the_caller_of_a_prefetch_was() -> None:
    store, _ = filled(100)
    plain = iter(WindowSampler(store, 3, unit="row", batch_size=5))
    expected = [windows_of(next(plain)), windows_of(next(plain))]
    sampler = WindowSampler(store, 3, unit="row", batch_size=5)
    batches = sampler.prefetch(4)
    first = windows_of(next(batches))
    assert [first, windows_of(next(iter(sampler)))] == expected


def test_an_error_in_a_prefetch_is_raised_when_its_batch_is_due() -> None:
    store, _ = filled(40)
    sampler = WindowSampler(store, 3, unit="row")
    batches = sampler.prefetch(2)
    next(batches)
    store.close()
    with pytest.raises(ValueError, match="closed"):
        list(batches)
