"""Measure a bounded store that is full and drops rows, against a store without a limit.

Prints one JSON object per line for run.py. Both sides of a ratio are measured in turn. Appends are
timed one by one; the figure is the median over blocks of the block's 99.9th percentile, since the
rare drops should count. Batches of both samplers come from the last 200,000 rows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from common import report
from peers import BATCH, LENGTH, chunks, numbered
from peers.stream_store import FIELDS, NAMES
from questions.append import OBSERVATION

from stream_store import StreamStore, WindowSampler

ROWS, CHUNK_BYTES = 200_000, 1 << 20
BLOCKS, APPENDS = 12, 30_000  # a block fills several chunks
ROUNDS, CALLS, ADDED = 25, 20, 64


def open_both(directory: Path) -> tuple[StreamStore, StreamStore]:
    """Return a bounded store and one without a limit, with twice the rows of the bound."""
    stores = tuple(
        StreamStore(directory / name, fields=FIELDS, chunk_bytes=CHUNK_BYTES, retain_rows=rows)
        for name, rows in (("bounded", ROWS), ("unbounded", None))
    )
    for store in stores:
        for chunk in chunks(2 * ROWS, 50_000):
            store.extend(chunk)
    return stores[0], stores[1]


def append_quantile(store: StreamStore) -> float:
    """Return the 99.9th percentile of single appends in microseconds."""
    took = np.empty(APPENDS)
    first = store.num_rows
    for i in range(APPENDS):
        t = first + i
        start = time.perf_counter()
        store.append([t, t, t, t], NAMES, [OBSERVATION, t, 1.5, False])
        took[i] = time.perf_counter() - start
    return float(np.quantile(took, 0.999) * 1e6)


def bench_appends(directory: Path) -> None:
    stores = open_both(directory)
    taken = [[append_quantile(store) for store in stores] for _ in range(BLOCKS)]
    ours, theirs = np.median(taken, axis=0)
    task = "Python append in a bounded store, p99.9"
    report(task, ours, 2 * theirs, theirs, "without a limit")
    for store in stores:
        store.close()


def bench_sampling(directory: Path) -> None:
    stores = open_both(directory)
    samplers = [
        WindowSampler(store, LENGTH, unit="row", batch_size=BATCH, rows=rows)
        for store, rows in zip(stores, (None, (-ROWS, None)), strict=True)
    ]
    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        for i, (store, sampler) in enumerate(zip(stores, samplers, strict=True)):
            took = 0.0
            for _ in range(CALLS):
                store.extend(numbered(ADDED, store.num_rows))
                start = time.perf_counter()
                sampler.sample()
                took += time.perf_counter() - start
            best[i] = min(best[i], took / CALLS * 1e6)
    task = "256 row windows of 12 at the edge of a bounded store of 200,000 rows"
    report(task, best[0], 1.05 * best[1], best[1], "without a limit, the last 200,000 rows")
    for store in stores:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, default=None, help="where to put the stores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        for bench in (bench_appends, bench_sampling):
            place = Path(name) / bench.__name__
            place.mkdir()
            bench(place)


if __name__ == "__main__":
    main()
