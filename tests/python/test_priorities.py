"""Sampling by priority: draws, updates, weights and ranks."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from priorities_model import chi_square
from stream_store import Priorities, StreamStore, WindowSampler

FIELDS = {"number": "int64", "episode": "int64"}
NORMALIZE: list[Literal["batch", "store"] | None] = ["batch", "store", None]


def make_store(rows: int = 100) -> StreamStore:
    store = StreamStore(fields=FIELDS)
    grow(store, rows)
    return store


def grow(store: StreamStore, rows: int) -> None:
    number = np.arange(store.num_rows, store.num_rows + rows)
    store.extend({"number": number, "episode": number // 10})


def make_sampler(store: Any, length: int = 1, *, seed: int = 0, **options: Any) -> WindowSampler:
    given = {"unit": "row", "batch_size": 64, "priorities": Priorities(alpha=1.0), **options}
    return WindowSampler(store, length, seed=seed, **given)


def counts_of(sampler: WindowSampler, rows: int, batches: int = 300) -> np.ndarray:
    """How often each row of the only store was drawn."""
    counts = np.zeros(rows, np.int64)
    for _ in range(batches):
        counts += np.bincount(sampler.sample()["_index"], minlength=rows)
    return counts


def probabilities(priorities: np.ndarray, options: Priorities) -> np.ndarray:
    """Those of windows with these priorities; a negative one is no window."""
    weights = np.where(priorities > 0, np.abs(priorities) + options.eps, 0.0)
    weights = np.where(weights > 0, weights**options.alpha, 0.0)
    mix = options.mix or 0.0
    windows = priorities >= 0
    return np.asarray((1 - mix) * weights / weights.sum() + mix * windows / windows.sum())


# --- draws ---


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("mix", [None, 0.25])
@pytest.mark.parametrize("seed", range(2))
def test_draws_have_the_exact_probabilities(stratified: bool, mix: float | None, seed: int) -> None:
    """After growth, updates, a change of alpha and a drop; 19,200 draws each."""
    options = Priorities(alpha=0.7, stratified=stratified, mix=mix)
    rng = np.random.default_rng(seed)
    store = make_store(60)
    sampler = make_sampler(store, seed=seed, priorities=options)
    priorities = np.ones(60)

    def check(now: Priorities) -> None:
        wanted = probabilities(priorities, now)
        counts = counts_of(sampler, len(priorities))
        deviation = chi_square(counts, wanted)
        assert deviation < 4
        if stratified and mix is None:  # each part of the total gives one window
            assert (np.abs(counts - 64 * 300 * wanted) <= 300).all()
            assert deviation < 0  # less variance than that of independent draws

    check(options)
    priorities = rng.exponential(size=60)
    priorities[rng.integers(0, 60, 8)] = 0
    sampler.update(np.arange(60), priorities)
    check(options)
    grow(store, 30)
    priorities = np.append(priorities, np.full(30, max(1.0, priorities.max())))
    check(options)
    sampler.alpha = 1.5
    check(Priorities(alpha=1.5, mix=mix))
    store.drop_before(35)
    priorities[:35] = -1
    check(Priorities(alpha=1.5, mix=mix))


def test_a_window_of_priority_0_is_never_drawn() -> None:
    sampler = make_sampler(make_store(), 3)
    zero = np.arange(0, 98, 2)
    sampler.update(zero, 0)
    for _ in range(200):
        assert (sampler.sample()["_index"] % 2 == 1).all()


def test_all_windows_are_equally_likely_if_all_priorities_are_0() -> None:
    for stratified, normalize in itertools.product([True, False], NORMALIZE):
        options = Priorities(stratified=stratified, normalize=normalize)
        sampler = make_sampler(make_store(), priorities=options)
        sampler.update(np.arange(100), 0)
        batch = sampler.sample()
        assert (batch["_probability"] == 0.01).all()
        assert (batch["_weight"] == 1).all()
        assert chi_square(counts_of(sampler, 100), np.full(100, 0.01)) < 4
        sampler.update([7], 1e-9)
        assert (sampler.sample()["_index"] == 7).all()


def test_a_tiny_priority_is_still_possible() -> None:
    """(p + eps)^alpha is too small for a double."""
    options = Priorities(alpha=100, eps=0, new=1e-10)
    sampler = make_sampler(make_store(10), priorities=options)
    assert (sampler.sample()["_probability"] == 0.1).all()


def test_weights_stay_finite() -> None:
    options = Priorities(alpha=1, beta=100, normalize=None, eps=0)
    sampler = make_sampler(make_store(10), priorities=options, batch_size=2048)
    sampler.update([3], 1e-4)
    while 3 not in (batch := sampler.sample())["_index"]:
        pass
    assert np.isfinite(batch["_weight"]).all()
    assert batch["_weight"].max() == np.finfo(np.float32).max


def test_new_windows_get_the_largest_priority_that_any_has_had() -> None:
    store = make_store(10)
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    sampler.update([4], 50.0)
    sampler.update([4], 0.0)
    sampler.update(np.setdiff1d(np.arange(10), [4]), 5.0)
    grow(store, 1)
    batch = sampler.sample()
    of_new = batch["_probability"][batch["_index"] == 10]
    np.testing.assert_allclose(of_new, 50 / (50 + 9 * 5), rtol=1e-12)


def test_new_windows_get_priority_1_while_all_others_are_smaller() -> None:
    store = make_store(10)
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    sampler.update(np.arange(10), 0.1)
    grow(store, 1)
    batch = sampler.sample()
    np.testing.assert_allclose(batch["_probability"][batch["_index"] == 10], 1 / 2, rtol=1e-12)


def test_new_windows_get_a_number() -> None:
    store = make_store(10)
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0, new=3))
    sampler.update(np.arange(10), 100.0)
    grow(store, 1)
    batch = sampler.sample()
    np.testing.assert_allclose(batch["_probability"][batch["_index"] == 10], 3 / 1003, rtol=1e-12)
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0, new=0))
    sampler.update([2], 1)
    assert (sampler.sample()["_index"] == 2).all()


def test_beta_and_normalize() -> None:
    store = make_store(4)
    priority = np.array([1.0, 2.0, 4.0, 8.0])
    for normalize in NORMALIZE:
        options = Priorities(alpha=1, beta=0.5, eps=0, normalize=normalize)
        sampler = make_sampler(store, priorities=options, batch_size=2)
        sampler.update(np.arange(4), priority)
        for beta in (0.5, 0.0, 1.0):
            sampler.beta = beta
            assert sampler.beta == beta
            batch = sampler.sample()
            raw = (4 * priority[batch["_index"]] / 15) ** -beta
            largest = {"batch": raw.max(), "store": (4 / 15) ** -beta, None: 1}[normalize]
            np.testing.assert_allclose(batch["_weight"], raw / largest, rtol=1e-6)


def test_the_last_priority_of_a_repeated_index_counts() -> None:
    sampler = make_sampler(make_store(2), priorities=Priorities(alpha=1, eps=0))
    sampler.update([0, 1, 0, 0], [9, 1, 5, 3])
    batch = sampler.sample()
    np.testing.assert_allclose(batch["_probability"], np.array([0.75, 0.25])[batch["_index"]])


def test_update_takes_many_forms() -> None:
    store = make_store(6)
    sampler = make_sampler([store], batch_size=4)
    batch = sampler.sample()
    assert sampler.update(batch["_index"], np.array([1, 2, 3, 4], np.float32)) == 0
    assert sampler.update(batch["_index"].reshape(2, 2), [[1, 2], [3, 4]]) == 0
    assert sampler.update(batch["_index"].tolist(), 2) == 0
    assert sampler.update(3, True) == 0
    assert sampler.update([], []) == 0
    assert sampler.update(np.array([1, 2], np.uint16), np.arange(4)[::2]) == 0


# --- bugs that other libraries had ---


def test_alpha_is_applied_once_to_new_windows() -> None:
    """pytorch/rl 3925: new items were under-sampled."""
    store = make_store(1)
    sampler = make_sampler(store, priorities=Priorities(alpha=0.5, eps=0))
    sampler.update([0], 16.0)
    grow(store, 1)
    assert (sampler.sample()["_probability"] == 0.5).all()


def test_alpha_can_rise_from_0() -> None:
    """pytorch/rl 4014: the priorities cannot be computed from weights that all are 1."""
    sampler = make_sampler(make_store(3), priorities=Priorities(alpha=0, eps=0))
    sampler.update([0, 1, 2], [0, 1, 3])
    assert set(sampler.sample()["_probability"]) == {0.5}
    sampler.alpha = 1.0
    assert set(sampler.sample()["_probability"]) == {0.25, 0.75}
    sampler.alpha = 0
    assert set(sampler.sample()["_probability"]) == {0.5}


def test_sums_do_not_drift() -> None:
    """Flashbax 52 and Reverb: after many updates, windows with priority 0 were drawn."""
    sampler = make_sampler(make_store(1000), priorities=Priorities(alpha=1, eps=0))
    rng = np.random.default_rng(0)
    for _ in range(2000):
        rows = rng.integers(0, 1000, 256)
        sampler.update(rows, 10.0 ** rng.integers(-12, 12, 256))
    sampler.update(np.arange(1000), 0)
    sampler.update([17, 900], [1e-12, 3e-12])
    batch = sampler.sample()
    assert set(batch["_index"]) == {17, 900}
    wanted = np.where(batch["_index"] == 17, 0.25, 0.75)
    np.testing.assert_allclose(batch["_probability"], wanted, rtol=1e-12)


def test_the_largest_priority_is_no_int() -> None:
    """Flashbax 58: it was rounded."""
    store = make_store(1)
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    sampler.update([0], 1.75)
    sampler.update([0], 1)
    grow(store, 1)
    batch = sampler.sample()
    wanted = np.where(batch["_index"] == 1, 1.75, 1) / 2.75
    np.testing.assert_allclose(batch["_probability"], wanted, rtol=1e-12)


def test_missing_windows_do_not_count_as_the_smallest_priority() -> None:
    """MorvanZhou 183: the minimum over empty places was 0, and all weights vanished."""
    options = Priorities(alpha=1, beta=1, eps=0, normalize="store")
    sampler = make_sampler(make_store(20), 4, segment_by="episode", priorities=options)
    assert (sampler.sample()["_weight"] == 1).all()


def test_one_tiny_priority_does_not_make_the_other_weights_vanish() -> None:
    """Of all that divide by the minimum of the buffer. The default divides by that of the batch."""
    sampler = make_sampler(make_store(1000), priorities=Priorities(alpha=1, beta=1, eps=0))
    sampler.update([0], 1e-9)
    assert (sampler.sample()["_weight"] == 1).all()


def test_the_last_window_is_drawn() -> None:
    """stable-baselines 941: the range ended one too early."""
    sampler = make_sampler(make_store(50))
    sampler.update(np.arange(50), 0)
    sampler.update([49], 1)
    assert (sampler.sample()["_index"] == 49).all()


def test_the_first_window_is_not_drawn_if_its_priority_is_0() -> None:
    """pytorch/rl: a target of 0 found leaf 0, whatever its priority."""
    sampler = make_sampler(make_store(3), batch_size=4096)
    sampler.update([0], 0)
    assert 0 not in sampler.sample()["_index"]


def test_no_window_joins_two_episodes() -> None:
    """pytorch/rl 2205 to 2208."""
    sampler = make_sampler(make_store(), 4, segment_by="episode")
    sampler.update(np.flatnonzero(np.arange(100) % 10 < 7), np.random.default_rng(0).random(70))
    for _ in range(20):
        episode = sampler.sample()["episode"]
        assert (episode == episode[:, :1]).all()


def test_updates_of_an_older_batch_are_for_its_windows() -> None:
    """RLlib updates those of the last sample, whichever batch the priorities are of."""
    sampler = make_sampler(make_store(1000), batch_size=8)
    first = sampler.sample()["_index"]
    second = np.setdiff1d(sampler.sample()["_index"], first)
    sampler.update(np.arange(1000), 0)
    sampler.update(first, 1)
    drawn = set(sampler.sample()["_index"])
    assert drawn <= set(first)
    assert not drawn & set(second)


def test_updates_of_dropped_rows_are_counted_and_ignored() -> None:
    """TorchRL and cpprb gave them to the rows that had taken the places."""
    store = make_store()
    sampler = make_sampler(store)
    batch = sampler.sample()
    store.drop_before(50)
    dropped = int((batch["_index"] < 50).sum())
    assert 0 < dropped < 64
    assert sampler.update(batch["_index"], 1e6) == dropped
    grow(store, 50)
    now = sampler.sample()
    assert now["_index"].min() >= 50
    assert sampler.update(np.arange(50), 7) == 50


def test_the_largest_priority_is_not_that_of_a_dropped_row() -> None:
    store = make_store()
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    store.drop_before(50)
    assert sampler.update([3], 1e6) == 1
    grow(store, 1)
    assert set(sampler.sample()["_probability"]) == {1 / 51}


def test_samplers_of_one_store_have_priorities_of_their_own() -> None:
    store = make_store()
    one, other = make_sampler(store), make_sampler(store)
    one.update(np.arange(99), 0)
    assert (one.sample()["_index"] == 99).all()
    assert len(set(other.sample()["_index"])) > 30


# --- several stores and ranks ---


def test_stores_share_the_total() -> None:
    stores = [make_store(10), make_store(20), make_store(30)]
    sampler = make_sampler(stores, priorities=Priorities(alpha=1, eps=0))
    index = np.concatenate([(i << 48) + np.arange(10 * (i + 1)) for i in range(3)])
    priority = np.random.default_rng(1).random(60)
    priority[10:30] = 0  # of store 1
    sampler.update(index, priority)
    counts = np.zeros(60, np.int64)
    for _ in range(300):
        batch = sampler.sample()
        assert (batch["_index"] >> 48 == batch["_store"]).all()
        assert (batch["_index"] & (2**48 - 1) == batch["_row"][:, 0]).all()
        places = np.searchsorted(index, batch["_index"])
        counts += np.bincount(places, minlength=60)
        np.testing.assert_allclose(
            batch["_probability"], priority[places] / priority.sum(), rtol=1e-12
        )
    assert chi_square(counts, priority / priority.sum()) < 4


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_ranks_have_disjoint_shares_of_all_windows(world_size: int) -> None:
    stores = [make_store(3000), make_store(2000)]
    shares: list[set[int]] = []
    count = 0
    for rank in range(world_size):
        sampler = make_sampler(
            stores, 2, segment_by="episode", rank=rank, world_size=world_size, batch_size=512
        )
        count += sampler.num_starts
        share: set[int] = set()
        while len(share) < sampler.num_starts:
            batch = sampler.sample()
            left = sampler.num_starts - len(share)
            np.testing.assert_allclose(batch["_probability"], 1 / left, rtol=1e-12)
            share |= set(batch["_index"].tolist())
            sampler.update(batch["_index"], 0)
        shares.append(share)
        assert len(share) == pytest.approx(4500 / world_size, rel=0.15)
    assert count == len(set().union(*shares)) == 4500


def test_the_share_of_a_rank_stays_while_the_store_grows() -> None:
    store = make_store(200)
    sampler = make_sampler(store, rank=1, world_size=2, batch_size=4096)
    before = set(sampler.sample()["_index"])
    grow(store, 200)
    after = set(sampler.sample()["_index"])
    assert before == {index for index in after if index < 200}
    with pytest.raises(ValueError, match="not the anchor of a window of this sampler"):
        sampler.update([next(iter(set(range(200)) - before))], 1)


# --- sequences ---


@pytest.mark.parametrize("stratified", [True, False])
def test_equal_seeds_give_equal_batches(stratified: bool) -> None:
    store = make_store(1000)
    options = Priorities(stratified=stratified, mix=0.1)
    batches = []
    for seed in (3, 3, 4):
        sampler = make_sampler(store, seed=seed, priorities=options)
        drawn = []
        for i in range(10):
            batch = sampler.sample()
            sampler.update(batch["_index"], (batch["_index"] * 7 + i) % 11)
            drawn.append(batch["_index"])
        batches.append(np.array(drawn))
    assert (batches[0] == batches[1]).all()
    assert not (batches[0] == batches[2]).all(axis=1).any()


def test_batches_read_ahead_do_not_know_later_updates() -> None:
    """The lag that the guide names: an update meets the batches that are not drawn yet."""
    sampler = make_sampler(make_store(1000), batch_size=16)
    with sampler.prefetch(2) as batches:
        first = next(batches)
        sampler.update(np.arange(1000), 0)
        sampler.update(first["_index"][:1], 1)
        only = int(first["_index"][0])
        lag = 0
        while not (next(batches)["_index"] == only).all():
            lag += 1
        assert lag <= 2
        assert (next(batches)["_index"] == only).all()


def test_prefetched_batches_are_those_of_sample_without_updates() -> None:
    store = make_store(1000)
    one, other = make_sampler(store), make_sampler(store)
    with one.prefetch(3) as batches:
        for batch in itertools.islice(batches, 20):
            expected = other.sample()
            for name in ("_index", "_weight", "_probability", "number"):
                assert (batch[name] == expected[name]).all()
        state = one.state_dict()
    assert state == other.state_dict()


def test_a_pickled_sampler_goes_on(tmp_path: Path) -> None:
    store = StreamStore(tmp_path / "store", fields=FIELDS)
    grow(store, 500)
    sampler = make_sampler(store, priorities=Priorities(alpha=0.8, mix=0.2))
    sampler.update(sampler.sample()["_index"], np.arange(64))
    sampler.alpha, sampler.beta = 0.9, 1
    copy = pickle.loads(pickle.dumps(sampler))
    assert copy.priorities == sampler.priorities == Priorities(alpha=0.9, beta=1.0, mix=0.2)
    for _ in range(5):
        grow(store, 7)  # the largest priority is known to both
        expected, found = sampler.sample(), copy.sample()
        assert (expected["_index"] == found["_index"]).all()
        assert (expected["_weight"] == found["_weight"]).all()
