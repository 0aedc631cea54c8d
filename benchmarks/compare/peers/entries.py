"""The same design in NumPy: an int64 buffer, one entry per field-write, searchsorted to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import WIDTH

TYPES = {"observation": 0, "action": 1, "reward": 2, "done": 3}
FLOATS = {"observation", "reward"}

CANNOT = {
    **dict.fromkeys(
        ("row_windows", "loader", "loader_workers", "cold_windows", "limited_windows"),
        "does not decode rows",
    ),
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
    **dict.fromkeys(("recover", "reopen"), "keeps the number of its rows in memory only"),
    **dict.fromkeys(
        ("priorities", "priority_windows", "lanes", "ring", "stacks"), "has no sampler of this kind"
    ),
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.values = np.memmap(directory / "values", np.int64, "w+", shape=(capacity * 11,))
        self.entries = np.memmap(directory / "entries", np.int64, "w+", shape=(capacity * 4, 3))
        self.size = 0
        self.count = 0

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        row = {"observation": observation, "action": action, "reward": reward, "done": done}
        for name, value in row.items():
            dtype = np.float64 if name in FLOATS else np.int64
            words = np.atleast_1d(np.asarray(value, dtype)).view(np.int64)
            self.entries[self.count] = (self.size, TYPES[name], t)
            self.values[self.size : self.size + len(words)] = words
            self.size += len(words)
            self.count += 1

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        rows = len(columns["action"])
        first = self.count // 4
        values = np.empty((rows, 11), np.int64)
        values[:, :8] = columns["observation"].astype(np.float64).view(np.int64)
        values[:, 8] = columns["action"]
        values[:, 9] = columns["reward"].astype(np.float64).view(np.int64)
        values[:, 10] = columns["done"]
        entries = np.empty((rows, 4, 3), np.int64)
        entries[:, :, 0] = self.size + np.arange(rows)[:, None] * 11 + [0, 8, 9, 10]
        entries[:, :, 1] = [0, 1, 2, 3]
        entries[:, :, 2] = (first + np.arange(rows))[:, None]
        self.values[self.size : self.size + rows * 11] = values.reshape(-1)
        self.entries[self.count : self.count + rows * 4] = entries.reshape(-1, 3)
        self.size += rows * 11
        self.count += rows * 4

    def flat_windows(self, starts: NDArray[np.int64] | int) -> Any:
        positions = np.asarray(starts)[..., None] + np.arange(WIDTH)
        index = self.entries[: self.count]
        at = np.searchsorted(index[:, 0], positions, side="right") - 1
        return {"values": self.values[positions], "types": index[at, 1], "step": index[at, 2]}

    def flat_size(self) -> int:
        return self.size

    def close(self) -> None:
        pass
