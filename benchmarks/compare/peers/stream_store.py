"""StreamStore, used through its Python package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store import Priorities, StreamStore, WindowSampler

from . import BATCH, EPISODES, LENGTH, OFFSETS, STACKS, TASK, WIDTH, Statistics, chunks

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


class ByPriority:
    """Windows of `length` rows drawn by priority, inside episodes if they have several rows."""

    def __init__(self, directory: Path, rows: int, length: int) -> None:
        self.store = StreamStore(directory / "store", fields=FIELDS)
        for chunk in chunks(rows):
            self.store.extend(chunk)
        self.sampler = WindowSampler(
            self.store,
            length,
            unit="row",
            batch_size=BATCH,
            segment_by="done" if length > 1 else None,
            priorities=Priorities(alpha=0.6, beta=0.4),
        )

    def draw(self) -> Any:
        batch = self.sampler.sample()
        return batch, batch["_index"]

    def update(self, index: Any, priorities: NDArray[np.float64]) -> None:
        self.sampler.update(index, priorities)


class ByKey:
    """Windows of 12 rows of one agent each."""

    def __init__(self, directory: Path, columns: dict[str, NDArray[Any]]) -> None:
        fields = {**FIELDS, "agent": "int64", "time": "int64"}
        self.store = StreamStore(directory / "store", fields=fields)
        self.store.extend(columns)
        self.sampler = WindowSampler(self.store, LENGTH, batch_size=BATCH, lane_by="agent")

    def sample(self) -> Any:
        return self.sampler.sample()


class Stacks:
    """Stacks of frames, made from single ones when they are read."""

    def __init__(self, directory: Path, episodes: Iterable[dict[str, NDArray[Any]]]) -> None:
        fields = {
            "frame": "packed uint8[84,84]",
            "action": "int64",
            "reward": "float32",
            "done": "bool",
        }
        self.store = StreamStore(directory / "store", fields=fields)
        for episode in episodes:
            self.store.extend(episode)
        self.sampler = WindowSampler(
            self.store,
            batch_size=STACKS,
            segment_by="done",
            offsets={"frame": OFFSETS, "action": [0], "reward": [0]},
            outside="edge",
        )

    def sample(self) -> Any:
        return self.sampler.sample()


class Ring:
    """A store that drops its oldest rows, in files of 1 MiB."""

    def __init__(self, directory: Path, capacity: int) -> None:
        self.store = StreamStore(
            directory / "store", fields=FIELDS, retain_rows=capacity, chunk_bytes=1 << 20
        )
        self.sampler = WindowSampler(self.store, LENGTH, unit="row", batch_size=BATCH)

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.store.extend(columns)

    def sample(self) -> Any:
        return self.sampler.sample()


class Tables:
    """A table of text from and to Arrow, by way of datasets."""

    def __init__(self, directory: Path, table: Any) -> None:
        import datasets

        datasets.disable_progress_bars()
        self.directory = directory
        self.dataset = datasets.Dataset(table)
        self.path = directory / "none"

    def store(self) -> None:
        self.path = self.directory / f"store-{time.monotonic_ns()}"
        with StreamStore(self.path) as store:
            store.from_dataset(self.dataset)

    def export(self) -> None:
        """Write an Arrow file into the cache of datasets."""
        with StreamStore(self.path, "r") as store:
            self.exported = store.to_dataset()
        for file in self.exported.cache_files:  # else the next call would find them
            Path(file["filename"]).unlink()

    def exported_table(self) -> Any:
        return self.exported.data.table


def statistics(
    directory: Path, columns: dict[str, NDArray[Any]], quantiles: Sequence[float]
) -> Callable[[], Statistics]:
    """A new object for each call: an object that is kept reads only the rows added since."""
    path = directory / "store"
    with StreamStore(path, fields=FIELDS) as store:
        store.extend(columns)

    def collect() -> Statistics:
        with StreamStore(path, "r") as store:
            stats = store.stats(quantiles=quantiles)
        found: Statistics = {}
        for name, one in stats.items():
            spread = [one.quantiles[q] for q in quantiles] if quantiles else []
            numbers = np.array([one.min, one.max, one.mean, one.std, *spread], np.float64)
            if numbers.ndim == 1:
                found[name] = numbers
            else:
                found |= {f"{name}_{i}": column for i, column in enumerate(numbers.T)}
        return found

    return collect


class LeRobot:
    """Conversions of a store with the columns of a data set of LeRobot."""

    def __init__(self, directory: Path, columns: dict[str, NDArray[Any]], fps: int) -> None:
        self.directory, self.fps, self.count = directory, fps, 0
        fields = {"episode_index": "int64", "task": "string"}
        fields |= {"observation.state": "float32[8]", "action": "float32[7]"}
        self.store = StreamStore(directory / "store", fields=fields)
        tasks = {"task": [TASK] * len(columns["action"])}
        self.store.extend({name: {**columns, **tasks}[name] for name in fields})

    def export(self) -> None:
        self.count += 1
        self.set = self.directory / f"set-{self.count}"
        self.store.to_lerobot(self.set, fps=self.fps)

    def read(self) -> dict[str, NDArray[Any]]:
        """Import the last export into a store, and return its rows."""
        self.count += 1
        with StreamStore(self.directory / f"store-{self.count}") as store:
            store.from_lerobot(self.set)
            return store.read_rows(np.arange(store.num_rows))
