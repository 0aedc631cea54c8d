"""What a call from Python costs: append, append_step, extend, store[...], windows, read_rows.

Steps of 4 fields and 11 values, as DESIGN's table has them; np.memmap by hand does the same beside
it. This process imports NumPy and stream_store only, because other libraries change how malloc gets
pages. Prints one JSON object a line, as run.py reads them; figures are the least of several runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from sizes import SIZES

from stream_store import StreamStore

FIELDS = {"observation": "float64[8]", "action": "int64", "reward": "float64", "done": "bool"}
ROW = np.dtype(
    [("step", "i8"), ("observation", "f8", (8,)), ("action", "i8"), ("reward", "f8"), ("done", "?")]
)
WIDTH = 128
VALUES = 11  # of a step
BATCH = 256
CHUNK = 20_000


def microseconds(work: Callable[[int], None], calls: int, runs: int = 9) -> float:
    """Least time of one call; `work` makes that many."""
    least = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        work(calls)
        least = min(least, time.perf_counter() - start)
    return least / calls * 1e6


def report(
    task: str, ours: float, goal: float | None = None, theirs: float | None = None, who: str = ""
) -> None:
    row: dict[str, object] = {"task": task, "unit": "µs", "ours": ours, "goal": goal}
    if theirs is not None:
        row |= {"theirs": theirs, "competitor": who}
    print(json.dumps(row), flush=True)


def append_loop(store: StreamStore) -> Callable[[int], None]:
    def work(calls: int) -> None:
        first = store.num_rows
        for t in range(first, first + calls):
            store.append(
                [t, t, t, t],
                ["observation", "action", "reward", "done"],
                [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], t, 1.5, False],
            )

    return work


def append_step_loop(store: StreamStore) -> Callable[[int], None]:
    def work(calls: int) -> None:
        for t in range(calls):
            store.append_step(
                {
                    "observation": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
                    "action": t,
                    "reward": 1.5,
                    "done": False,
                }
            )

    return work


def memmap_loop(rows: np.memmap) -> Callable[[int], None]:
    def work(calls: int) -> None:
        for t in range(calls):
            rows[t] = (t, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], t, 1.5, False)

    return work


def columns(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "observation": rng.normal(size=(rows, 8)),
        "action": np.arange(rows),
        "reward": rng.normal(size=rows),
        "done": np.zeros(rows, bool),
    }


def bench_appends(directory: Path) -> None:
    calls = 50_000
    rows = np.memmap(directory / "rows", ROW, "w+", shape=(calls,))
    rows[:] = np.zeros((), ROW)  # pages are there: only the assignment counts
    by_hand = microseconds(memmap_loop(rows), calls)
    with StreamStore(directory / "append", fields=FIELDS) as store:
        ours = microseconds(append_loop(store), calls)
        report("Python append of a step", ours, 0.6, by_hand, "np.memmap row by hand")
    with StreamStore(directory / "step", fields=FIELDS) as store:
        ours = microseconds(append_step_loop(store), calls)
        report("Python append_step", ours, 0.9, by_hand, "np.memmap row by hand")
    chunk = columns(100_000)
    with StreamStore(directory / "extend", fields=FIELDS) as store:
        each = microseconds(lambda calls: [store.extend(chunk) for _ in range(calls)], 1) / 100_000  # type: ignore[arg-type,return-value]
        report("Python extend, a row", each, 0.1)


def memmap_windows(directory: Path, steps: int) -> float:
    """The same windows from structured rows by hand: 12 rows each, one fancy index."""
    rows = np.memmap(directory / f"rows-{steps}", ROW, "w+", shape=(steps,))
    for begin in range(0, steps, CHUNK):
        rows[begin : begin + CHUNK] = np.ones((), ROW)
    rng = np.random.default_rng(1)
    length = WIDTH // VALUES + 1
    starts = [rng.integers(0, steps - length, BATCH) for _ in range(256)]
    places = np.arange(length)

    def windows(calls: int) -> None:
        for some in starts[:calls]:
            rows[some[:, None] + places]

    return microseconds(windows, len(starts))


def bench_reads(store: StreamStore, steps: int, by_hand: float) -> None:
    rng = np.random.default_rng(1)
    size = len(store)
    starts = [rng.integers(0, size - WIDTH, BATCH) for _ in range(256)]
    single: list[int] = [int(start) for some in starts[:16] for start in some]
    rows = [rng.integers(0, steps, BATCH) for _ in range(64)]

    def index(calls: int) -> None:
        for i in single[:calls]:
            store[np.arange(i, i + WIDTH)]

    def windows_of(batches: list[np.ndarray]) -> None:
        for some in batches:
            store.windows(some, WIDTH)

    def windows(calls: int) -> None:
        windows_of(starts[:calls])

    def read_rows(calls: int) -> None:
        for some in rows[:calls]:
            store.read_rows(some)

    def windows_by_two(calls: int) -> None:
        halves = [Thread(target=windows_of, args=(starts[i:calls:2],)) for i in range(2)]
        for thread in halves:
            thread.start()
        for thread in halves:
            thread.join()

    where = f"{steps:,} steps"
    report(f"store[np.arange(i, i+128)], {where}", microseconds(index, len(single)), 1.5)
    ours = microseconds(windows, len(starts))
    report(f"windows(256 starts, 128), {where}", ours, 100, by_hand, "np.memmap rows by hand")
    two = microseconds(windows_by_two, len(starts))
    report(f"the same by two threads, {where}", two, ours / 1.7, ours, "one thread")
    report(f"read_rows(256 rows), {where}", microseconds(read_rows, len(rows)))


def filled(directory: Path, steps: int) -> StreamStore:
    chunk = columns(CHUNK)
    store = StreamStore(directory / f"filled-{steps}", fields=FIELDS)
    for _ in range(steps // CHUNK):
        store.extend(chunk)
    return store


def main(sizes: Sequence[int] = SIZES) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=sizes, help="sizes of the stores")
    parser.add_argument("--directory", type=Path, default=None, help="where to put them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        bench_appends(Path(name))
        for steps in arguments.steps:
            by_hand = memmap_windows(Path(name), steps)
            with filled(Path(name), steps) as store:
                bench_reads(store, steps, by_hand)


if __name__ == "__main__":
    main()
