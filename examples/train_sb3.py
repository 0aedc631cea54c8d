"""DQN of Stable-Baselines3 with a replay buffer on disk, in two runs.

    python examples/train_sb3.py [--steps 3000] [--out sb3-output]

1. Trains a policy for CartPole; all transitions go to the store OUT/transitions.
2. Saves the model and the buffer, loads both, and trains on: the buffer has the old transitions.
3. Opens the store as another process would, and prints the returns of the episodes in it.

Needs `pip install 'stream-store[sb3]'`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import DQN

from stream_store import StreamStore
from stream_store.sb3 import StreamReplayBuffer


def train(out: Path, steps: int) -> None:
    model = DQN(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=500,
        target_update_interval=10,
        train_freq=64,
        gradient_steps=32,
        exploration_fraction=0.3,
        exploration_final_eps=0.04,
        replay_buffer_class=StreamReplayBuffer,
        replay_buffer_kwargs={"path": out / "transitions"},
        seed=0,
    )
    model.learn(steps // 2)
    print(f"first run:  {model.replay_buffer}")
    model.save(out / "model")
    model.save_replay_buffer(out / "buffer.pkl")

    model = DQN.load(out / "model", env=model.get_env())
    model.load_replay_buffer(out / "buffer.pkl")
    model.learn(steps - steps // 2, reset_num_timesteps=False)
    print(f"second run: {model.replay_buffer}")


def show_returns(path: Path) -> None:
    with StreamStore(path, "r") as store:
        rewards = store.read_rows(slice(None), fields=["reward"])["reward"]
        returns = [rewards[start:stop].sum() for start, stop in store.segments("episode")]
    print(f"{len(returns)} episodes, mean returns of ten parts of them:")
    print("  ".join(f"{np.mean(part):.0f}" for part in np.array_split(returns, 10)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path("sb3-output"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # faster for networks of this size
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(arguments.out, arguments.steps)
    show_returns(arguments.out / "transitions")


if __name__ == "__main__":
    main()
