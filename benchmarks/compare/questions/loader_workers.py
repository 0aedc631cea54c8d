"""The same through a DataLoader with two worker processes, after they have started.

The figure is the time between batches that a training loop sees. Workers read the batches, and each
tensor arrives in its own piece of shared memory, which takes longer than reading it. Other stores
return 4 tensors. StreamStore returns 10, including the steps and the masks of present fields.
Workers are persistent, and the pass that starts them is never the fastest one. They are spawned, as
libraries with threads require, and open the store by its path. A store in memory can only be shared
with forked workers; cpprb is one.
"""

from __future__ import annotations

from typing import Any

from . import SLOW
from .loader import Windows, ask_loader

TASK, UNIT, SIZED, FILLED = "a DataLoader's batch of 256 windows, 2 workers", "µs", False, True
NEEDS = ("windows",)


class Reopened(Windows):
    """Pickled while the store is closed; each worker opens it."""

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
        answer["note"] = "its workers are forked, because no other process can open it"
    return answer
