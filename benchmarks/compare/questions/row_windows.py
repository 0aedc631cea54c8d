"""Read 256 windows of 12 rows, one array per field, at places drawn before."""

from __future__ import annotations

from typing import Any

from peers import window_starts

from . import SLOW, least, repeated

TASK, UNIT, SIZED, FILLED = "256 windows of 12 rows", "µs", True, True


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    if not hasattr(peer, "windows"):
        peer.sample()
        return {"figure": least(repeated(peer.sample, 10), 5, 10)}
    batches = window_starts(steps, 2 if name in SLOW else 128)

    def work() -> None:
        for rows in batches:
            peer.windows(rows)

    return {"figure": least(work, 3 if name in SLOW else 7, len(batches))}
