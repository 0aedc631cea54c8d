"""cpprb's ReplayBuffer, in memory. Rows are read by index, with the call that its samplers use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cpprb
import numpy as np
from numpy.typing import NDArray

from . import BATCH, LENGTH, OFFSETS, STACKS, chunks, ring_rows

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
    "priority_windows": "cannot draw windows by priority",
    "lanes": "cannot draw windows of one agent",
}


FIELDS = {
    "observation": {"shape": 8, "dtype": np.float32},
    "action": {"dtype": np.int64},
    "reward": {"dtype": np.float32},
    "done": {"dtype": np.bool_},
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.buffer = cpprb.ReplayBuffer(capacity, FIELDS)
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


class ByPriority:
    """PrioritizedReplayBuffer. It draws rows, not windows."""

    def __init__(self, directory: Path, rows: int, length: int) -> None:
        self.buffer = cpprb.PrioritizedReplayBuffer(rows, FIELDS, alpha=0.6)
        for chunk in chunks(rows):
            self.buffer.add(**chunk)

    def draw(self) -> Any:
        batch = self.buffer.sample(BATCH, beta=0.4)
        return batch, batch["indexes"]

    def update(self, index: Any, priorities: NDArray[np.float64]) -> None:
        self.buffer.update_priorities(index, priorities)


class Stacks:
    """Stacks that are stored as single frames: `stack_compress`. Their axis is the last one."""

    def __init__(self, directory: Path, episodes: Iterable[dict[str, NDArray[Any]]]) -> None:
        fields = {
            "frame": {"shape": (84, 84, len(OFFSETS)), "dtype": np.uint8},
            "action": {"dtype": np.int64},
            "reward": {"dtype": np.float32},
            "done": {"dtype": np.bool_},
        }
        self.buffer = cpprb.ReplayBuffer(20_000, fields, stack_compress="frame")
        for episode in episodes:
            rows = np.arange(len(episode["action"]))[:, None] + np.array(OFFSETS)
            stacks = np.moveaxis(episode["frame"][np.maximum(rows, 0)], 1, -1)
            self.buffer.add(**{**episode, "frame": stacks})
            self.buffer.on_episode_end()

    def sample(self) -> Any:
        batch = self.buffer.sample(STACKS)
        return {**batch, "frame": np.moveaxis(batch["frame"], -1, 1)}


class Ring:
    """A full ReplayBuffer, whose windows are read by index."""

    def __init__(self, directory: Path, capacity: int) -> None:
        self.buffer, self.capacity = cpprb.ReplayBuffer(capacity, FIELDS), capacity
        self.rng = np.random.default_rng(0)

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.buffer.add(**columns)

    def sample(self) -> Any:
        held = self.buffer.get_stored_size()
        oldest = self.buffer.get_next_index() if held == self.capacity else 0
        rows = ring_rows(self.rng, oldest, held, self.capacity)
        return self.buffer._encode_sample(rows.reshape(-1))
