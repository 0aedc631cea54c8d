"""A plain model of a sampler with priorities: dicts of priorities, and sums over all of them.

It follows the definition in the docstring of `Priorities`, and knows nothing of trees. The windows
are those of lanes_model.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lanes_model import Case, expected
from stream_store import Priorities

Rows = Sequence[dict[str, Any]]


def index_of(store: int, row: int) -> int:
    return (store << 48) + row


class PriorityModel:
    """The priorities of the windows of some stores, by `_index`."""

    def __init__(self, case: Case, options: Priorities, stores: int = 1) -> None:
        self.case = case
        self.options = options
        self.alpha, self.beta = options.alpha, options.beta
        self.largest = 1.0
        self.priorities: dict[int, float] = {}
        self.first_rows = [0] * stores
        self.windows: list[int] = []

    def follow(self, stores: Sequence[tuple[Rows, int]]) -> None:
        """Look at the rows of the stores, and at the first row of each that is retained."""
        new = self.options.new
        self.windows = []
        self.first_rows = [first for _, first in stores]
        for store, (rows, first) in enumerate(stores):
            everywhere = dataclasses.replace(self.case, rows=None)
            for window in expected(everywhere, rows, first):
                initial = self.largest if new == "max" else float(new)
                self.priorities.setdefault(index_of(store, window.anchor), initial)
            self.windows += [
                index_of(store, window.anchor) for window in expected(self.case, rows, first)
            ]

    def update(self, indices: Sequence[int], priorities: Sequence[float]) -> int:
        """Return the number of indices whose rows were dropped."""
        dropped = 0
        for index, priority in zip(indices, priorities, strict=True):
            store, row = divmod(int(index), 1 << 48)
            if row < self.first_rows[store]:
                dropped += 1
                continue
            self.priorities[int(index)] = float(priority)
            self.largest = max(self.largest, float(priority))
        return dropped

    def probabilities(self) -> dict[int, float]:
        """The probability of each window."""
        weights = []
        for index in self.windows:
            priority = self.priorities[index]
            weights.append((priority + self.options.eps) ** self.alpha if priority > 0 else 0.0)
        total = float(np.sum(weights))
        count = len(weights)
        if total == 0:
            return dict.fromkeys(self.windows, 1 / count)
        mix = self.options.mix or 0.0
        return {
            index: (1 - mix) * weight / total + mix / count
            for index, weight in zip(self.windows, weights, strict=True)
        }

    def check(self, batch: Mapping[str, Any]) -> None:
        """Assert that a batch can be drawn, and that it says with which probability."""
        by_index = self.probabilities()
        indices = [int(index) for index in batch["_index"]]
        impossible = [index for index in indices if by_index.get(index, 0.0) == 0]
        assert not impossible, impossible
        probability = np.array([by_index[index] for index in indices])
        np.testing.assert_allclose(batch["_probability"], probability, rtol=1e-12, atol=0)
        every = np.array(list(by_index.values()))
        weights = (len(every) * probability) ** -self.beta
        if self.options.normalize == "batch":
            weights /= weights.max()
        elif self.options.normalize == "store":
            priorities = np.array([self.priorities[index] for index in by_index])
            some = every[priorities > 0] if (priorities > 0).any() else every
            weights /= (len(every) * some.min()) ** -self.beta
        assert batch["_weight"].dtype == np.float32
        np.testing.assert_allclose(batch["_weight"], weights, rtol=2e-6, atol=0)


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """How many standard deviations the chi-square statistic lies above its mean."""
    wanted = probabilities * counts.sum()
    drawn = wanted > 0
    assert (counts[~drawn] == 0).all(), "an impossible window was drawn"
    statistic = float(((counts[drawn] - wanted[drawn]) ** 2 / wanted[drawn]).sum())
    freedom = int(drawn.sum()) - 1
    return float((statistic - freedom) / np.sqrt(2 * freedom))
