"""The stores that are compared: each used as its documentation recommends.

A peer is a module with a class `Peer`; NAMES lists them. Peers are imported one at a time, each in
a process of its own, so that what one imports does not change what another measures. What a peer
cannot do it does not define, and CANNOT has the reason for the report, by question; where it has
none, the report says that the store was not asked.

Steps have 4 fields and 11 values; a window is 12 rows of them, the rows that 128 values touch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 12  # rows a window
WIDTH = 128  # values a flat window, for the stores that have them
BATCH = 256  # windows a batch

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
    """An empty store of that kind with room for `capacity` steps."""
    return peer_module(name).Peer(directory, capacity)


def columns(rows: int, first: int = 0) -> dict[str, NDArray[Any]]:
    """Steps as columns: an observation of 8, an action, a reward and the end of an episode."""
    rng = np.random.default_rng(first)
    return {
        "observation": rng.normal(size=(rows, 8)).astype(np.float32),
        "action": np.arange(first, first + rows),
        "reward": rng.normal(size=rows).astype(np.float32),
        "done": (np.arange(first, first + rows) + 1) % 200 == 0,
    }


def window_starts(rows: int, batches: int, seed: int = 1) -> NDArray[np.int64]:
    """First rows of the windows of so many batches, drawn before the clock starts."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, rows - LENGTH, size=(batches, BATCH))
