"""The environments of the demo, who acts in them, and the fields of a step.

Used by record_and_sample.py. The policies are a few lines of arithmetic with some noise: good
enough for episodes that are worth looking at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Policy = Callable[[Any, np.random.Generator], Any]


@dataclass(frozen=True)
class Task:
    name: str
    policy: Policy


def balance(obs: Any, rng: np.random.Generator) -> int:
    """CartPole: push to where the pole falls; sometimes anywhere."""
    if rng.random() < 0.25:
        return int(rng.integers(2))
    return int(obs[2] + 0.3 * obs[3] + 0.06 * obs[0] + 0.12 * obs[1] > 0)


def swing_up(obs: Any, rng: np.random.Generator) -> np.ndarray:
    """Pendulum: bring its energy to that of standing upright, then hold it there."""
    cos, sin, speed = (float(item) for item in obs)
    energy = 0.5 * speed**2 + 15.0 * cos  # 15 when it stands
    if cos > 0.85 and abs(speed) < 3.5:
        torque = -10.0 * np.arctan2(sin, cos) - 2.5 * speed
    else:
        torque = np.sign((15.0 - energy) * (speed or 1.0)) * 2.0
    torque = min(max(torque + rng.normal(0.0, 0.3), -2.0), 2.0)
    return np.array([torque], np.float32)


TASKS = [Task("CartPole-v1", balance), Task("Pendulum-v1", swing_up)]


def fields_of(env: Any) -> dict[str, Any]:
    """The declared fields. Features are strings or, as here, the environment's own spaces."""
    return {
        "episode": "int64",  # on the first row of each episode
        "seed": "int64",  # likewise: a fact about the whole episode
        "obs": env.observation_space,
        "action": env.action_space,
        "reward": "float64",
        "terminated": "bool",
        "truncated": "bool",
        "end": "bool",  # on the row that holds an episode's last observation alone
    }
