"""Measure the size of a store on disk and the time to open a large one.

Prints one JSON object per line for run.py. The large store needs free disk space of 1.5 times its
size; --gigabytes 0 skips it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Literal

from common import report
from measure import fill
from peers import columns
from peers.stream_store import FIELDS
from questions.disk import bytes_on_disk

from stream_store import StreamStore

ROWS_AT_ONCE = 1_000_000


def bytes_per_value(directory: Path) -> None:
    """Measure the bytes per value of a closed store of steps."""
    peer = fill("stream_store", ROWS_AT_ONCE, directory / "per-value")
    values = peer.flat_size()
    peer.close()
    report("bytes per value on disk", bytes_on_disk(peer.directory) / values, 11.1, unit="bytes")


def open_large(directory: Path, gigabytes: float, runs: int = 20) -> None:
    """Measure opening a large, cleanly closed store, for reading and for writing."""
    path = directory / "large"
    chunk = columns(ROWS_AT_ONCE)
    with StreamStore(path, fields=FIELDS, capacity=100_000_000) as store:
        while store.nbytes < gigabytes * 1e9:
            store.extend(chunk)
        rows = store.num_rows
    times = {"r": float("inf"), "a": float("inf")}
    modes: tuple[Literal["r", "a"], ...] = ("r", "a")
    for mode in modes:
        for _ in range(runs):
            start = time.perf_counter()
            opened = StreamStore(path, mode)
            times[mode] = min(times[mode], time.perf_counter() - start)
            if opened.num_rows != rows:
                raise RuntimeError(f"expected {rows} rows but found {opened.num_rows}")
            opened.close()
    report(
        f"open a store of {gigabytes:g} GB, reading / writing",
        max(times.values()) * 1e3,
        10,
        unit="ms",
        detail={mode: seconds * 1e3 for mode, seconds in times.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--directory", type=Path, default=None, help="where to put the stores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="stream-store-bench-") as name:
        directory = Path(name)
        bytes_per_value(directory)
        free = shutil.disk_usage(directory).free
        if arguments.gigabytes > 0 and free > 1.5e9 * arguments.gigabytes:
            open_large(directory, arguments.gigabytes)


if __name__ == "__main__":
    main()
