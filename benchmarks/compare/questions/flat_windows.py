"""Read 256 windows of 128 values, each value with its field and its step."""

from __future__ import annotations

from typing import Any

import numpy as np
from peers import BATCH, WIDTH

from . import least

TASK, UNIT, SIZED, FILLED = "256 windows of 128 values, with field and step", "µs", True, True
NEEDS = ("flat_windows",)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    batches = np.random.default_rng(1).integers(0, peer.flat_size() - WIDTH, size=(64, BATCH))

    def work() -> None:
        for starts in batches:
            peer.flat_windows(starts)

    return {"figure": least(work, 9, len(batches))}
