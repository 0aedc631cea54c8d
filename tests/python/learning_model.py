"""Random episodes, their windows, and n-step returns by a plain loop; numbers of Stable-Baselines3.

An episode of T steps has T + 1 rows; the last has only an observation. Windows that extend past it
are padded, as `WindowSampler(pad="right")` pads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "learning" / "sb3.npz"
JUNK = 1e6  # in rows that must not count


@dataclass
class Episode:
    """Rewards of its steps, and how it ends; an open one may continue."""

    rewards: np.ndarray
    ending: str  # "terminated", "truncated" or "open"


def make_episode(rng: np.random.Generator) -> Episode:
    ending = ("terminated", "truncated", "open")[rng.integers(3)]
    return Episode(rng.normal(size=rng.integers(1, 51)), ending)


def make_batch(episodes: list[Episode], starts: list[int], length: int) -> dict[str, np.ndarray]:
    """The windows of `length` rows from each start; padding and rows without a step hold junk."""
    shape = (len(episodes), length)
    batch = {"reward": np.full(shape, JUNK), "valid": np.zeros(shape, bool)}
    batch |= {name: np.zeros(shape, bool) for name in ("terminated", "truncated")}
    for b, (episode, start) in enumerate(zip(episodes, starts, strict=True)):
        steps = len(episode.rewards)
        for t in range(min(length, steps + 1 - start)):
            batch["valid"][b, t] = True
            if start + t < steps:
                batch["reward"][b, t] = episode.rewards[start + t]
            if start + t == steps - 1 and episode.ending != "open":
                batch[episode.ending][b, t] = True
    return batch


def make_case(rng: np.random.Generator, count: int) -> tuple[Any, ...]:
    """Episodes, a start in each, and a length of windows; all rows can be starts."""
    episodes = [make_episode(rng) for _ in range(count)]
    starts = [int(rng.integers(len(episode.rewards) + 1)) for episode in episodes]
    return episodes, starts, int(rng.integers(2, 60))


def loop_n_step(episode: Episode, start: int, n: int, gamma: float) -> tuple[float, float, int]:
    """Reward, discount and number of steps, one step after the other."""
    total, discount, steps = 0.0, 1.0, 0
    while steps < n and start + steps < len(episode.rewards):
        total += discount * episode.rewards[start + steps]
        discount *= gamma
        steps += 1
    if start + steps == len(episode.rewards) and steps and episode.ending == "terminated":
        discount = 0.0
    return total, discount, steps


def loop_return(
    row: dict[str, np.ndarray], t: int, gamma: float, value: np.ndarray | None
) -> float:
    """The return of row t of one window, one step after the other; all rows are valid."""
    total, discount, last = 0.0, 1.0, len(row["reward"]) - 1
    while True:
        if t == last and not row["terminated"][t] and value is not None:
            return total + discount * value[t]
        total += discount * row["reward"][t]
        if t == last or row["terminated"][t]:
            return total
        if row["truncated"][t]:
            return total if value is None else total + discount * gamma * value[t + 1]
        discount *= gamma
        t += 1


def golden_episodes(golden: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First rows of the episodes, and episode and row of each transition."""
    lengths = golden["lengths"]
    firsts = np.cumsum(lengths + 1) - (lengths + 1)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(episode)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return firsts, episode, firsts[episode] + step
