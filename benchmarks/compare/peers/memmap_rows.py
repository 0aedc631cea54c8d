"""Structured rows in np.memmap: fixed shapes, no missing values, a capacity fixed in advance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import LENGTH

ROW = np.dtype([("observation", "f4", (8,)), ("action", "i8"), ("reward", "f4"), ("done", "?")])

CANNOT = {
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.file = directory / "rows"
        self.rows: Any = np.memmap(self.file, ROW, "w+", shape=(capacity,))
        self.count = 0
        self.places = np.arange(LENGTH)

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        self.rows[self.count] = (observation, action, reward, done)
        self.count += 1

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        rows = self.rows[self.count : self.count + len(columns["action"])]
        for name, column in columns.items():
            rows[name] = column
        self.count += len(rows)

    def windows(self, rows: NDArray[np.int64]) -> Any:
        batch = self.rows[np.asarray(rows)[..., None] + self.places]
        return {name: batch[name] for name in ROW.names or ()}

    def close(self) -> None:
        self.rows = None  # the kernel writes it back, as with StreamStore

    def reopen(self) -> int:
        self.rows = np.memmap(self.file, ROW, "r")
        return len(self.rows)  # the capacity: the number of written rows is not stored
