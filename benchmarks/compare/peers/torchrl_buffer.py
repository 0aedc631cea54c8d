"""TorchRL's ReplayBuffer on LazyMemmapStorage, sampled by SliceSampler with its cache on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("RL_LOGGING_LEVEL", "ERROR")

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict

# Its sum trees are compiled for one version of PyTorch. With another one, the file lacks functions
# of autograd. The trees never call these, so it can be loaded if symbols are resolved on use.
_flags = sys.getdlopenflags()
sys.setdlopenflags(os.RTLD_LAZY)
from torchrl.data import (
    LazyMemmapStorage,
    PrioritizedSampler,
    PrioritizedSliceSampler,
    ReplayBuffer,
    SliceSampler,
)

sys.setdlopenflags(_flags)

from . import BATCH, EPISODE, EPISODES, LENGTH, OFFSETS, STACKS, chunks, ring_rows

torch.set_num_threads(1)  # faster here, because the batches are small

CANNOT = {"flat_windows": "has no flat values"}


def tensors(columns: dict[str, NDArray[Any]]) -> TensorDict:
    made = {name: torch.as_tensor(column) for name, column in columns.items()}
    made["done"] = made["done"][:, None]
    return TensorDict(made, batch_size=[len(columns["action"])])


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
        self.buffer.extend(tensors(columns))

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


class ByPriority:
    """PrioritizedSampler, or PrioritizedSliceSampler for windows inside episodes."""

    def __init__(self, directory: Path, rows: int, length: int) -> None:
        self.length = length
        sampler: Any = PrioritizedSampler(rows, alpha=0.6, beta=0.4)
        if length > 1:
            sampler = PrioritizedSliceSampler(
                rows, alpha=0.6, beta=0.4, slice_len=length, end_key="done", cache_values=True
            )
        self.buffer = ReplayBuffer(
            storage=LazyMemmapStorage(rows, scratch_dir=directory / "storage"),
            sampler=sampler,
            batch_size=BATCH * length,
        )
        for chunk in chunks(rows):
            self.buffer.extend(tensors(chunk))

    def draw(self) -> Any:
        batch, info = self.buffer.sample(return_info=True)
        index = info["index"][0] if isinstance(info["index"], tuple) else info["index"]
        return batch, torch.as_tensor(index).reshape(-1, self.length)[:, 0]

    def update(self, index: Any, priorities: NDArray[np.float64]) -> None:
        self.buffer.update_priority(index, torch.as_tensor(priorities, dtype=torch.float32))


class ByKey:
    """SliceSampler with `fragmented`, which is for trajectories whose rows are not neighbours."""

    def __init__(self, directory: Path, columns: dict[str, NDArray[Any]]) -> None:
        rows = len(columns["action"])
        self.buffer = ReplayBuffer(
            storage=LazyMemmapStorage(rows, scratch_dir=directory / "storage"),
            sampler=SliceSampler(
                slice_len=LENGTH,
                traj_key="agent",
                step_key="time",
                fragmented=True,
                cache_values=True,
            ),
            batch_size=BATCH * LENGTH,
        )
        self.buffer.extend(tensors(columns))

    def sample(self) -> Any:
        return self.buffer.sample()


class Stacks:
    """Single frames, stacked by index into the storage: faster than the transform CatFrames."""

    def __init__(self, directory: Path, episodes: Iterable[dict[str, NDArray[Any]]]) -> None:
        self.storage = LazyMemmapStorage(20_000, scratch_dir=directory / "storage")
        buffer = ReplayBuffer(storage=self.storage, batch_size=STACKS)
        first: list[NDArray[np.int64]] = []
        for episode in episodes:
            buffer.extend(tensors(episode))
            rows = len(episode["action"])
            first.append(np.full(rows, sum(map(len, first))))
        self.first = torch.as_tensor(np.concatenate(first))
        self.offsets = torch.tensor(OFFSETS)

    def sample(self) -> Any:
        anchors = torch.randint(0, len(self.first), (STACKS,))
        rows = torch.maximum(anchors[:, None] + self.offsets, self.first[anchors, None])
        batch = self.storage.get(rows)
        last = len(OFFSETS) - 1
        return {
            "frame": batch["frame"],
            "action": batch["action"][:, last],
            "reward": batch["reward"][:, last],
        }


class Ring:
    """A full LazyMemmapStorage, which overwrites the oldest rows. Windows are read by index."""

    def __init__(self, directory: Path, capacity: int) -> None:
        self.storage = LazyMemmapStorage(capacity, scratch_dir=directory / "storage")
        self.buffer = ReplayBuffer(storage=self.storage, batch_size=BATCH)
        self.capacity, self.count, self.rng = capacity, 0, np.random.default_rng(0)

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.buffer.extend(tensors(columns))
        self.count += len(columns["action"])

    def sample(self) -> Any:
        held = len(self.storage)
        oldest = self.count % self.capacity if held == self.capacity else 0
        rows = ring_rows(self.rng, oldest, held, self.capacity)
        return self.storage.get(torch.as_tensor(rows.reshape(-1)))
