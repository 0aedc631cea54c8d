"""The compared stores (peers), each used as its documentation recommends.

A peer is a module with a class `Peer`; NAMES lists them. Each peer is imported in its own process,
so that the imports of one do not affect the figures of another. A peer does not define the methods
that it cannot support. Its CANNOT gives the reason by question for the report; without a reason,
the report states that the store was not measured.

Some questions need stores of another shape. A peer that answers one has a function or a class
beside `Peer`, which fills such a store: `by_priority`, `by_key`, `stacks`, `ring`, `Tables`,
`statistics` and `LeRobot`. The question that calls it documents its arguments and its result.

Steps have 4 fields and 11 values. A window has 12 rows, which is how many rows 128 values touch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 12  # rows per window
WIDTH = 128  # values per flat window, for the stores that have flat windows
BATCH = 256  # windows per batch
EPISODE = 200  # rows per episode
EPISODES = 15  # whole episodes per batch, of about as many rows as the windows
STACKS = 64  # stacks of frames per batch
OFFSETS = [-3, -2, -1, 0]  # the frames of a stack, relative to its row
TASK = "push the block"  # the text of every episode in LeRobot's data sets

# For each column of numbers: minimum, maximum, mean, standard deviation and the quantiles asked.
Statistics = dict[str, NDArray[np.float64]]

NAMES = {
    "stream_store": "StreamStore",
    "entries": "the same design in NumPy",
    "memmap_rows": "np.memmap rows by hand",
    "cpprb_buffer": "cpprb",
    "torchrl_buffer": "TorchRL",
    "hf_datasets": "datasets",
    "lance_table": "Lance",
    "h5py_file": "h5py",
    "flashbax_buffer": "flashbax",
    "pyarrow_tables": "pyarrow",
    "polars_frame": "polars",
    "duckdb_query": "duckdb",
    "lerobot_sets": "lerobot",
}
# The stores of steps. The others answer only the questions that list them in PEERS.
STORES = tuple(NAMES)[:9]


def peer_module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def open_peer(name: str, directory: Path, capacity: int) -> Any:
    """Create an empty store of that kind for up to `capacity` steps."""
    return peer_module(name).Peer(directory, capacity)


def columns(rows: int, first: int = 0) -> dict[str, NDArray[Any]]:
    """Return steps as columns: an observation of 8, an action, a reward, an end of episode."""
    rng = np.random.default_rng(first)
    return {
        "observation": rng.normal(size=(rows, 8)).astype(np.float32),
        "action": np.arange(first, first + rows),
        "reward": rng.normal(size=rows).astype(np.float32),
        "done": (np.arange(first, first + rows) + 1) % EPISODE == 0,
    }


def window_starts(rows: int, batches: int, seed: int = 1) -> NDArray[np.int64]:
    """Draw the first rows of the windows of `batches` batches, outside the timed part."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, rows - LENGTH, size=(batches, BATCH))


def numbered(rows: int, first: int = 0) -> dict[str, NDArray[Any]]:
    """Return steps in the form of `columns`, whose values follow from the number of the row."""
    number = np.arange(first, first + rows)
    return {
        "observation": ((number[:, None] * 8 + np.arange(8)) % 8191).astype(np.float32),
        "action": number,
        "reward": (number % 251).astype(np.float32),
        "done": (number + 1) % EPISODE == 0,
    }


def chunks(rows: int, size: int = 100_000) -> Iterator[dict[str, NDArray[Any]]]:
    """Return `rows` numbered steps in pieces of at most `size`."""
    for first in range(0, rows, size):
        yield numbered(min(size, rows - first), first)


def ring_rows(rng: np.random.Generator, oldest: int, held: int, capacity: int) -> NDArray[np.int64]:
    """Draw windows of a ring by hand: places of 256 x 12 rows, none across the oldest row."""
    starts = rng.integers(0, held - LENGTH + 1, BATCH)
    return (oldest + starts[:, None] + np.arange(LENGTH)) % capacity
