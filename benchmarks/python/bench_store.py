"""Measure calls from Python: append, append_step, extend, store[...], windows, read_rows.

Steps have 4 fields and 11 values. Tasks of the comparison are measured by its code, with np.memmap
by hand as the competitor. This process imports NumPy and stream_store only, because other libraries
change how malloc gets pages. Prints one JSON object per line for run.py. Figures are the least of
several runs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from common import answer, answer_filled, report
from measure import fill
from peers import BATCH, WIDTH, open_peer
from questions import least
from questions.append import OBSERVATION
from sizes import SIZES

RUNS = 9


def bench_appends(directory: Path) -> None:
    by_hand, who = answer("append", "memmap_rows", directory), "np.memmap row by hand"
    ours = answer("append", "stream_store", directory)
    report("Python append of a step", ours, 0.6, by_hand, who)
    report("Python append_step", append_step(directory), 0.9, by_hand, who)
    report("Python extend, per row", answer("extend", "stream_store", directory), 0.1)


def append_step(directory: Path, calls: int = 50_000) -> float:
    store = open_peer("stream_store", directory, calls).store

    def work() -> None:
        for t in range(calls):
            store.append_step(
                {"observation": OBSERVATION, "action": t, "reward": 1.5, "done": False}
            )

    took = least(work, RUNS, calls)
    store.close()
    return took


def bench_reads(peer: Any, steps: int, by_hand: float) -> None:
    store = peer.store
    rng = np.random.default_rng(1)
    starts = rng.integers(0, len(store) - WIDTH, (256, BATCH))
    single = [int(start) for start in starts[:16].reshape(-1)]
    rows = rng.integers(0, steps, (64, BATCH))

    def index() -> None:
        for i in single:
            store[np.arange(i, i + WIDTH)]

    def windows(batches: Any) -> None:
        for some in batches:
            store.windows(some, WIDTH)

    def windows_by_two() -> None:
        halves = [Thread(target=windows, args=(starts[i::2],)) for i in range(2)]
        for thread in halves:
            thread.start()
        for thread in halves:
            thread.join()

    def read_rows() -> None:
        for some in rows:
            store.read_rows(some)

    where = f"{steps:,} steps"
    report(f"store[np.arange(i, i+128)], {where}", least(index, RUNS, len(single)), 1.5)
    ours = least(lambda: windows(starts), RUNS, len(starts))
    report(f"windows(256 starts, 128), {where}", ours, 100, by_hand, "np.memmap rows by hand")
    two = least(windows_by_two, RUNS, len(starts))
    report(f"windows(256 starts, 128) by two threads, {where}", two, ours / 1.7, ours, "one thread")
    report(f"read_rows(256 rows), {where}", least(read_rows, RUNS, len(rows)))


def main(sizes: Sequence[int] = SIZES) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=sizes, help="sizes of the stores")
    parser.add_argument("--directory", type=Path, default=None, help="where to put them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        directory = Path(name)
        bench_appends(directory)
        for steps in arguments.steps:
            rows = fill("memmap_rows", steps, directory / f"rows-{steps}")
            by_hand = answer_filled("row_windows", "memmap_rows", rows, steps)
            rows.close()
            peer = fill("stream_store", steps, directory / f"store-{steps}")
            bench_reads(peer, steps, by_hand)
            peer.close()


if __name__ == "__main__":
    main()
