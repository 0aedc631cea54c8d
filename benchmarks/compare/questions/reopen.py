"""Open a finished store and ask for its number of rows."""

from __future__ import annotations

from typing import Any

from . import least

TASK, UNIT, SIZED, FILLED = "reopen", "µs", True, True
NEEDS = ("reopen",)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    best = float("inf")
    for _ in range(15):
        peer.close()
        best = min(best, least(peer.reopen, 1, 1))
    return {"figure": best}
