"""What a store costs on disk, and how long opening a large one takes.

Prints one JSON object a line, as run.py reads them. Needs half more than the size of the large
store free on disk; --gigabytes 0 leaves that part out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np

from stream_store import StreamStore

FIELDS = {"action": "int64", "observation": "float32[8]", "reward": "float32", "done": "bool"}
ROWS_AT_ONCE = 1_000_000


def bytes_on_disk(directory: Path) -> int:
    """Allocated bytes of all files of a store."""
    return sum(file.stat().st_blocks * 512 for file in directory.iterdir())


def extend(store: StreamStore, rows: int) -> None:
    """Append that many rows of 11 values."""
    store.extend(
        {
            "action": np.arange(rows),
            "observation": np.ones((rows, 8), np.float32),
            "reward": np.ones(rows, np.float32),
            "done": np.zeros(rows, bool),
        }
    )


def bytes_per_value(directory: Path, rows: int = ROWS_AT_ONCE) -> dict[str, object]:
    """Bytes a value takes in a closed store of such steps."""
    path = directory / "per-value"
    with StreamStore(path, fields=FIELDS) as store:
        extend(store, rows)
        values = len(store)
    return {
        "task": "bytes a value on disk",
        "unit": "bytes",
        "ours": bytes_on_disk(path) / values,
        "goal": 11.1,
    }


def open_large(directory: Path, gigabytes: float, runs: int = 20) -> dict[str, object]:
    """Least time to open a large store that was closed cleanly, for reading and for writing."""
    path = directory / "large"
    with StreamStore(path, fields=FIELDS, capacity=100_000_000) as store:
        while store.nbytes < gigabytes * 1e9:
            extend(store, ROWS_AT_ONCE)
        rows = store.num_rows
    times = {"r": float("inf"), "a": float("inf")}
    modes: tuple[Literal["r", "a"], ...] = ("r", "a")
    for mode in modes:
        for _ in range(runs):
            start = time.perf_counter()
            opened = StreamStore(path, mode)
            times[mode] = min(times[mode], time.perf_counter() - start)
            if opened.num_rows != rows:
                raise RuntimeError(f"expected {rows} rows but found {opened.num_rows}")
            opened.close()
    return {
        "task": f"open a store of {gigabytes:g} GB, reading / writing",
        "unit": "ms",
        "ours": max(times.values()) * 1e3,
        "goal": 10,
        "detail": {mode: seconds * 1e3 for mode, seconds in times.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--directory", type=Path, default=None, help="where to put the stores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        directory = Path(name)
        print(json.dumps(bytes_per_value(directory)), flush=True)
        free = shutil.disk_usage(directory).free
        if arguments.gigabytes > 0 and free > 1.5e9 * arguments.gigabytes:
            print(json.dumps(open_large(directory, arguments.gigabytes)), flush=True)


if __name__ == "__main__":
    main()
