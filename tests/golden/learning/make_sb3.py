"""Write sb3.npz: what Stable-Baselines3 samples from random episodes.

    pip install torch gymnasium && pip install --no-deps stable-baselines3==2.9.2
    python tests/golden/learning/make_sb3.py

The tests in `tests/python` compare `stream_store.learning` with these numbers. They do not need
Stable-Baselines3, which would bring pandas and a PyTorch for CUDA into the extra for tests.

Arrays, for 60 episodes of 1 to 50 steps; the last one is still open:

    rewards, lengths, terminated   of all transitions, and of each episode
    settings                       (n, gamma) of each case
    reward, discount, next_row     (case, transition): the n-step reward, the discount (0 if the
                                   last step terminated), and the row of the next observation, where
                                   an episode of T steps has T + 1 rows
    future, final, episode         (transition, 2): the first and the last row whose achieved goal
                                   HerReplayBuffer gave in 2,000 draws, in the first 30 episodes
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.her import HerReplayBuffer

SETTINGS = ((1, 0.99), (3, 0.99), (5, 0.5), (8, 1.0), (60, 0.9), (4, 0.0))
NUMBER = spaces.Box(0, 1e9, (1,), np.float32)


def fill(buffer: Any, episodes: list[tuple[np.ndarray, bool]], observe: Any, is_open: bool) -> None:
    """Add all transitions; the observations are the numbers of the rows."""
    row = 0
    for number, (rewards, terminated) in enumerate(episodes):
        for step, reward in enumerate(rewards):
            ends = step == len(rewards) - 1 and not (is_open and number == len(episodes) - 1)
            infos = [{"TimeLimit.truncated": ends and not terminated}]
            now, then = observe(row + step), observe(row + step + 1)
            buffer.add(now, then, np.zeros((1, 1)), np.array([reward]), np.array([ends]), infos)
        row += len(rewards) + 1


def n_step_samples(episodes: list[tuple[np.ndarray, bool]], n: int, gamma: float) -> list[Any]:
    count = sum(len(rewards) for rewards, _ in episodes)
    buffer = NStepReplayBuffer(count + n, NUMBER, NUMBER, "cpu", n_steps=n, gamma=gamma)
    fill(buffer, episodes, lambda row: np.array([[row]], np.float32), is_open=True)
    samples = buffer._get_samples(np.arange(count))
    discounts = samples.discounts * (1 - samples.dones)
    return [part.numpy()[:, 0] for part in (samples.rewards, discounts, samples.next_observations)]


def goal_ranges(episodes: list[tuple[np.ndarray, bool]], strategy: str) -> np.ndarray:
    count = sum(len(rewards) for rewards, _ in episodes)
    names = ("observation", "achieved_goal", "desired_goal")
    space = spaces.Dict(dict.fromkeys(names, NUMBER))
    buffer = HerReplayBuffer(count, space, NUMBER, None, "cpu", goal_selection_strategy=strategy)
    observe = lambda row: dict.fromkeys(names, np.array([[row]], np.float32))  # noqa: E731
    fill(buffer, episodes, observe, is_open=False)
    rows, lane = np.arange(count), np.zeros(count, np.int64)
    goals = np.stack([buffer._sample_goals(rows, lane)[:, 0] for _ in range(2000)])
    return np.stack([goals.min(axis=0), goals.max(axis=0)], axis=1).astype(np.int64)


def main() -> None:
    rng = np.random.default_rng(0)
    np.random.seed(0)  # noqa: NPY002 (Stable-Baselines3 draws from it)
    lengths = np.concatenate([[1, 2, 50], rng.integers(1, 51, 57)])
    lengths[3:30] = rng.integers(1, 12, 27)
    terminated = rng.random(len(lengths)) < 0.5
    rewards = [rng.normal(size=length).astype(np.float32) for length in lengths]
    episodes = list(zip(rewards, terminated.tolist(), strict=True))
    cases = [n_step_samples(episodes, n, gamma) for n, gamma in SETTINGS]
    reward, discount, next_row = (np.stack(part) for part in zip(*cases, strict=True))
    names = ("future", "final", "episode")
    np.savez_compressed(
        Path(__file__).with_name("sb3.npz"),
        rewards=np.concatenate(rewards),
        lengths=lengths,
        terminated=terminated,
        settings=np.array(SETTINGS),
        reward=reward,
        discount=discount,
        next_row=next_row.astype(np.int64),
        **{name: goal_ranges(episodes[:30], name) for name in names},
    )


if __name__ == "__main__":
    main()
