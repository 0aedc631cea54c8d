"""Batches of windows beside other replay buffers, on the same data in one run.

    pip install torchrl cpprb torch
    python benchmarks/compare/compare_sampling.py [--steps 20000 2000000]

256 windows of 12 steps, 4 fields, episodes of 200 steps; each library as its documentation has it:

- TorchRL: ReplayBuffer with LazyMemmapStorage, SliceSampler with the end flag, batch of 256 slices;
- cpprb: ReplayBuffer with mmap_prefix has no windows, so 256 x 12 random single steps of it;
- np.memmap: structured rows, windows by one fancy index, no episodes.

A library that is not installed is left out by name. Prints a table; figures are microseconds a
batch, the least of several runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stream_store import StreamStore, WindowSampler

BATCH, LENGTH, EPISODE, CHUNK = 256, 12, 200, 20_000


def least_microseconds(work: Callable[[], Any], calls: int, runs: int = 7) -> float:
    work()  # what a library does once
    least = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        least = min(least, time.perf_counter() - start)
    return least / calls * 1e6


def columns(first: int, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(first)
    numbers = np.arange(first, first + rows)
    return {
        "observation": rng.normal(size=(rows, 8)).astype(np.float32),
        "action": numbers,
        "reward": np.ones(rows, np.float32),
        "done": numbers % EPISODE == EPISODE - 1,
    }


def stream_store(directory: Path, steps: int) -> dict[str, float]:
    fields = {"observation": "float32[8]", "action": "int64", "reward": "float32", "done": "bool"}
    with StreamStore(directory / "store", fields=fields) as store:
        for first in range(0, steps, CHUNK):
            store.extend(columns(first, CHUNK))
        arguments: dict[str, Any] = {"unit": "row", "batch_size": BATCH}
        plain = WindowSampler(store, LENGTH, **arguments)
        segments = WindowSampler(store, LENGTH, segment_by="done", **arguments)
        result = {
            "stream_store": least_microseconds(plain.sample, 40),
            "stream_store, by episodes": least_microseconds(segments.sample, 40),
        }
        one = columns(steps, 1)

        def after_append() -> None:
            store.extend(one)
            segments.sample()

        result["stream_store, by episodes, after an append"] = least_microseconds(after_append, 40)
    return result


def memmap(directory: Path, steps: int) -> dict[str, float]:
    kind = np.dtype([("observation", "f4", 8), ("action", "i8"), ("reward", "f4"), ("done", "?")])
    rows = np.memmap(directory / "rows", kind, "w+", shape=(steps,))
    for first in range(0, steps, CHUNK):
        for name, column in columns(first, CHUNK).items():
            rows[first : first + CHUNK][name] = column
    rng = np.random.default_rng(0)

    def read() -> dict[str, np.ndarray]:
        starts = rng.integers(0, steps - LENGTH, BATCH)
        batch = rows[starts[:, None] + np.arange(LENGTH)]
        return {name: np.ascontiguousarray(batch[name]) for name in kind.names or ()}

    return {"np.memmap by hand": least_microseconds(read, 40)}


def cpprb(directory: Path, steps: int) -> dict[str, float]:
    from cpprb import ReplayBuffer

    shapes = {"observation": {"shape": 8}, "action": {"dtype": np.int64}, "reward": {}, "done": {}}
    buffer = ReplayBuffer(steps, shapes, mmap_prefix=str(directory / "cpprb"))
    for first in range(0, steps, CHUNK):
        buffer.add(**columns(first, CHUNK))
    return {"cpprb, single steps": least_microseconds(lambda: buffer.sample(BATCH * LENGTH), 20)}


def torchrl(directory: Path, steps: int) -> dict[str, float]:
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyMemmapStorage, ReplayBuffer, SliceSampler

    torch.set_num_threads(1)  # on a busy machine its threads would wait for each other
    buffer = ReplayBuffer(
        storage=LazyMemmapStorage(steps + 1000, scratch_dir=str(directory / "torchrl")),
        sampler=SliceSampler(slice_len=LENGTH, end_key="done", traj_key=None, strict_length=True),
        batch_size=BATCH * LENGTH,
    )
    for first in range(0, steps, CHUNK):
        chunk = {name: torch.from_numpy(column) for name, column in columns(first, CHUNK).items()}
        chunk["done"] = chunk["done"][:, None]
        buffer.extend(TensorDict(chunk, batch_size=[CHUNK]))
    one = TensorDict(
        {
            "observation": torch.zeros(1, 8),
            "action": torch.zeros(1, dtype=torch.int64),
            "reward": torch.ones(1),
            "done": torch.zeros(1, 1, dtype=torch.bool),
        },
        batch_size=[1],
    )

    def after_append() -> None:
        buffer.extend(one)
        buffer.sample()

    return {
        "TorchRL SliceSampler": least_microseconds(buffer.sample, 5, 3),
        "TorchRL SliceSampler, after an append": least_microseconds(after_append, 2, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="*", default=[20_000, 2_000_000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table: dict[str, dict[int, float]] = {}
    for steps in arguments.steps:
        for library in (stream_store, memmap, cpprb, torchrl):
            name = library.__name__
            if name in {"cpprb", "torchrl"} and importlib.util.find_spec(name) is None:
                print(f"{name} is not installed, it is left out", file=sys.stderr)
                continue
            with tempfile.TemporaryDirectory(prefix="stream-store-compare-") as directory:
                for task, figure in library(Path(directory), steps).items():
                    table.setdefault(task, {})[steps] = figure
    if arguments.json:
        print(json.dumps(table))
        return
    print(
        "| µs for 256 windows of 12 steps | "
        + " | ".join(f"{s:,} steps" for s in arguments.steps)
        + " |"
    )
    print("|---|" + "---|" * len(arguments.steps))
    for task, figures in table.items():
        print(f"| {task} | " + " | ".join(f"{figures[s]:,.0f}" for s in arguments.steps) + " |")


if __name__ == "__main__":
    main()
