"""Measure batches from groups of stores: 64 and 1,000 stores, against one store with as many rows.

Prints one JSON object per line for run.py. Both sides of a ratio are measured in turn, and a figure
is the least of several runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import report
from questions import repeated

from stream_store import StoreGroup, StreamStore, WindowSampler

FIELDS = {"obs": "float32[3]", "action": "int64", "reward": "float32", "done": "bool"}
ROWS = 2_000_000
BATCH, LENGTH, EPISODE = 256, 16, 200
BATCHES, RUNS = 40, 25
AT_ONCE = 50_000


def fill(store: StreamStore, rows: int) -> None:
    for first in range(0, rows, AT_ONCE):
        numbers = np.arange(first, min(first + AT_ONCE, rows))
        store.extend(
            {
                "obs": np.ones((len(numbers), 3), np.float32),
                "action": numbers,
                "reward": np.ones(len(numbers), np.float32),
                "done": numbers % EPISODE == EPISODE - 1,
            }
        )
    store.close()


def least_of_both(samplers: list[WindowSampler]) -> list[float]:
    """Microseconds per batch of each sampler, measured in turn."""
    best = [float("inf")] * len(samplers)
    calls = [repeated(sampler.sample, BATCHES) for sampler in samplers]
    for _ in range(RUNS):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], (time.perf_counter() - start) * 1e6 / BATCHES)
    return best


def bench_group(directory: Path, one: StreamStore, stores: int, goal: float | None) -> None:
    group = StoreGroup(directory / f"group-{stores}", fields=FIELDS)
    for _ in range(stores):
        fill(group.writer(chunk_bytes=1 << 20, capacity=1000), ROWS // stores)
    start = time.perf_counter()
    group = StoreGroup(group.path)
    report(f"open a group of {stores:,} stores", (time.perf_counter() - start) * 1e3, unit="ms")
    kinds: dict[str, dict[str, Any]] = {
        f"windows of {LENGTH}": {"length": LENGTH, "unit": "row"},
        f"windows of {LENGTH} inside episodes": {
            "length": LENGTH,
            "unit": "row",
            "segment_by": "done",
        },
        "transitions (offsets)": {
            "segment_by": "done",
            "offsets": {"obs": [0, 1], "action": [0], "reward": [0]},
        },
    }
    for name, arguments in kinds.items():
        samplers = [WindowSampler(given, batch_size=BATCH, **arguments) for given in (group, one)]
        ours, theirs = least_of_both(samplers)
        most = None if goal is None else goal * theirs
        task = f"{BATCH} {name}, {stores:,} stores with {ROWS:,} rows"
        report(task, ours, most, theirs, "one store")
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    maps = len(Path("/proc/self/maps").read_text(encoding="ascii").splitlines())
    print(f"# {stores} stores: {descriptors} descriptors, {maps} mappings", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=None, help="where to put the stores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        directory = Path(name)
        fill(StreamStore(directory / "one", fields=FIELDS), ROWS)
        with StreamStore(directory / "one", "r") as one:
            bench_group(directory, one, 64, 1.3)
            bench_group(directory, one, 1000, None)


if __name__ == "__main__":
    main()
