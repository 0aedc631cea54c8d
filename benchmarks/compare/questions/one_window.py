"""Read one window at a random place: 128 flat values, or 12 rows if a store has no flat values."""

from __future__ import annotations

from typing import Any

import numpy as np
from peers import WIDTH, window_starts

from . import SLOW, least

TASK, UNIT, SIZED, FILLED = "one window of 128 values", "µs", True, True


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    if hasattr(peer, "flat_windows"):
        places = np.random.default_rng(1).integers(0, peer.flat_size() - WIDTH, size=4096)
        read = peer.flat_windows
    else:
        places = window_starts(steps, 16).reshape(-1)
        read = peer.windows
    starts = [int(place) for place in places[: 100 if name in SLOW else None]]

    def work() -> None:
        for start in starts:
            read(start)

    return {"figure": least(work, 3 if name in SLOW else 9, len(starts))}
