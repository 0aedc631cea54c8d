"""The compared stores (peers), each used as its documentation recommends.

A peer is a module with a class `Peer`; NAMES lists them. Each peer is imported in its own process,
so that the imports of one do not affect the figures of another. A peer does not define the methods
that it cannot support. Its CANNOT gives the reason by question for the report; without a reason,
the report states that the store was not measured.

Steps have 4 fields and 11 values. A window has 12 rows, which is how many rows 128 values touch.
"""

from __future__ import annotations

import importlib
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
}


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
