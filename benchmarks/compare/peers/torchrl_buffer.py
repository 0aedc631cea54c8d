"""TorchRL's ReplayBuffer on LazyMemmapStorage, sampled by SliceSampler with its cache on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("RL_LOGGING_LEVEL", "ERROR")

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict
from torchrl.data import LazyMemmapStorage, ReplayBuffer, SliceSampler

from . import BATCH, EPISODE, EPISODES, LENGTH

torch.set_num_threads(1)  # faster here, because the batches are small

CANNOT = {"flat_windows": "has no flat values"}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.path, self.capacity = directory / "storage", capacity
        self.storage: Any = LazyMemmapStorage(capacity, scratch_dir=self.path)
        self.buffer: Any = ReplayBuffer(
            storage=self.storage,
            sampler=SliceSampler(slice_len=LENGTH, end_key="done", cache_values=True),
            batch_size=BATCH * LENGTH,
        )
        self.episodes: Any = None

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        self.buffer.add(
            TensorDict(
                {
                    "observation": torch.tensor(observation),
                    "action": torch.tensor(action),
                    "reward": torch.tensor(reward),
                    "done": torch.tensor([done]),
                }
            )
        )

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        tensors = {name: torch.as_tensor(column) for name, column in columns.items()}
        tensors["done"] = tensors["done"][:, None]
        self.buffer.extend(TensorDict(tensors, batch_size=[len(columns["action"])]))

    def sample_episodes(self) -> Any:
        """Return a batch of windows that the buffer chooses, each inside an episode."""
        return self.buffer.sample()

    def sample_whole_episodes(self) -> Any:
        """Return a batch of slices that are as long as an episode, from the same storage."""
        if self.episodes is None:
            self.episodes = ReplayBuffer(
                storage=self.storage,
                sampler=SliceSampler(
                    slice_len=EPISODE, end_key="done", cache_values=True, strict_length=True
                ),
                batch_size=EPISODES * EPISODE,
            )
        return self.episodes.sample()

    def windows(self, rows: NDArray[np.int64]) -> Any:
        """Read by index into the storage, which is faster than its sampler."""
        flat = (np.asarray(rows)[..., None] + np.arange(LENGTH)).reshape(-1)
        return self.storage.get(torch.as_tensor(flat))

    KEEPS = "dumps()"

    def keep(self) -> None:
        """Write the number of rows next to the files. A kill during the call loses it."""
        self.storage.dumps(self.path)

    def close(self) -> None:
        if self.buffer is not None and len(self.storage):
            self.keep()
        self.storage = self.buffer = self.episodes = None

    def reopen(self) -> int:
        self.storage = LazyMemmapStorage(self.capacity, scratch_dir=self.path)
        self.storage.loads(self.path)
        return len(self.storage)
