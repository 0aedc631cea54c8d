"""Record two kinds of environments with one line each, and learn from the recordings.

1. `RecordToStore` wraps a FrozenLake, in which an agent acts at random.
2. `RecordVectorToStore` wraps a vector of CartPoles, which reset themselves in the same step.
3. Tabular Q-learning from windows of two rows finds the way over the lake, and keeps the pole up.
   For the table, the angle and the angular velocity of the pole are rounded.

A second run records into the same stores and continues the numbers of their episodes.

    python examples/record_gymnasium.py [--steps 20000] [--out gymnasium-output]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from stream_store import StreamStore, WindowSampler
from stream_store.gym import RecordToStore, RecordVectorToStore
from stream_store.learning import n_step


def record_lake(path: Path, steps: int) -> None:
    """Act at random in one environment."""
    lake = gymnasium.make("FrozenLake-v1", is_slippery=False)
    with RecordToStore(lake, path) as env:
        env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()


def record_poles(path: Path, steps: int, num_envs: int = 8) -> None:
    """Act at random in a vector of environments."""
    mode = AutoresetMode.SAME_STEP
    envs = gymnasium.make_vec(
        "CartPole-v1",
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
    )
    envs = RecordVectorToStore(envs, path)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(steps // num_envs):
        envs.step(envs.action_space.sample())
    envs.close()


def tile_of(lake: Any) -> Any:
    """The number of the tile on which the agent is: the observation itself."""
    return lake


def cell_of(pole: NDArray[np.float32]) -> Any:
    """The number of the cell, of 20 by 20, that has the angle and velocity of the pole."""
    scaled = pole[..., 2:] / np.array([0.21, 3.0]) * 10 + 10
    cell = np.clip(scaled, 0, 19).astype(int)
    return cell[..., 0] * 20 + cell[..., 1]


def learn(
    store: StreamStore, states: int, state_of: Callable[[Any], Any], **lanes: Any
) -> NDArray[np.float64]:
    """The values of all actions in all states, from transitions drawn at random."""
    sampler = WindowSampler(
        store, 2, unit="row", batch_size=256, segment_by="episode", seed=0, **lanes
    )
    q = np.zeros((states, int(store.read_rows(slice(None))["action"].max()) + 1))
    for batch, _ in zip(sampler, range(1500), strict=False):
        target = n_step(batch["reward"], batch["terminated"], batch["truncated"], gamma=0.95)
        state, next_state = state_of(batch["obs"][:, 0]), state_of(batch["obs"][:, 1])
        best = target.reward + target.discount * q[next_state].max(axis=1)
        action = batch["action"][:, 0]
        q[state, action] += 0.2 * (best - q[state, action])
    return q


def return_of(q: NDArray[np.float64], state_of: Callable[[Any], Any], env: gymnasium.Env) -> float:
    """The mean return of ten episodes in which the agent takes the best actions."""
    total = 0.0
    for seed in range(10):
        obs, _ = env.reset(seed=seed)
        over = False
        while not over:
            best = int(q[state_of(obs)].argmax())
            obs, reward, terminated, truncated, _ = env.step(best)
            total, over = total + float(reward), terminated or truncated
    return total / 10


def report(name: str, store: StreamStore, mean: float) -> None:
    """Print how much was recorded and how well the agent does."""
    rows = store.read_rows(slice(None), fields=["episode", "action"])
    transitions = int(rows["_mask"]["action"].sum())
    episodes = len(np.unique(rows["episode"]))
    print(f"{name}: {transitions:,} transitions of {episodes:,} episodes; return {mean:.1f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Record, learn and print the returns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000, help="steps of each kind")
    parser.add_argument("--out", type=Path, default=Path("gymnasium-output"))
    options = parser.parse_args(arguments)

    record_lake(options.out / "lake", options.steps)
    with StreamStore(options.out / "lake", "r") as store:
        q = learn(store, 16, tile_of)
        lake = gymnasium.make("FrozenLake-v1", is_slippery=False)
        report("FrozenLake", store, return_of(q, tile_of, lake))

    record_poles(options.out / "poles", options.steps)
    with StreamStore(options.out / "poles", "r") as store:
        q = learn(store, 400, cell_of, lane_by="env")
        report("CartPole", store, return_of(q, cell_of, gymnasium.make("CartPole-v1")))


if __name__ == "__main__":
    main()
