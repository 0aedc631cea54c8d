"""Structured rows in np.memmap: fixed shapes, no missing values, a capacity fixed in advance."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import BATCH, LENGTH, OFFSETS, STACKS, ring_rows

ROW = np.dtype([("observation", "f4", (8,)), ("action", "i8"), ("reward", "f4"), ("done", "?")])

CANNOT = {
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
    **dict.fromkeys(("priorities", "priority_windows"), "has no priorities"),
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


class ByKey:
    """Windows of 12 rows of one agent each, by an index array that is sorted by agent."""

    def __init__(self, directory: Path, columns: dict[str, NDArray[Any]]) -> None:
        dtype = np.dtype([*ROW.descr, ("agent", "i8"), ("time", "i8")])
        self.rows = np.memmap(directory / "rows", dtype, "w+", shape=len(columns["action"]))
        for name, column in columns.items():
            self.rows[name] = column
        self.order = np.argsort(columns["agent"], kind="stable")
        agent = columns["agent"][self.order]
        self.starts = np.flatnonzero(agent[: 1 - LENGTH] == agent[LENGTH - 1 :])
        self.places, self.rng = np.arange(LENGTH), np.random.default_rng(0)

    def sample(self) -> Any:
        starts = self.starts[self.rng.integers(0, len(self.starts), BATCH)]
        batch = self.rows[self.order[starts[:, None] + self.places]]
        return {name: batch[name] for name in batch.dtype.names}


class Stacks:
    """Stacks of frames by an index array, with the first frame of the episode as the edge."""

    def __init__(self, directory: Path, episodes: Iterable[dict[str, NDArray[Any]]]) -> None:
        parts = list(episodes)
        self.columns = {}
        for name in parts[0]:
            joined = np.concatenate([part[name] for part in parts])
            column: Any = np.memmap(directory / name, joined.dtype, "w+", shape=joined.shape)
            column[:] = joined
            self.columns[name] = column
        ends = np.flatnonzero(self.columns["done"]) + 1
        self.first = np.repeat(np.append(0, ends[:-1]), np.diff(ends, prepend=0))
        self.rng = np.random.default_rng(0)

    def sample(self) -> Any:
        anchors = self.rng.integers(0, len(self.first), STACKS)
        rows = np.maximum(anchors[:, None] + np.array(OFFSETS), self.first[anchors, None])
        return {
            "frame": self.columns["frame"][rows],
            "action": self.columns["action"][anchors],
            "reward": self.columns["reward"][anchors],
        }


class Ring:
    """Rows that overwrite the oldest ones."""

    def __init__(self, directory: Path, capacity: int) -> None:
        self.rows = np.memmap(directory / "rows", ROW, "w+", shape=(capacity,))
        self.count, self.capacity, self.rng = 0, capacity, np.random.default_rng(0)

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        count = len(columns["action"])
        at = np.arange(self.count, self.count + count) % self.capacity
        for name, column in columns.items():
            self.rows[name][at] = column
        self.count += count

    def sample(self) -> Any:
        held = min(self.count, self.capacity)
        oldest = self.count % self.capacity if held == self.capacity else 0
        batch = self.rows[ring_rows(self.rng, oldest, held, self.capacity)]
        return {name: batch[name] for name in ROW.names or ()}
