"""Sampling by priority against a plain model, over random options, growth, drops and updates."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from lanes_model import FIELDS, Case, make_rows
from priorities_model import PriorityModel
from stream_store import Priorities, StreamStore, WindowSampler
from test_lanes import random_case
from test_priorities import NORMALIZE

CONFIGURATIONS = 150
STEPS = 25
NEW: list[float | Literal["max"]] = ["max", "max", "max", 0.0, 2.5]


def random_priorities(rng: np.random.Generator) -> Priorities:
    return Priorities(
        alpha=float(rng.choice([0, 0.3, 0.6, 1, 2])),
        beta=float(rng.choice([0, 0.4, 1])),
        eps=float(rng.choice([0, 1e-6, 0.5])),
        new=NEW[rng.integers(len(NEW))],
        normalize=NORMALIZE[rng.integers(3)],
        stratified=bool(rng.integers(2)),
        mix=[None, None, 0.3, 1.0][rng.integers(4)],
    )


def new_priorities(rng: np.random.Generator, count: int) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return np.zeros(count)
    if kind == 1:
        return np.asarray(rng.integers(0, 3, count), float)
    return np.asarray(rng.exponential(10.0 ** rng.integers(-3, 4), count))


class Play:
    """Stores that grow and drop rows, a sampler of them and its model."""

    def __init__(self, seed: int, case: Case | None = None) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.case = case or random_case(rng, 150)
        # Whether the last segment has ended may depend on a row that is not complete yet, and the
        # episode of a row without a number on a row that was dropped.
        sparse = not self.case.whole_segments and self.case.segment_by != "episode"
        stores = int(rng.choice([1, 1, 3]))
        self.rows = [make_rows(rng, 150, sparse=sparse) for _ in range(stores)]
        self.done = [int(rng.integers(0, 40)) for _ in self.rows]
        self.first = [0] * len(self.rows)
        self.stores = [StreamStore(fields=FIELDS) for _ in self.rows]
        for store, rows, done in zip(self.stores, self.rows, self.done, strict=True):
            for row in rows[:done]:
                store.append_step(row)
        self.case.rows = [
            *(self.case.rows, None, (-40, None), (-60, -20), (5, -10), (None, 70)),
        ][rng.integers(6)]
        self.options = random_priorities(rng)
        self.sampler = self.make_sampler(seed)
        self.model = PriorityModel(self.case, self.options, len(self.stores))
        self.drawn: list[int] = []

    def make_sampler(self, seed: int = 0) -> WindowSampler:
        return WindowSampler(
            self.stores,
            batch_size=16,
            priorities=self.options,
            seed=seed,
            **self.case.all_arguments(),
        )

    def follow(self) -> None:
        now = [
            (rows[: store.complete_rows], first)
            for rows, store, first in zip(self.rows, self.stores, self.first, strict=True)
        ]
        self.model.follow(now)

    def append(self) -> None:
        i = int(self.rng.integers(len(self.rows)))
        end = min(self.done[i] + int(self.rng.integers(1, 12)), len(self.rows[i]))
        for row in self.rows[i][self.done[i] : end]:
            self.stores[i].append_step(row)
        self.done[i] = end

    def drop(self) -> None:
        i = int(self.rng.integers(len(self.rows)))
        rise = int(self.rng.integers(0, 10))
        if self.rng.random() < 0.1:
            rise = 10**6  # all rows but the last one, which a store keeps
        self.first[i] = max(min(self.first[i] + rise, self.done[i] - 1), 0)
        if self.done[i]:
            self.stores[i].drop_before(self.first[i])

    def update(self) -> None:
        self.follow()
        if not self.drawn:
            return
        indices = self.rng.choice(self.drawn, int(self.rng.integers(1, 20)))
        priorities = new_priorities(self.rng, len(indices))
        assert self.sampler.update(indices, priorities) == self.model.update(
            indices.tolist(), priorities.tolist()
        )

    def change_powers(self) -> None:
        self.follow()
        self.sampler.alpha = self.model.alpha = float(self.rng.choice([0, 0.5, 1, 3]))
        self.sampler.beta = self.model.beta = float(self.rng.choice([0, 0.5, 1]))
        assert (self.sampler.alpha, self.sampler.beta) == (self.model.alpha, self.model.beta)

    def restart(self) -> None:
        """Another sampler goes on."""
        self.follow()
        other = self.make_sampler()
        other.load_state_dict(self.sampler.state_dict())
        path = Path("priorities.npz")
        self.sampler.save_priorities(path)
        other.load_priorities(path)
        self.sampler = other

    def sample(self) -> None:
        self.follow()
        assert self.sampler.num_starts == len(self.model.windows)
        if not self.model.windows:
            with pytest.raises(ValueError, match="no valid start"):
                self.sampler.sample()
            return
        batch: dict[str, Any] = self.sampler.sample()
        self.model.check(batch)
        self.drawn = sorted({*self.drawn, *map(int, batch["_index"])})


@pytest.mark.parametrize("seed", range(CONFIGURATIONS))
def test_batches_are_those_of_the_model(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    play = Play(seed)
    steps = [play.append] * 5 + [play.update] * 5 + [play.drop, play.change_powers, play.restart]
    for _ in range(STEPS):
        steps[play.rng.integers(len(steps))]()
        if play.rng.random() < 0.8:  # the sampler may miss several steps
            play.sample()
    assert play.model.options == dataclasses.replace(
        play.sampler.priorities or Priorities(), alpha=play.options.alpha, beta=play.options.beta
    )


def test_a_store_that_retains_a_number_of_rows() -> None:
    play = Play(5, Case(length=3, lane_by=["agent"]))
    play.case.rows = None
    play.options = Priorities(alpha=0.8, normalize="store")
    rows = make_rows(play.rng, 600)
    store = StreamStore(fields=FIELDS, retain_rows=100)
    play.rows, play.stores, play.done, play.first = [rows], [store], [0], [0]
    play.sampler = play.make_sampler()
    play.model = PriorityModel(play.case, play.options)
    while play.done[0] < len(rows):
        for _ in range(10):
            play.append()
        until = time.monotonic() + 60
        while store.kept_rows > 101 and time.monotonic() < until:
            time.sleep(0.001)  # a helper thread drops rows
        play.first[0] = store.first_row
        play.sample()
        play.update()
    assert play.first[0] >= 490


def test_equal_priorities_give_equal_batches_whatever_led_to_them() -> None:
    """One sampler follows each append; the other gets all rows and priorities at once."""
    rng = np.random.default_rng(7)
    store = StreamStore(fields=FIELDS)
    options = Priorities(alpha=0.7)
    one = WindowSampler(store, 2, lane_by="agent", batch_size=32, priorities=options)
    for row in make_rows(rng, 2000):
        store.append_step(row)
        if store.num_rows % 50 == 0:
            one.update(one.sample()["_index"], rng.random(32))
    store.drop_before(700)
    one.sample()
    other = WindowSampler(store, 2, lane_by="agent", batch_size=32, priorities=options)
    other.load_state_dict(one.state_dict())
    other._set_priorities(one._read_priorities())
    for _ in range(20):
        expected, found = one.sample(), other.sample()
        assert (expected["_index"] == found["_index"]).all()
        assert (expected["_probability"] == found["_probability"]).all()
