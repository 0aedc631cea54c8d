"""h5py: one chunked, resizable dataset per field. A window is a slice of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from . import LENGTH

CHUNK = 1024  # rows
SHAPES = {
    "observation": ((8,), "f4"),
    "action": ((), "i8"),
    "reward": ((), "f4"),
    "done": ((), "?"),
}

CANNOT = {
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
    **dict.fromkeys(("priorities", "priority_windows"), "has no priorities"),
    "lanes": "has no index by key",
    "stacks": "was not measured",
    "ring": "cannot drop rows",
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.path = directory / "file.h5"
        self.file: Any = h5py.File(self.path, "w", libver="latest")  # "latest" is needed by keep()
        self.count = 0
        for name, (shape, dtype) in SHAPES.items():
            self.file.create_dataset(
                name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(CHUNK, *shape)
            )

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        if self.count % CHUNK == 0:
            for name in SHAPES:
                self.file[name].resize(self.count + CHUNK, axis=0)
        row = {"observation": observation, "action": action, "reward": reward, "done": done}
        for name, value in row.items():
            self.file[name][self.count] = value
        self.count += 1

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        stop = self.count + len(columns["action"])
        for name, column in columns.items():
            self.file[name].resize(stop, axis=0)
            self.file[name][self.count : stop] = column
        self.count = stop

    def windows(self, rows: NDArray[np.int64]) -> Any:
        starts = np.atleast_1d(rows)
        return {
            name: np.stack([self.file[name][row : row + LENGTH] for row in starts])
            for name in SHAPES
        }

    KEEPS = "flush() in SWMR mode"

    def keep(self) -> None:
        """Flush in SWMR mode, which the manual recommends for files that survive a crash."""
        if not self.file.swmr_mode:
            self.file.swmr_mode = True
        self.file.flush()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        self.file = None

    def reopen(self) -> int:
        self.file = h5py.File(self.path, "r", swmr=True)
        return len(self.file["action"])
