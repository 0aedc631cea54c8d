"""Read 256 windows of 12 rows at random, with memory for a quarter of the store.

A separate process joins a memory cgroup and opens the store, whose pages were dropped before. The
pages that it reads and the memory that it allocates from then on are limited to a quarter of the
store's bytes on disk, at least 16 MiB. The interpreter and its libraries do not count. Every store
therefore has the same share of itself in memory, not the same number of bytes. The figure is the
mean over all batches of eight seconds, once the memory is full. It depends mostly on the read-ahead
of the kernel and on the disk of the machine.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from memory_group import join, memory_group, used
from peers import window_starts

from .cold_windows import drop_pages
from .disk import bytes_on_disk

TASK, UNIT, SIZED, FILLED = "256 windows of 12 rows, a quarter fits into memory", "ms", True, True
NEEDS = ("windows", "reopen")
LEAST = 16 << 20
FILLING, SECONDS, PATIENCE = 15, 8, 120


def read(peer: Any, steps: int, group: Path, limit: int, answer: Any) -> None:
    """Run in the limited process."""
    join(group)
    peer.reopen()
    begin, seed = time.perf_counter(), 1_000
    while used(group) < 0.9 * limit and time.perf_counter() < begin + FILLING:
        seed += 1
        peer.windows(
            window_starts(steps, 1, seed)[0]
        )  # drawn one by one, because places take memory
    begin, full = time.perf_counter(), seed
    while time.perf_counter() < begin + SECONDS:
        seed += 1
        peer.windows(window_starts(steps, 1, seed)[0])
    answer.send((time.perf_counter() - begin) / (seed - full) * 1e3)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    peer.close()
    size = bytes_on_disk(peer.directory)
    limit = max(size // 4, LEAST)
    if limit > size // 2:
        return {"cannot": "was not measured: a store this small fits into the smallest limit"}
    drop_pages(peer.directory)
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    with ExitStack() as stack:
        try:
            group = stack.enter_context(memory_group(limit))
        except OSError:
            return {"cannot": "needs the right to make a memory cgroup"}
        reader = context.Process(target=read, args=(peer, steps, group, limit, send))
        reader.start()
        reader.join(PATIENCE)
        reader.kill()
        reader.join()
    if not receive.poll():
        return {
            "cannot": f"gave no answer with {limit / 2**20:.0f} MiB in addition to its libraries"
        }
    return {"figure": receive.recv()}
