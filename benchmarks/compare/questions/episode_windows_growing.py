"""The same after each new row, like a learner next to a collector. Both calls are timed."""

from __future__ import annotations

from typing import Any

from peers import columns

from . import least

TASK, UNIT, SIZED, FILLED = "add a row, then 256 windows inside episodes", "µs", True, True
NEEDS = ("sample_episodes",)


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    one = columns(1, steps)
    calls = 3 if name == "torchrl_buffer" else 100

    def work() -> None:
        for _ in range(calls):
            peer.extend(one)
            peer.sample_episodes()

    work()
    return {"figure": least(work, 5, calls)}
