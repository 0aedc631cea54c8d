"""The same through a DataLoader with two worker processes, once they have started.

Compared is the time between batches as a training loop sees it: workers read them, and each tensor
comes through a piece of shared memory of its own, which takes longer than reading it. Others give 4
tensors, ours 10: also steps, and which values are there. Workers are persistent; the pass that
starts them is never the least. They are spawned, as libraries with threads ask for, and open the
store by its path. A store in memory can only be forked: cpprb's is.
"""

from __future__ import annotations

from typing import Any

from . import SLOW
from .loader import Windows, ask_loader

TASK, UNIT, SIZED, FILLED = "a DataLoader's batch of 256 windows, 2 workers", "µs", False, True
NEEDS = ("windows",)


class Reopened(Windows):
    """Travels closed; a worker opens it."""

    def __init__(self, peer: Any, steps: int) -> None:
        super().__init__(peer, steps)
        peer.close()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self.peer.reopen()


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    spawned = hasattr(peer, "reopen")
    answer = ask_loader(
        peer,
        name,
        steps,
        16 if name in SLOW else 100,
        Reopened if spawned else Windows,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context="spawn" if spawned else "fork",
    )
    if "figure" in answer and not spawned:
        answer["note"] = "its workers are forked, no other process can open it"
    return answer
