"""Add 64 rows to a full buffer of 200,000, which drops its oldest, then draw 256 windows.

`Ring(directory, capacity)` of a store has `extend(columns)` and `sample()`. Both calls are timed,
over as many rows as the files of StreamStore are replaced in several times.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from peers import BATCH, LENGTH, chunks, numbered, peer_module

from . import CALLS, least
from .checks import check_rows, require

TASK = "add 64 rows to a full buffer of 200,000, then 256 windows of 12 rows"
UNIT, SIZED, FILLED = "µs", False, False
NEEDS = ("Ring",)
ROWS, ADDED, RUNS = 200_000, 64, 5
SETTLE = 1  # seconds: StreamStore drops rows in a thread beside


def check(batch: Any, count: int) -> None:
    """Check that windows have neighbours, and rows that should still be there."""
    rows = check_rows(batch, BATCH, LENGTH)
    require(np.diff(rows, axis=1) == 1, "a window does not have neighbouring rows")
    require(rows < count, "a row that was not added")
    require(rows >= count - 1.25 * ROWS, "a row that should have been dropped")
    require(rows.min() < count - 0.75 * ROWS, "the oldest rows are missing")


def ask(name: str, directory: Path) -> dict[str, Any]:
    store = peer_module(name).Ring(directory, ROWS)
    for chunk in chunks(2 * ROWS, max(ROWS // 4, ADDED)):
        store.extend(chunk)
    count = 2 * ROWS
    calls = CALLS.get(name, 250)
    batches = [numbered(ADDED, count + i * ADDED) for i in range(calls)]

    def work() -> None:
        for columns in batches:
            store.extend(columns)
            store.sample()

    work()
    time.sleep(SETTLE)
    check(store.sample(), count + calls * ADDED)
    return {"figure": least(work, RUNS, calls)}
