"""The learner: a process of its own that opens a store by path, follows it and samples it.

    python examples/demo/follow.py STORE

Started by record_and_sample.py; knows nothing of the collector but the path. Prints one JSON line
about every 50 ms, and one more when its standard input ends. It checks what it samples: steps never
decrease within a window, rows of a row window are consecutive, the store never gets shorter.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np

from stream_store import StreamStore

WINDOWS = 256  # a batch
WIDTH = 128  # values a window
ROWS = 16  # rows a row window
LEARNING_SECONDS = 0.002  # what a step of learning would take between two batches
REPORT_SECONDS = 0.05


class Follower:
    def __init__(self, path: str) -> None:
        self.store = StreamStore(path, mode="r", wait=60.0)
        self.rng = np.random.default_rng(0)
        self.values = 0
        self.rows = 0
        self.windows = 0
        self.row_windows = 0
        self.microseconds: list[float] = []  # of a window, since the last report

    def sample(self) -> bool:
        """One batch of windows and one of row windows; False while there is too little."""
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
