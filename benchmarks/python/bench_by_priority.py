"""Measure a batch by priority and the update of its priorities, against a uniform batch.

The other stores are asked the same in the comparison. Prints one JSON object per line for run.py.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import answer, report
from peers import BATCH
from peers.stream_store import ByPriority
from questions import least, priorities, repeated

from stream_store import WindowSampler

GOAL = 100  # microseconds


def uniform(directory: Path) -> float:
    store = ByPriority(directory, priorities.ROWS, 1).store
    sampler = WindowSampler(store, 1, unit="row", batch_size=BATCH)
    took = least(repeated(sampler.sample, 64), 9, 64)
    store.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, default=None, help="where to put the stores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        ours = answer("priorities", "stream_store", Path(name))
        theirs = uniform(Path(name))
    task = f"draw 256 rows of 45 bytes by priority and update them, {priorities.ROWS:,} steps"
    report(task, ours, GOAL, theirs, "256 uniform rows")


if __name__ == "__main__":
    main()
