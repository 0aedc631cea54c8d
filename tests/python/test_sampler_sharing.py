"""Several uses of one WindowSampler: sample(), iterators, prefetches, states, threads, forks.

With replacement they all take the batches of one sequence in turn. Without replacement the sampler
is in one epoch, and an iterator of an earlier epoch raises.
"""

from __future__ import annotations

import os
import pickle
import random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSampler

OPTIONS: dict[str, Any] = {"unit": "row", "batch_size": 4, "seed": 3}


def new_store(rows: int = 40) -> StreamStore:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": np.arange(rows)})
    return store


def rows_of(batch: dict[str, Any] | None) -> list[int] | None:
    return None if batch is None else batch["x"][:, 0].tolist()


def batch_number(store: StreamStore, epoch: int, number: int) -> list[int] | None:
    """The batch of a sampler with replacement, from a sampler that has no other use."""
    sampler = WindowSampler(store, 1, **OPTIONS)
    sampler.load_state_dict(
        {**sampler.state_dict(), "epoch": epoch, "batches": (epoch << 40) + number}
    )
    return rows_of(sampler.sample())


def epoch_of(store: StreamStore, epoch: int) -> list[list[int] | None]:
    sampler = WindowSampler(store, 1, **OPTIONS, replacement=False)
    sampler.set_epoch(epoch)
    return [rows_of(batch) for batch in sampler]


# --- with replacement: one sequence ---


@pytest.mark.parametrize("ahead", [1, 2, 7])
def test_sample_during_a_prefetch_takes_the_next_batch(ahead: int) -> None:
    # Replayed from a report: the loop ended after 10 batches instead of 100.
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS)
    found = []
    for count, batch in enumerate(sampler.prefetch(ahead), 1):
        found.append(rows_of(batch))
        if count % 10 == 0:
            found.append(rows_of(sampler.sample()))
        assert sampler.state_dict()["batches"] == len(found)
        if count == 100:
            break
    assert found == [batch_number(store, 0, n) for n in range(110)]


@pytest.mark.parametrize("seed", range(12))
def test_any_mix_of_uses_takes_the_batches_of_one_sequence(seed: int) -> None:
    choose = random.Random(seed)
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS)
    uses: list[Any] = []
    kept: list[tuple[dict[str, Any], int, int]] = []
    epoch, number = 0, 0
    for _ in range(150):
        action = choose.randrange(12)
        if action == 0 and len(uses) < 6:
            uses.append(iter(sampler))
        elif action == 1 and len(uses) < 6:
            uses.append(sampler.prefetch(choose.randrange(1, 6)))
        elif action == 2 and uses:
            use = uses.pop(choose.randrange(len(uses)))
            if hasattr(use, "close"):
                use.close()
                assert next(use, None) is None
        elif action == 3:
            kept.append((sampler.state_dict(), epoch, number))
        elif action == 4 and kept:
            state, epoch, number = choose.choice(kept)
            sampler.load_state_dict(state)
        elif action == 5:
            epoch, number = choose.randrange(5), 0
            sampler.set_epoch(epoch)
        elif action == 6:
            assert sampler.num_starts == 40
            assert sampler.wait(0)
            twin = pickle.loads(pickle.dumps(sampler.state_dict()))
            assert twin == sampler.state_dict()
        else:
            use = choose.choice([None, *uses])
            batch = sampler.sample() if use is None else next(use)
            assert rows_of(batch) == batch_number(store, epoch, number)
            number += 1
        assert sampler.state_dict()["batches"] == (epoch << 40) + number


def test_a_copy_of_a_sampler_that_reads_ahead_continues_from_what_was_handed_out(
    tmp_path: Any,
) -> None:
    with StreamStore(tmp_path / "s", fields={"x": "int64"}) as store:
        store.extend({"x": np.arange(40)})
        sampler = WindowSampler(store, 1, **OPTIONS)
        with sampler.prefetch(5) as batches:
            next(batches)
            copy = pickle.loads(pickle.dumps(sampler))
            assert rows_of(copy.sample()) == rows_of(next(batches))


def test_a_batch_that_was_read_ahead_is_of_the_rows_of_that_time() -> None:
    store = new_store(1)
    sampler = WindowSampler(store, 1, **OPTIONS)
    with sampler.prefetch(2) as batches:
        next(batches)  # two more are chosen now
        store.extend({"x": np.full(100_000, 7)})
        assert rows_of(sampler.sample()) == [0] * 4
        assert rows_of(next(batches)) == [0] * 4
        assert rows_of(sampler.sample()) == [7] * 4
    assert rows_of(sampler.sample()) == [7] * 4


def test_threads_share_the_sequence() -> None:
    store = new_store(1000)
    sampler = WindowSampler(store, 1, **OPTIONS)
    found: list[list[int] | None] = []

    def take(use: Any) -> None:
        for _ in range(50):
            found.append(rows_of(use()))

    open_ones = [sampler.prefetch(3), iter(sampler), sampler.prefetch(2)]
    uses: list[Any] = [sampler.sample, sampler.sample]
    uses += [lambda one=one: next(one) for one in open_ones]
    threads = [threading.Thread(target=take, args=(use,)) for use in uses]
    for thread in threads:
        thread.start()
    for _ in range(20):  # a third prefetch takes over and is closed meanwhile
        with sampler.prefetch(2):
            pass
    for thread in threads:
        thread.join()
    assert sampler.state_dict()["batches"] == 250
    assert sorted(found, key=str) == sorted(
        (batch_number(store, 0, n) for n in range(250)), key=str
    )


def test_states_loaded_by_another_thread_lose_no_batch_of_a_prefetch() -> None:
    store = new_store(1000)
    sampler = WindowSampler(store, 1, **OPTIONS)
    start = sampler.state_dict()
    expected = [batch_number(store, 0, n) for n in range(400)]
    stop = threading.Event()

    def rewind() -> None:
        while not stop.is_set():
            sampler.load_state_dict(start)

    thread = threading.Thread(target=rewind)
    with sampler.prefetch(3) as batches:
        thread.start()
        for _ in range(300):
            assert rows_of(next(batches)) in expected
        stop.set()
        thread.join()
        sampler.load_state_dict(start)
        assert [rows_of(next(batches)) for _ in range(400)] == expected
        assert sampler.state_dict()["batches"] == 400


def test_a_prefetch_continues_with_the_rows_of_a_cleared_store() -> None:
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS)
    with sampler.prefetch(4) as batches:
        next(batches)
        store.clear()
        store.extend({"x": np.arange(100, 140)})
        for count in range(2, 9):
            assert min(rows_of(next(batches)) or [0]) >= 100
            assert sampler.state_dict()["batches"] == count


@pytest.mark.parametrize("use", ["sample", "iter", "prefetch"])
def test_an_error_while_reading_ahead_loses_no_batch(use: str) -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": np.arange(40)})
    sampler = WindowSampler(store, 1, rows=(0, 40), **OPTIONS)
    with sampler.prefetch(2) as batches:
        found = [rows_of(next(batches))]
        store.clear()
        call: Any = {
            "sample": sampler.sample,
            "iter": iter(sampler).__next__,
            "prefetch": batches.__next__,
        }[use]
        for _ in range(2):
            with pytest.raises(ValueError, match="no valid start"):
                call()
        assert sampler.state_dict()["batches"] == 1
        store.extend({"x": np.arange(40)})
        found += [rows_of(call()), rows_of(next(batches))]
    assert found == [batch_number(store, 0, n) for n in range(3)]


# --- without replacement: one epoch at a time ---


def begin(sampler: WindowSampler, ahead: int) -> Iterator[dict[str, Any]]:
    return sampler.prefetch(ahead) if ahead else iter(sampler)


AHEAD = [0, 1, 3, 50]


@pytest.mark.parametrize("ahead", AHEAD)
@pytest.mark.parametrize("other", ["iter", "prefetch", "load_state_dict", "set_epoch"])
def test_an_iterator_of_an_epoch_that_was_left_raises(ahead: int, other: str) -> None:
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS, replacement=False)
    older = begin(sampler, ahead)
    assert rows_of(next(older)) == epoch_of(store, 0)[0]
    state = sampler.state_dict()
    newer: Any = None
    if other == "iter":
        newer = iter(sampler)
    elif other == "prefetch":
        newer = sampler.prefetch(2)
    elif other == "load_state_dict":
        sampler.load_state_dict(state)
    else:
        sampler.set_epoch(1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"this iteration has ended.*one epoch at a time"):
            next(older)
    rest = [rows_of(batch) for batch in (newer or sampler)]
    assert rest == (epoch_of(store, 0)[1:] if other == "load_state_dict" else epoch_of(store, 1))


@pytest.mark.parametrize("ahead", AHEAD)
def test_calls_that_only_look_leave_the_epoch_as_it_is(ahead: int) -> None:
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS, replacement=False)
    batches = begin(sampler, ahead)
    found = []
    for count in range(1, 11):
        found.append(rows_of(next(batches)))
        with pytest.raises(ValueError, match="expected a sampler with replacement"):
            sampler.sample()
        with pytest.raises(ValueError, match="another store"):
            sampler.load_state_dict({**sampler.state_dict(), "stores": ["ab" * 16]})
        with pytest.raises(ValueError, match="epoch"):
            sampler.set_epoch(-1)
        assert sampler.num_starts == 40
        assert sampler.wait(0)
        assert len(sampler) == 10
        assert sampler._core.read_starts([5, -1])["x"][:, 0].tolist() == [5, 39]
        state = sampler.state_dict()
        assert (state["epoch"], state["batches"], state["finished"]) == (0, count, 0)
    assert next(batches, None) is None
    assert found == epoch_of(store, 0)


@pytest.mark.parametrize("ahead", AHEAD)
def test_an_iterator_that_has_ended_stays_ended(ahead: int) -> None:
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS, replacement=False)
    finished = begin(sampler, ahead)
    assert [rows_of(batch) for batch in finished] == epoch_of(store, 0)
    closed = sampler.prefetch(2)
    next(closed)
    closed.close()
    assert [rows_of(batch) for batch in begin(sampler, ahead)] == epoch_of(store, 2)
    assert next(finished, None) is None
    assert next(closed, None) is None


@pytest.mark.parametrize("ahead", AHEAD)
def test_an_epoch_of_a_cleared_store_raises_and_then_has_ended(ahead: int) -> None:
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS, replacement=False)
    batches = begin(sampler, ahead)
    next(batches)
    store.clear()
    store.extend({"x": np.arange(100, 140)})
    with pytest.raises(RuntimeError, match="cleared or truncated"):
        next(batches)
    with pytest.raises(RuntimeError, match="this iteration has ended"):
        next(batches)
    rest = [row for batch in sampler for row in rows_of(batch) or []]
    assert sorted(rest) == list(range(100, 140))


# --- forks ---


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.parametrize("use", ["sample", "iter", "prefetch"])
def test_a_forked_child_samples_what_its_parent_has_only_read_ahead(use: str) -> None:
    store = new_store()
    sampler = WindowSampler(store, 1, **OPTIONS)
    batches = sampler.prefetch(3)
    next(batches)
    expected = batch_number(store, 0, 1)
    child = os.fork()
    if child == 0:
        try:
            call: Any = {
                "sample": sampler.sample,
                "iter": lambda: next(iter(sampler)),
                "prefetch": lambda: next(sampler.prefetch(2)),
            }[use]
            os._exit(0 if rows_of(call()) == expected else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rows_of(next(batches)) == expected
