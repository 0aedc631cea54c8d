"""Draw 15 whole episodes of 200 rows, with the sampler of the store itself: 3,000 rows a batch."""

from __future__ import annotations

from typing import Any

from . import least, repeated

TASK, UNIT, SIZED, FILLED = "15 whole episodes of 200 rows", "µs", True, True
NEEDS = ("sample_whole_episodes",)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    peer.sample_whole_episodes()  # builds the index of episodes, once
    calls = 10 if name == "torchrl_buffer" else 100
    return {"figure": least(repeated(peer.sample_whole_episodes, calls), 5, calls)}
