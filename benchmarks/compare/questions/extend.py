"""Append 100,000 rows in one call, from arrays. The figure is the time per row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import columns, open_peer

from . import least

TASK, UNIT, SIZED, FILLED = "extend by 100,000 rows, a row", "µs", False, False
NEEDS = ("extend",)
ROWS, RUNS = 100_000, 9


def ask(name: str, directory: Path) -> dict[str, Any]:
    peer = open_peer(name, directory, ROWS * RUNS)
    batch = columns(ROWS)
    return {"figure": least(lambda: peer.extend(batch), RUNS, ROWS)}
