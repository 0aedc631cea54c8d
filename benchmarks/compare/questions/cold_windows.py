"""Read a batch of 256 windows of 12 rows with cold files: the pages dropped, the store reopened.

posix_fadvise drops the pages of files that are not mapped. A missing page is read from the disk of
the machine, whose speed and read-ahead determine most of the figure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from peers import window_starts

from . import SLOW, least

TASK, UNIT, SIZED, FILLED = "256 windows of 12 rows, cold", "ms", True, True
NEEDS = ("windows", "reopen")


def drop_pages(directory: Path) -> None:
    for file in directory.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    best = float("inf")
    for rows in window_starts(steps, 2 if name in SLOW else 5, seed=3):
        peer.close()
        drop_pages(peer.directory)
        peer.reopen()
        best = min(best, least(lambda rows=rows: peer.windows(rows), 1, 1))
    return {"figure": best / 1e3}
