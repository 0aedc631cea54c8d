"""WindowSampler: the windows of epochs and samples, their order, frequency and content."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stream_store
from model_process import PATIENCE
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

# --- epochs ---


@given(count=st.integers(1, 60), seed=st.integers(0, 99), **CHOICES)
@settings(max_examples=60)
def test_an_epoch_is_every_valid_window_once(
    count: int, seed: int, length: int, segment_by: str | None, pad: Any, lanes: int
) -> None:
    store, rows = filled(count, seed)
    sampler = WindowSampler(
        store,
        length,
        unit="row",
        replacement=False,
        batch_size=5,
        segment_by=segment_by,
        pad=pad,
        lanes=lanes,
    )
    expected = row_windows(rows, length, segment_by, pad, lanes)
    assert sampler.num_starts == len(expected)
    if not expected:
        found = "1 row" if count == 1 else f"{count} rows"
        with pytest.raises(ValueError, match=rf"the store has {found}\b"):
            iter(sampler)
        return
    assert len(sampler) == -(-len(expected) // 5)
    batches = list(sampler)
    assert len(batches) == -(-len(expected) // 5)
    for batch in batches:
        check_content(batch, rows)
    assert sorted((w for b in batches for w in windows_of(b)), key=str) == expected


def test_every_epoch_has_its_own_order_which_the_seed_decides() -> None:
    store, _ = filled()
    arguments: dict[str, Any] = {"unit": "row", "replacement": False, "batch_size": 7}
    sampler = WindowSampler(store, 3, **arguments)
    first, second = epoch(sampler), epoch(sampler)
    assert first != second
    assert sorted(first) == sorted(second)
    again = WindowSampler(store, 3, **arguments)
    assert [epoch(again), epoch(again)] == [first, second]
    assert epoch(WindowSampler(store, 3, seed=1, **arguments)) != first


def test_an_epoch_keeps_the_store_it_began_with() -> None:
    store, rows = filled(30)
    sampler = WindowSampler(store, 4, unit="row", replacement=False, segment_by="episode")
    batches = iter(sampler)
    found = windows_of(next(batches))
    promised = len(sampler)
    more = make_rows(np.random.default_rng(1), 30, first=30)
    append(store, more)
    assert len(sampler) == promised
    found += [window for batch in batches for window in windows_of(batch)]
    assert sorted(found, key=str) == row_windows(rows, 4, "episode")
    assert sorted(epoch(sampler), key=str) == row_windows(rows + more, 4, "episode")


@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_share_an_epoch(drop_last: bool) -> None:
    store, rows = filled(50)
    parts = []
    for rank in range(3):
        sampler = WindowSampler(
            store,
            3,
            unit="row",
            replacement=False,
            batch_size=4,
            rank=rank,
            world_size=3,
            drop_last=drop_last,
        )
        parts.append(list(sampler))
        assert len(sampler) == len(parts[-1])
    found = [window for part in parts for batch in part for window in windows_of(batch)]
    assert len(set(found)) == len(found)
    if drop_last:
        assert {len(part) for part in parts} == {4}  # 48 starts
        assert set(found) <= set(row_windows(rows, 3))
    else:
        assert sorted(found, key=str) == row_windows(rows, 3)


# --- with replacement ---


@given(seed=st.integers(0, 99), **CHOICES)
@settings(max_examples=25)
def test_sampling_is_uniform_over_the_valid_windows(
    seed: int, length: int, segment_by: str | None, pad: Any, lanes: int
) -> None:
    store, rows = filled(80, seed)
    valid = row_windows(rows, length, segment_by, pad, lanes)
    if not valid:
        return
    sampler = WindowSampler(
        store,
        length,
        unit="row",
        batch_size=50 * len(valid),
        seed=seed,
        segment_by=segment_by,
        pad=pad,
        lanes=lanes,
        fields=["done"],
    )
    counts = Counter(windows_of(sampler.sample()))
    assert set(counts) <= set(valid)
    statistic = sum((counts[window] - 50) ** 2 / 50 for window in valid)
    freedom = len(valid) - 1
    assert statistic - freedom <= 6 * (2 * freedom) ** 0.5 + 1e-9


def test_a_sampler_follows_its_store_from_the_first_row_on() -> None:
    store = StreamStore(fields=FIELDS)
    sampler = WindowSampler(store, 2, unit="row", batch_size=64, segment_by="episode")
    with pytest.raises(ValueError, match="0 rows"):
        sampler.sample()
    assert not sampler.wait(0.01)
    rows: list[dict[str, Any]] = []
    for number in range(40):
        new = make_rows(np.random.default_rng(number), 1, first=number)
        append(store, new)
        rows += new
        valid = row_windows(rows, 2, "episode")
        assert sampler.num_starts == len(valid)
        if valid:
            assert set(windows_of(sampler.sample())) <= set(valid)
    assert sampler.wait(0)


def test_wait_ends_when_another_thread_appends() -> None:
    store = StreamStore(fields=FIELDS)
    sampler = WindowSampler(store, 5, unit="row")
    thread = threading.Timer(0.1, append, [store, make_rows(np.random.default_rng(0), 10)])
    thread.start()
    assert sampler.wait(PATIENCE)
    thread.join()


def test_rows_limit_starts_and_follow_the_live_end() -> None:
    store, _ = filled(100)
    cases = {(10, 20): range(10, 20), (-7, None): range(93, 98), (None, 4): range(4)}
    cases[-10, -5] = range(90, 95)
    for limits, expected in cases.items():
        sampler = WindowSampler(store, 3, unit="row", rows=limits, replacement=False)
        assert sorted(w[0] for w in epoch(sampler)) == list(expected), limits  # type: ignore[type-var]
    newest = WindowSampler(store, 3, unit="row", rows=(-10, None), batch_size=200)
    append(store, make_rows(np.random.default_rng(1), 100, first=100))
    assert {window[0] for window in windows_of(newest.sample())} == set(range(190, 198))


# --- values ---


def test_windows_of_values_equal_windows() -> None:
    store, rows = filled(40)
    sampler = WindowSampler(store, 9, batch_size=1000, columns=["values", "row", "step"])
    batch = sampler.sample()
    assert list(batch) == ["values", "row", "step"]
    assert batch["values"].shape == (1000, 9)
    starts = {
        tuple(window): start
        for start, window in enumerate(
            store.windows(np.arange(len(store) - 8), 9, columns=["row"])["row"].tolist()
        )
    }
    for window in batch["row"].tolist():
        assert tuple(window) in starts
    every = WindowSampler(store, 9, replacement=False, batch_size=16)
    assert every.num_starts == len(store) - 8
    whole = np.concatenate([b["values"] for b in every])
    expected = store.windows(np.arange(len(store) - 8), 9)["values"]
    assert Counter(map(tuple, whole.tolist())) == Counter(map(tuple, expected.tolist()))
    aligned = WindowSampler(store, 9, replacement=False, align="row", columns=["row", "offset"])
    firsts = [int(b["row"][0, 0]) for b in aligned]
    fits = [r for r in range(len(rows)) if store.position_of(r) + 9 <= len(store)]
    assert sorted(firsts) == fits


def test_windows_of_values_stay_in_their_segment() -> None:
    store, _ = filled(60)
    bounds = store.segments("done")
    of_row = np.searchsorted(bounds[:, 1], np.arange(60), side="right")
    sampler = WindowSampler(store, 6, segment_by="done", batch_size=500, columns=["row"])
    rows = sampler.sample()["row"]
    assert (of_row[rows] == of_row[rows[:, :1]]).all()
    ends = np.append(store.position_of(bounds[1:, 0]), len(store))
    starts = store.position_of(bounds[:, 0])
    assert sampler.num_starts == np.maximum(ends - starts - 5, 0).sum()


# --- several stores ---


def test_an_epoch_of_several_stores_has_the_windows_of_all() -> None:
    stores = [filled(20, 1)[0], filled(5, 2)[0], filled(40, 3)[0]]
    sampler = WindowSampler(stores, 4, unit="row", replacement=False, batch_size=6)
    pairs = [
        (int(which), window)
        for batch in sampler
        for which, window in zip(batch["_store"], windows_of(batch), strict=True)
    ]
    expected = [
        (which, tuple(range(start, start + 4)))
        for which, rows in enumerate((20, 5, 40))
        for start in range(rows - 3)
    ]
    assert sorted(pairs) == expected  # type: ignore[type-var]
    values = WindowSampler(stores, 8, batch_size=100).sample()
    assert values["_store"].dtype == np.int64
    assert set(values["_store"].tolist()) == {0, 1, 2}
    for which, window in zip(values["_store"], values["values"], strict=True):
        found = stores[which].windows(np.arange(len(stores[which]) - 7), 8)["values"]
        assert (found == window).all(axis=1).any()


def test_lists_of_several_stores_are_padded_to_the_longest() -> None:
    stores = []
    for length in (2, 5, 3):
        store = StreamStore(fields={"l": "int64[]"})
        store.append_step({"l": np.full(length, length)})
        stores.append(store)
    (batch,) = WindowSampler(stores, 1, unit="row", batch_size=3, replacement=False)
    lists = batch["l"][:, 0]
    assert sorted(lists.tolist()) == [[2, 2, 0, 0, 0], [3, 3, 3, 0, 0], [5, 5, 5, 5, 5]]


# --- the life of a sampler ---


def test_samplers_of_a_store_share_their_index() -> None:
    store = StreamStore(fields={"done": "bool", "x": "int64"})
    store.extend({"done": np.arange(300_000) % 3 == 2, "x": np.arange(300_000)})
    samplers = [WindowSampler(store, 2, unit="row", segment_by="done") for _ in range(50)]
    for sampler in samplers:
        assert sampler.num_starts == 200_000
    del samplers


def test_a_sampler_follows_a_store_that_was_cleared() -> None:
    store, _ = filled(50)
    sampler = WindowSampler(store, 3, unit="row", segment_by="episode", batch_size=100)
    sampler.sample()
    store.clear()
    with pytest.raises(ValueError, match="0 rows"):
        sampler.sample()
    rows = make_rows(np.random.default_rng(5), 12)
    append(store, rows)
    assert set(windows_of(sampler.sample())) <= set(row_windows(rows, 3, "episode"))


def test_a_sampler_follows_a_store_that_was_replaced() -> None:
    store, _ = filled(50)
    sampler = WindowSampler(store, 3, unit="row", segment_by="episode", batch_size=100)
    assert sampler.num_starts
    other, rows = filled(20, seed=5)
    store.from_arrow(other)
    expected = row_windows(rows, 3, "episode")
    assert sampler.num_starts == len(expected)
    assert set(windows_of(sampler.sample())) <= set(expected)


def test_an_epoch_of_a_cleared_store_is_an_error() -> None:
    store, _ = filled(50)
    sampler = WindowSampler(store, 3, unit="row", replacement=False)
    batches = iter(sampler)
    next(batches)
    store.clear()
    append(store, make_rows(np.random.default_rng(5), 12))
    with pytest.raises(RuntimeError, match="cleared"):
        next(batches)
    assert len(epoch(sampler)) == 10


def test_a_sampler_refuses_a_store_with_new_fields() -> None:
    store = StreamStore(fields={"x": "int64"})
    sampler = WindowSampler(store, 1)
    store.define_fields({"x": "float32"})
    store.append_step({"x": 1.5})
    for _ in range(2):
        with pytest.raises(RuntimeError, match="other fields were declared"):
            sampler.sample()


def test_a_sampler_refuses_stores_whose_fields_differ_by_now() -> None:
    stores = [StreamStore(fields={"x": "int64"}) for _ in range(2)]
    sampler = WindowSampler(stores, 1)
    stores[1].define_fields({"x": "float32"})
    for store in stores:
        store.append_step({"x": 1})
    for _ in range(2):
        with pytest.raises(ValueError, match="store 1 differ"):
            sampler.sample()


def test_a_closed_store_is_not_sampled() -> None:
    store, _ = filled(50)
    sampler = WindowSampler(store, 3)
    store.close()
    for call in (sampler.sample, lambda: sampler.num_starts, sampler.state_dict):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_a_sampler_of_a_snapshot_takes_no_later_rows() -> None:
    store, rows = filled(50)
    sampler = WindowSampler(store, 3, unit="row", segment_by="episode")
    assert sampler.num_starts == len(row_windows(rows, 3, "episode"))
    view = store.snapshot(20)
    early = WindowSampler(view, 3, unit="row", segment_by="episode", replacement=False)
    assert sorted(epoch(early), key=str) == row_windows(rows[:20], 3, "episode")


def test_incomplete_rows_are_not_sampled_while_the_writer_lives(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append(store, make_rows(np.random.default_rng(0), 10))
        store.append([10], ["episode"], [1])  # `done` is not there yet
        assert WindowSampler(store, 1, unit="row").num_starts == 10
        assert WindowSampler(store, 1).num_starts == len(store)
        store.append([10], ["done"], [True])
        assert WindowSampler(store, 1, unit="row").num_starts == 11
        store.append([11], ["episode"], [1])
    with StreamStore(tmp_path / "s", "r") as reader:
        for by in (None, "episode", "done"):
            assert WindowSampler(reader, 1, unit="row", segment_by=by).num_starts == 12


def test_an_incomplete_last_row_is_sampled_once_the_writer_has_closed(tmp_path: Path) -> None:
    store = StreamStore(tmp_path / "s", fields=FIELDS)
    append(store, make_rows(np.random.default_rng(0), 10))
    store.append([10], ["episode"], [1])  # `done` is not there yet
    sampler = WindowSampler(StreamStore(tmp_path / "s", "r"), 1, unit="row")
    assert sampler.num_starts == 10
    store.close()
    assert sampler.num_starts == 11


def test_many_threads_share_a_sampler() -> None:
    store, rows = filled(100)
    sampler = WindowSampler(store, 3, unit="row", batch_size=20, segment_by="episode")
    valid = set(row_windows(rows, 3, "episode"))
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(200):
            if not set(windows_of(sampler.sample())) <= valid:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sampler.state_dict()["batches"] == 800


def test_a_sampler_is_true_and_its_repr_names_its_options() -> None:
    store, _ = filled()
    sampler = WindowSampler(store, 3, unit="row", segment_by="episode")
    assert sampler
    with pytest.raises(TypeError, match="endless"):
        len(sampler)
    assert "segment_by=['episode'] of a temporary store" in repr(sampler)
    assert stream_store.WindowSampler is WindowSampler
