"""StreamStore, used through its Python package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store import StreamStore, WindowSampler

from . import BATCH, EPISODES, LENGTH, WIDTH

FIELDS = {"observation": "float32[8]", "action": "int64", "reward": "float32", "done": "bool"}
NAMES = list(FIELDS)

CANNOT: dict[str, str] = {}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.path = directory / "store"
        self.store: Any = StreamStore(self.path, fields=FIELDS)
        self.sampler: WindowSampler | None = None
        self.episodes: WindowSampler | None = None

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        self.store.append([t, t, t, t], NAMES, [observation, action, reward, done])

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.store.extend(columns)

    def windows(self, rows: NDArray[np.int64]) -> Any:
        """Return decoded rows, one array per field."""
        return self.store.read_rows(rows, LENGTH)

    def flat_windows(self, starts: NDArray[np.int64] | int) -> Any:
        """Return values with the field and the step of each."""
        return self.store.windows(starts, WIDTH)

    def flat_size(self) -> int:
        return len(self.store)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
        self.store = self.sampler = self.episodes = (
            None  # releases the mappings, which would keep pages in memory
        )

    def reopen(self) -> int:
        self.store = StreamStore(self.path, mode="r")
        return self.store.num_rows

    def sample_episodes(self) -> Any:
        """Return a batch of windows that the store chooses, each inside an episode."""
        if self.sampler is None:
            self.sampler = WindowSampler(
                self.store, LENGTH, unit="row", batch_size=BATCH, segment_by="done"
            )
        return self.sampler.sample()

    def sample_whole_episodes(self) -> Any:
        """Return a batch of episodes that the store chooses, padded to the longest of them."""
        if self.episodes is None:
            self.episodes = WindowSampler(
                self.store, whole_segments=True, batch_size=EPISODES, segment_by="done"
            )
        return self.episodes.sample()
