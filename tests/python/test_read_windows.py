"""WindowSampler.read(): the windows with given numbers, against sample() and against all rows."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from sampler_model import FIELDS, append, filled, make_rows
from stream_store import DroppedError, Priorities, StreamStore, WindowSampler

# Every kind of starts: ranges, segments, lanes, padding, and those with a bit for each row.
KINDS: list[dict[str, Any]] = [
    {"length": 3, "unit": "row"},
    {"length": 3, "unit": "row", "rows": (5, 40)},
    {"length": 3, "unit": "row", "rows": (-20, None)},
    {"length": 3, "unit": "row", "segment_by": "episode"},
    {"length": 2, "unit": "row", "segment_by": "done", "rows": (7, -3)},
    {"length": 2, "unit": "row", "segment_by": "episode", "lanes": 3},
    {"length": 2, "unit": "row", "lanes": 4},
    {"length": 4, "unit": "row", "segment_by": "done", "pad": "left"},
    {"length": 4, "unit": "row", "segment_by": "episode", "pad": "right", "lanes": 2},
    {"length": 2, "lane_by": "episode"},
    {"length": 3, "where": "done", "pad": "right"},
    {"length": 3, "exclude": [[3, 6], [20, 30]], "segment_by": "episode", "rows": (2, 50)},
    {"offsets": {"obs": [-2, 0, 3], "episode": [1]}, "require": "obs", "outside": "edge"},
    {"offsets": {"obs": [-1, 2]}, "segment_by": "episode", "outside": "shift"},
    {"whole_segments": True, "segment_by": "done"},
]


def assert_equal(one: Any, other: Any) -> None:
    """Equal batches: dicts of arrays and lists."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_equal(one[name], other[name])
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def indices_of_all(sampler: WindowSampler) -> set[int]:
    return {int(index) for batch in sampler for index in batch["_index"]}


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_reading_the_index_of_a_batch_gives_the_same_batch(options: dict[str, Any]) -> None:
    store, _ = filled(60)
    sampler = WindowSampler(store, **options, batch_size=13, seed=3)
    for _ in range(5):
        batch = sampler.sample()
        assert_equal(sampler.read(batch["_index"]), batch)
        back = sampler.read(batch["_index"][::-1])
        np.testing.assert_array_equal(back["_index"], batch["_index"][::-1])


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_exactly_the_valid_windows_can_be_read(options: dict[str, Any]) -> None:
    store, _ = filled(60)
    every = WindowSampler(store, **options, batch_size=7, replacement=False)
    valid = indices_of_all(every)
    reader = WindowSampler(store, **options)
    assert 0 < len(valid) == reader.num_starts
    for row in range(70):
        if row in valid:
            assert reader.read([row])["_index"].tolist() == [row]
        else:
            with pytest.raises(IndexError, match=f"index number 1, {row}, is row {row} of store 0"):
                reader.read([min(valid), row])


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_windows_of_several_stores_are_read_in_the_order_asked(options: dict[str, Any]) -> None:
    stores = [filled(count, seed)[0] for seed, count in enumerate([50, 30, 70])]
    sampler = WindowSampler(stores, **options, batch_size=40)
    batch = sampler.sample()
    assert len(set(batch["_store"].tolist())) == 3
    assert_equal(sampler.read(batch["_index"]), batch)
    with pytest.raises(IndexError, match="of store 3, but the sampler has 3 stores"):
        sampler.read([3 << 48])
    with pytest.raises(IndexError, match="but the sampler has 3 stores"):
        sampler.read([-1])


def test_a_sampler_with_priorities_reads_without_weights_and_changes_nothing() -> None:
    store, _ = filled(60)
    sampler, twin = (
        WindowSampler(store, 2, batch_size=6, priorities=Priorities(alpha=1)) for _ in range(2)
    )
    sampler.update([0, 1], [9, 0])
    twin.update([0, 1], [9, 0])
    batch = sampler.sample()
    read = sampler.read(batch["_index"])
    assert batch.keys() - read.keys() == {"_weight", "_probability"}
    for name in ("_weight", "_probability"):
        del batch[name]
    assert_equal(read, batch)
    assert sampler.read([1])["_index"].tolist() == [1]  # a window that is never drawn
    twin.sample()
    assert_equal(sampler.sample(), twin.sample())


def test_rows_that_were_appended_since_can_be_read() -> None:
    rng = np.random.default_rng(0)
    for options in KINDS:
        store = StreamStore(fields=FIELDS)
        sampler = WindowSampler(store, **options, batch_size=4)
        if not options.get("rows"):
            for _ in range(20):
                append(store, make_rows(rng, 5, store.num_rows))
                fresh = WindowSampler(store, **options, batch_size=8)
                if fresh.num_starts:
                    batch = fresh.sample()
                    assert_equal(sampler.read(batch["_index"]), batch)


def test_an_epoch_reads_its_own_windows() -> None:
    store, _ = filled(30)
    sampler = WindowSampler(store, 3, unit="row", batch_size=4, replacement=False)
    batches = iter(sampler)
    first = next(batches)
    append(store, make_rows(np.random.default_rng(1), 30, 30))
    assert_equal(sampler.read(first["_index"]), first)
    with pytest.raises(IndexError, match="in this epoch"):
        sampler.read([40])
    assert len(list(batches)) == 6  # of 28 windows


def test_dropped_windows_raise_dropped_error() -> None:
    generator = random.Random(4)
    for options in KINDS:
        if options.get("rows"):
            continue
        store, _ = filled(60)
        sampler = WindowSampler(store, **options, batch_size=32)
        before = sampler.sample()["_index"]
        first = store.drop_before(generator.randint(20, 40))
        for index in before:
            if index < first:
                with pytest.raises(DroppedError, match=f"index number 0, {index}, is row {index} "):
                    sampler.read([index])
        batch = sampler.sample()
        assert_equal(sampler.read(batch["_index"]), batch)
        fresh = WindowSampler(store, **options, batch_size=1)
        for row in range(60):
            found = []
            for one in (sampler, fresh):
                try:
                    found.append(one.read([row])["_row"].tolist())
                except IndexError as error:
                    found.append(type(error).__name__)
            assert found[0] == found[1], (options, row)


def test_an_empty_index_gives_an_empty_batch() -> None:
    store, _ = filled(20)
    for options in KINDS:
        batch = WindowSampler(store, **options).read([])
        assert batch["_index"].shape == (0,)
        assert batch["_segment"].shape == (0, 3)


def test_read_refuses_what_is_no_index() -> None:
    store, _ = filled(20)
    sampler = WindowSampler(store, 2, unit="row")
    for wrong in ([0.5], [[1, 2]], 3, ["a"], [None], [True]):
        with pytest.raises(ValueError, match="index must be an int array with one dimension"):
            sampler.read(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a sampler of windows of rows"):
        WindowSampler(store, 2, unit="value").read([0])


def test_a_prefetch_continues_after_a_read() -> None:
    store, _ = filled(40)
    plain = WindowSampler(store, 2, unit="row", batch_size=5, seed=8)
    expected = [plain.sample() for _ in range(6)]
    sampler = WindowSampler(store, 2, unit="row", batch_size=5, seed=8)
    with sampler.prefetch(2) as batches:
        for one in expected:
            batch = next(batches)
            assert_equal(batch, one)
            assert_equal(sampler.read(batch["_index"]), one)
