"""cpprb's ReplayBuffer, in memory. Rows are read by index, with the call that its samplers use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cpprb
import numpy as np
from numpy.typing import NDArray

from . import LENGTH

CANNOT = {
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing"), "cannot draw windows inside episodes"
    ),
    "whole_episodes": "cannot draw whole episodes",
    **dict.fromkeys(
        ("recover", "reopen", "cold_windows", "limited_windows"),
        "keeps its rows in memory (save_transitions() was not measured)",
    ),
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        fields = {
            "observation": {"shape": 8, "dtype": np.float32},
            "action": {"dtype": np.int64},
            "reward": {"dtype": np.float32},
            "done": {"dtype": np.bool_},
        }
        self.buffer = cpprb.ReplayBuffer(capacity, fields)
        self.places = np.arange(LENGTH)

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        self.buffer.add(observation=observation, action=action, reward=reward, done=done)

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.buffer.add(**columns)

    def windows(self, rows: NDArray[np.int64]) -> Any:
        flat = (np.asarray(rows)[..., None] + self.places).reshape(-1)
        return self.buffer._encode_sample(flat)

    def close(self) -> None:
        pass
