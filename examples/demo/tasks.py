"""The environments of the demo, their policies, and the fields of a step.

Used by record_and_sample.py. The policies are a few lines of arithmetic with some noise, which is
good enough for interesting episodes.
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
    """CartPole: push in the direction in which the pole falls, sometimes at random."""
    if rng.random() < 0.25:
        return int(rng.integers(2))
    return int(obs[2] + 0.3 * obs[3] + 0.06 * obs[0] + 0.12 * obs[1] > 0)


def swing_up(obs: Any, rng: np.random.Generator) -> np.ndarray:
    """Pendulum: bring its energy to that of the upright position, then hold it there."""
    cos, sin, speed = (float(item) for item in obs)
    energy = 0.5 * speed**2 + 15.0 * cos  # 15 when upright
    if cos > 0.85 and abs(speed) < 3.5:
        torque = -10.0 * np.arctan2(sin, cos) - 2.5 * speed
    else:
        torque = np.sign((15.0 - energy) * (speed or 1.0)) * 2.0
    torque = min(max(torque + rng.normal(0.0, 0.3), -2.0), 2.0)
    return np.array([torque], np.float32)


TASKS = [Task("CartPole-v1", balance), Task("Pendulum-v1", swing_up)]


def fields_of(env: Any) -> dict[str, Any]:
    """Return the declared fields. Features may be strings or spaces of the environment."""
    return {
        "episode": "int64",  # on the first row of each episode
        "seed": "int64",  # also: a fact about the whole episode
        "obs": env.observation_space,
        "action": env.action_space,
        "reward": "float64",
        "terminated": "bool",
        "truncated": "bool",
        "end": "bool",  # on the row with only the last observation of an episode
    }
