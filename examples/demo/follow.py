"""The learner: a separate process that opens a store by its path, follows it and samples it.

    python examples/demo/follow.py STORE

record_and_sample.py starts it and passes it the path only. It prints a JSON line about every 50 ms,
and a last one when its standard input ends. It checks the samples: steps never decrease within a
window, the rows of a row window are consecutive, and the store never becomes shorter.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np

from stream_store import StreamStore

WINDOWS = 256  # per batch
WIDTH = 128  # values per window
ROWS = 16  # rows per row window
LEARNING_SECONDS = 0.002  # stands for the time of a training step between two batches
REPORT_SECONDS = 0.05


class Follower:
    def __init__(self, path: str) -> None:
        self.store = StreamStore(path, mode="r", wait=60.0)
        self.rng = np.random.default_rng(0)
        self.values = 0
        self.rows = 0
        self.windows = 0
        self.row_windows = 0
        self.microseconds: list[float] = []  # per window, since the last report

    def sample(self) -> bool:
        """Sample a batch of windows and one of row windows. False if the store is too short."""
        values, rows = len(self.store), self.store.complete_rows
        if values < self.values or rows < self.rows:
            raise AssertionError(f"the store got shorter: {self.values} -> {values} values")
        self.values, self.rows = values, rows
        if values < WIDTH or rows < ROWS:
            return False
        starts = self.rng.integers(0, values - WIDTH + 1, WINDOWS)
        begin = time.perf_counter()
        batch = self.store.windows(starts, WIDTH)
        self.microseconds.append((time.perf_counter() - begin) / WINDOWS * 1e6)
        if (np.diff(batch["step"], axis=1) < 0).any():
            raise AssertionError("a step decreases within a window")
        first = self.rng.integers(0, rows - ROWS + 1, 32)
        steps = self.store.read_rows(first, ROWS)["_step"]
        if (steps != first[:, None] + np.arange(ROWS)).any():
            raise AssertionError("rows of a row window are not consecutive")
        self.windows += WINDOWS
        self.row_windows += len(first)
        return True

    def report(self) -> None:
        line = {
            "values": self.values,
            "rows": self.rows,
            "windows": self.windows,
            "row_windows": self.row_windows,
            "microseconds": float(np.median(self.microseconds)) if self.microseconds else None,
        }
        self.microseconds.clear()
        print(json.dumps(line), flush=True)


def main() -> None:
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    follower = Follower(sys.argv[1])
    last_report = time.perf_counter()
    while not ended.is_set():
        follower.sample()
        if time.perf_counter() - last_report > REPORT_SECONDS:
            follower.report()
            last_report = time.perf_counter()
        time.sleep(LEARNING_SECONDS)
    follower.sample()
    follower.report()


if __name__ == "__main__":
    main()
