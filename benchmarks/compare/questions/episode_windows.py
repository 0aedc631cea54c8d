"""Draw 256 windows of 12 rows inside episodes of 200, with the sampler of the store itself."""

from __future__ import annotations

from typing import Any

from . import least, repeated

TASK, UNIT, SIZED, FILLED = "256 windows of 12 rows inside episodes", "µs", True, True
NEEDS = ("sample_episodes",)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    peer.sample_episodes()  # builds the index of episodes, once
    calls = 10 if name == "torchrl_buffer" else 100
    return {"figure": least(repeated(peer.sample_episodes, calls), 5, calls)}
