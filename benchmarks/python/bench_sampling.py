"""Measure batches for learning: read_rows, WindowSampler, segments, frames, a DataLoader.

A batch has 256 row windows of 12 steps, with 4 fields and 11 values per step. Tasks of the
comparison are measured by its code, with np.memmap by hand as the competitor. This program adds
samplers without segments and in epochs, their memory, missing values, and the start of workers.
Prints one JSON object per line for run.py. Figures are the least of several runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import anonymous_bytes, answer_filled, report
from measure import fill
from peers import BATCH, LENGTH, columns, open_peer
from peers.stream_store import FIELDS
from questions import frames, least, repeated
from sizes import SIZES

from stream_store import StreamStore, WindowSampler

CHUNK = 20_000
BATCHES, RUNS = 40, 25


def batches_of(sampler: WindowSampler) -> float:
    """Measure the microseconds per batch."""
    return least(repeated(sampler.sample, BATCHES), RUNS, BATCHES)


def bench_size(directory: Path, steps: int) -> None:
    rows = fill("memmap_rows", steps, directory / f"rows-{steps}")
    by_hand = answer_filled("row_windows", "memmap_rows", rows, steps)
    rows.close()
    peer = fill("stream_store", steps, directory / f"store-{steps}")
    store = peer.store
    where = f"256 row windows of 12, {steps:,} steps"
    plain = answer_filled("row_windows", "stream_store", peer, steps)
    report(f"read_rows, {where}", plain, 60, by_hand, "np.memmap by hand")
    arguments: dict[str, Any] = {"unit": "row", "batch_size": BATCH}
    sampler = WindowSampler(store, LENGTH, **arguments)
    report(f"sample(), {where}", batches_of(sampler), 70, plain, "read_rows")
    started = time.perf_counter()
    peer.sample_episodes()
    first_look = (time.perf_counter() - started) * 1e3
    report(f"first index of the segments of {steps:,} steps", first_look, unit="ms")
    segments = answer_filled("episode_windows", "stream_store", peer, steps)
    report(f"sample() with segment_by, {where}", segments, 78, plain, "read_rows")
    epochs = WindowSampler(store, LENGTH, segment_by="done", replacement=False, **arguments)
    report(f"sample() in an epoch, {where}", epoch_microseconds(epochs), 78, plain, "read_rows")
    one = columns(1, steps)
    appended = least(repeated(lambda: store.extend(one), BATCHES), RUNS, BATCHES)
    growing = answer_filled("episode_windows_growing", "stream_store", peer, steps)
    report(
        f"sample() with segment_by right after an append, {where}",
        growing - appended,
        78,
        plain,
        "read_rows",
    )
    peer.close()


def epoch_microseconds(sampler: WindowSampler) -> float:
    best = float("inf")
    for _ in range(5):
        batches = iter(sampler)
        taken = 0
        start = time.perf_counter()
        for _ in batches:
            taken += 1
            if taken == BATCHES:
                break
        best = min(best, (time.perf_counter() - start) / taken)
    return best * 1e6


def bench_mixed() -> None:
    """Measure rows with 30 % of their fields missing and a list of up to 10 floats."""
    steps = 200_000
    rng = np.random.default_rng(0)
    with StreamStore(fields=FIELDS | {"ragged": "float32[]"}) as store:
        for first in range(0, steps, CHUNK):
            chunk: dict[str, Any] = columns(CHUNK, first)
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
        ours = batches_of(sampler)
    report("256 row windows of 12, 30 % missing, one ragged field", ours, 120)


def bench_frames(directory: Path) -> None:
    """Measure 64 windows of 4 packed frames against copying as many bytes from memory."""
    ours = frames.ask("stream_store", directory)["figure"]
    stored = np.concatenate(frames.chunks())
    out = np.empty((frames.WINDOWS, frames.LENGTH, *frames.SHAPE), np.uint8)
    theirs = frames.time_windows(lambda starts: frames.copy_windows(stored, starts, out))
    report("64 windows of 4 packed 84x84 frames", ours, 2 * theirs, theirs, "plain copy")


def bench_offsets() -> None:
    """Measure 2 images and 16 actions per sample.

    The competitors are two samplers that read the same rows, one of images and one of actions, and
    one sampler of windows of all 17 rows.
    """
    with StreamStore(fields={"image": "packed uint8[84,84]", "action": "float32[7]"}) as store:
        image = np.zeros((1000, 84, 84), np.uint8)
        action = np.zeros((1000, 7), np.float32)
        for _ in range(20):
            store.extend({"image": image, "action": action})
        arguments: dict[str, Any] = {"unit": "row", "batch_size": 64}
        offsets = {"image": [-1, 0], "action": range(16)}
        ours = batches_of(WindowSampler(store, offsets=offsets, **arguments))
        images = batches_of(WindowSampler(store, 2, fields=["image"], **arguments))
        actions = batches_of(WindowSampler(store, 16, fields=["action"], **arguments))
        whole = batches_of(WindowSampler(store, 17, **arguments))
    task = "64 samples of 2 images and 16 actions by offsets"
    both = images + actions
    report(task, ours, 1.3 * both, both, "a sampler of images and one of actions")
    report(task, ours, None, whole, "windows of all 17 rows")


def bench_lanes(steps: int = 2_000_000, agents: int = 16) -> None:
    """Measure windows of agents that act in turn, and the memory of their index."""
    fields = {**FIELDS, "agent": "int64"}
    with StreamStore(fields=fields) as store:
        for first in range(0, steps, CHUNK):
            rows = np.arange(first, first + CHUNK)
            store.extend({**columns(CHUNK, first), "agent": rows % agents})
        arguments: dict[str, Any] = {"unit": "row", "batch_size": BATCH}
        regular = batches_of(WindowSampler(store, LENGTH, lanes=agents, **arguments))
        before = anonymous_bytes()
        sampler = WindowSampler(store, LENGTH, lane_by="agent", **arguments)
        by_key = batches_of(sampler)
        grown = anonymous_bytes() - before
        where = f"{agents} agents, {steps:,} steps"
        report(f"sample() with lane_by, {where}", by_key, 1.3 * regular, regular, "lanes=16")
        offsets = {"observation": [-1, 0], "action": range(LENGTH)}
        sampler = WindowSampler(store, lane_by="agent", offsets=offsets, **arguments)
        report(f"sample() with lane_by and offsets, {where}", batches_of(sampler))
    report("index of lanes by key, bytes a row", grown / steps, 16, unit="bytes")


def bench_memory(steps: int = 2_000_000) -> None:
    """Bytes a segment that a sampler's knowledge takes."""
    with StreamStore(fields={"done": "bool"}) as store:
        store.extend({"done": np.arange(steps) % 2 == 1})
        before = anonymous_bytes()
        samplers = [WindowSampler(store, 2, unit="row", segment_by="done") for _ in range(20)]
        segments = sum(sampler.num_starts for sampler in samplers) / len(samplers)
        grown = anonymous_bytes() - before
    report("20 samplers, bytes a segment", grown / segments, 20, unit="bytes")


def measure_loader(directory: Path) -> None:
    """In a process with PyTorch: read_rows, batches of loaders, the first of a spawned worker.

    The other loader reads the same windows with read_rows and turns its arrays into tensors, which
    is the least that any dataset has to do.
    """
    from torch.utils.data import DataLoader  # noqa: PLC0415

    from stream_store.torch import WindowDataset  # noqa: PLC0415
    from stream_store.torch.batches import to_tensors  # noqa: PLC0415

    peer = open_peer("stream_store", directory, 0)
    peer.close()
    steps = peer.reopen()
    plain = answer_filled("row_windows", "stream_store", peer, steps)
    dataset = WindowDataset(peer.store, LENGTH, unit="row")

    class Rows(list[int]):
        def __getitems__(self, rows: list[int]) -> Any:
            return to_tensors(peer.store.read_rows(np.asarray(rows), LENGTH))

    places = np.random.default_rng(0).integers(0, len(dataset), (100, BATCH)).tolist()
    loaders = [
        DataLoader(dataset, batch_sampler=places),
        DataLoader(Rows([0]), batch_sampler=places, collate_fn=lambda batch: batch),
    ]
    figures = [least(partial(deque, one, maxlen=0), RUNS, len(places)) for one in loaders]
    spawned = DataLoader(dataset, BATCH, num_workers=1, multiprocessing_context="spawn")
    start = time.perf_counter()
    next(iter(spawned))
    print(json.dumps([plain, *figures, time.perf_counter() - start]))


def bench_torch(directory: Path) -> None:
    """Measure a DataLoader without workers, and the first batch of a spawned worker."""
    if importlib.util.find_spec("torch") is None:
        return
    command = [sys.executable, __file__, "--loader-of", str(directory)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    plain, loader, least_work, first = json.loads(done.stdout)
    task = "DataLoader, 0 workers, batch of 256"
    report(task, loader, 1.5 * plain, plain, "read_rows")
    report(task, loader, None, least_work, "read_rows and tensors in a DataLoader")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch.utils.data"], check=True)
    importing = time.perf_counter() - start
    who = "importing torch"
    report("first batch of a spawned worker", first, importing + 0.3, importing, who, "s")


def main(sizes: Sequence[int] = SIZES) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=sizes, help="sizes of the stores")
    parser.add_argument("--directory", type=Path, default=None, help="where to put them")
    parser.add_argument("--loader-of", type=Path, help="measure loaders of one store and print it")
    arguments = parser.parse_args()
    if arguments.loader_of:
        measure_loader(arguments.loader_of)
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        directory = Path(name)
        for steps in arguments.steps:
            bench_size(directory, steps)
        bench_mixed()
        bench_frames(directory)
        bench_offsets()
        bench_lanes()
        bench_memory()
        if arguments.steps:
            bench_torch(directory / f"store-{arguments.steps[-1]}")


if __name__ == "__main__":
    main()
