"""What batches for learning cost: read_rows, WindowSampler, segments, frames, a DataLoader.

256 row windows of 12 steps, 4 fields and 11 values a step, beside an np.memmap loader written by
hand, which reads the same rows of fixed shape from structured records. Prints one JSON object a
line, as run.py reads them; figures are the least of several runs. benchmarks/compare/ has other
libraries.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from sizes import SIZES

from stream_store import StreamStore, WindowSampler

FIELDS = {"observation": "float32[8]", "action": "int64", "reward": "float32", "done": "bool"}
ROW = np.dtype(
    [("observation", "f4", (8,)), ("action", "i8"), ("reward", "f4"), ("done", "?")], align=True
)
BATCH, LENGTH, EPISODE, CHUNK = 256, 12, 200, 20_000
FRAMES, FRAME = 64, (84, 84)
RUNS = 25


def microseconds(work: Callable[[int], Any], calls: int = 40, runs: int = RUNS) -> float:
    """Least time of one call; every call gets a number of its own."""
    least = float("inf")
    for run in range(runs):
        start = time.perf_counter()
        for call in range(run * calls, (run + 1) * calls):
            work(call)
        least = min(least, time.perf_counter() - start)
    return least / calls * 1e6


def report(
    task: str,
    ours: float,
    goal: float | None = None,
    theirs: float | None = None,
    who: str = "",
    unit: str = "µs",
) -> None:
    row: dict[str, object] = {"task": task, "unit": unit, "ours": ours, "goal": goal}
    if theirs is not None:
        row |= {"theirs": theirs, "competitor": who}
    print(json.dumps(row), flush=True)


def columns(first: int, rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(first)
    return {
        "observation": rng.normal(size=(rows, 8)).astype(np.float32),
        "action": np.arange(first, first + rows),
        "reward": np.ones(rows, np.float32),
        "done": np.arange(first, first + rows) % EPISODE == EPISODE - 1,
    }


class MemmapLoader:
    """Windows of structured rows by hand: one fancy index, then a copy per field."""

    def __init__(self, path: Path, steps: int) -> None:
        self.rows = np.memmap(path, ROW, "w+", shape=(steps,))
        for first in range(0, steps, CHUNK):
            chunk = columns(first, CHUNK)
            for name, column in chunk.items():
                self.rows[first : first + CHUNK][name] = column

    def read(self, starts: np.ndarray) -> dict[str, np.ndarray]:
        rows = self.rows[starts[:, None] + np.arange(LENGTH)]
        return {name: np.ascontiguousarray(rows[name]) for name in ROW.names or ()}


def bench_size(directory: Path, steps: int) -> None:
    loader = MemmapLoader(directory / f"rows-{steps}", steps)
    with StreamStore(directory / f"store-{steps}", fields=FIELDS) as store:
        for first in range(0, steps, CHUNK):
            store.extend(columns(first, CHUNK))
        rng = np.random.default_rng(1)
        starts = [rng.integers(0, steps - LENGTH, BATCH) for _ in range(40 * RUNS)]
        by_hand = microseconds(lambda call: loader.read(starts[call]))
        where = f"256 row windows of 12, {steps:,} steps"
        who = "np.memmap by hand"
        plain = microseconds(lambda call: store.read_rows(starts[call], LENGTH))
        report(f"read_rows, {where}", plain, 60, by_hand, who)
        arguments: dict[str, Any] = {"unit": "row", "batch_size": BATCH}
        sampler = WindowSampler(store, LENGTH, **arguments)
        report(
            f"sample(), {where}", microseconds(lambda _: sampler.sample()), 70, plain, "read_rows"
        )
        segments = WindowSampler(store, LENGTH, segment_by="done", **arguments)
        started = time.perf_counter()
        segments.sample()
        first_look = (time.perf_counter() - started) * 1e3
        report(f"first look at the segments of {steps:,} steps", first_look, unit="ms")
        ours = microseconds(lambda _: segments.sample())
        report(f"the same with segment_by, {where}", ours, 78, plain, "read_rows")
        epochs = WindowSampler(store, LENGTH, segment_by="done", replacement=False, **arguments)
        report(f"the same in an epoch, {where}", epoch_microseconds(epochs), 78, plain, "read_rows")
        one = columns(steps, 1)

        def after_append(_: int) -> None:
            store.extend(one)
            segments.sample()

        appended = microseconds(lambda _: store.extend(one))
        ours = microseconds(after_append) - appended
        report(f"the same right after an append, {where}", ours, 78, plain, "read_rows")


def epoch_microseconds(sampler: WindowSampler) -> float:
    least = float("inf")
    for _ in range(5):
        batches = iter(sampler)
        taken = 0
        start = time.perf_counter()
        for _ in batches:
            taken += 1
            if taken == 40:
                break
        least = min(least, (time.perf_counter() - start) / taken)
    return least * 1e6


def bench_mixed() -> None:
    """30 % of the fields missing, and a list of up to 10 floats."""
    steps = 200_000
    rng = np.random.default_rng(0)
    with StreamStore(fields=FIELDS | {"ragged": "float32[]"}) as store:
        for first in range(0, steps, CHUNK):
            chunk: dict[str, Any] = columns(first, CHUNK)
            done = chunk.pop("done")
            chunk["ragged"] = [np.ones(size, np.float32) for size in rng.integers(0, 11, CHUNK)]
            for name, column in chunk.items():
                gone = rng.random(CHUNK) < 0.3
                chunk[name] = [
                    None if out else item for item, out in zip(column, gone, strict=True)
                ]
            store.extend(
                {
                    **{name: chunk[name] for name in list(FIELDS)[:3]},
                    "done": done,
                    "ragged": chunk["ragged"],
                }
            )
        sampler = WindowSampler(store, LENGTH, unit="row", batch_size=BATCH, segment_by="done")
        ours = microseconds(lambda _: sampler.sample())
    report("256 row windows of 12, 30 % missing, one ragged field", ours, 120)


def bench_frames() -> None:
    """64 windows of 4 packed frames, beside a copy of as many bytes from a frame array."""
    rows = 20_000
    with StreamStore(fields={"frame": "packed uint8[84,84]"}) as store:
        chunk = np.random.default_rng(0).integers(0, 255, (1000, *FRAME), np.uint8)
        for _ in range(0, rows, 1000):
            store.extend({"frame": chunk})
        frames = np.empty((rows, *FRAME), np.uint8)
        frames[:] = chunk[0]
        out = np.empty((FRAMES, 4, *FRAME), np.uint8)
        rng = np.random.default_rng(1)
        starts = [rng.integers(0, rows - 4, FRAMES) for _ in range(40 * RUNS)]

        def copy(call: int) -> None:
            for place, start in zip(out, starts[call], strict=True):
                place[:] = frames[start : start + 4]

        theirs = microseconds(copy)
        sampler = WindowSampler(store, 4, unit="row", batch_size=FRAMES)
        ours = microseconds(lambda _: sampler.sample())
    report("64 windows of 4 packed 84x84 frames", ours, 2 * theirs, theirs, "plain copy")


def bench_memory(steps: int = 2_000_000) -> None:
    """Bytes a segment that a sampler's knowledge takes."""
    with StreamStore(fields={"done": "bool"}) as store:
        store.extend({"done": np.arange(steps) % 2 == 1})
        before = resident()
        samplers = [WindowSampler(store, 2, unit="row", segment_by="done") for _ in range(20)]
        segments = sum(sampler.num_starts for sampler in samplers) / len(samplers)
        grown = resident() - before
    report("20 samplers, bytes a segment", grown / segments, 20, unit="bytes")


def resident() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


LOADER = """
import json, sys, time
import numpy as np, torch
from torch.utils.data import DataLoader
from stream_store import StreamStore
from stream_store.torch import WindowDataset

if __name__ == "__main__":
    store = StreamStore(sys.argv[1], "r")
    dataset = WindowDataset(store, 12, unit="row")
    starts = [np.random.randint(0, len(dataset), 256) for _ in range(200)]
    for some in starts[:20]:
        store.read_rows(some, 12)
    plain = loader = 1e9
    for _ in range(5):
        begin = time.perf_counter()
        for some in starts:
            store.read_rows(some, 12)
        plain = min(plain, time.perf_counter() - begin)
        batches = iter(DataLoader(dataset, batch_sampler=[some.tolist() for some in starts]))
        begin = time.perf_counter()
        for _ in batches:
            pass
        loader = min(loader, time.perf_counter() - begin)
    spawned = DataLoader(dataset, 256, num_workers=1, multiprocessing_context="spawn")
    begin = time.perf_counter()
    next(iter(spawned))
    first = time.perf_counter() - begin
    print(json.dumps([plain / 200 * 1e6, loader / 200 * 1e6, first]))
"""


def bench_torch(path: Path) -> None:
    """A DataLoader without workers, and the first batch of a spawned one."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(LOADER)
        script.flush()
        done = subprocess.run(
            [sys.executable, script.name, path], check=False, text=True, stdout=subprocess.PIPE
        )
    if done.returncode != 0:
        return  # no PyTorch here
    plain, loader, first = json.loads(done.stdout)
    report("DataLoader, 0 workers, batch of 256", loader, 1.5 * plain, plain, "read_rows")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch.utils.data"], check=True)
    importing = time.perf_counter() - start
    report(
        "first batch of a spawned worker", first, importing + 0.3, importing, "importing torch", "s"
    )


def main(sizes: Sequence[int] = SIZES) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=sizes, help="sizes of the stores")
    parser.add_argument("--directory", type=Path, default=None, help="where to put them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        for steps in arguments.steps:
            bench_size(Path(name), steps)
        bench_mixed()
        bench_frames()
        bench_memory()
        if arguments.steps:
            bench_torch(Path(name) / f"store-{arguments.steps[-1]}")


if __name__ == "__main__":
    main()
