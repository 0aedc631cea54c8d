"""The questions of the comparison, one file each, in the order of the report.

A question is a module with TASK and UNIT for the report, SIZED (whether it depends on the size of
the store) and a function `ask`. A question with FILLED = True reads a filled store and has
`ask(peer, name, steps)`. Other questions create their own store and have `ask(name, directory)`.
Both return {"figure": number}, with a "note" if the number needs one, or {"cannot": reason}. NEEDS
lists the methods of `Peer`, or the functions and classes beside it, that a store must have to be
asked. PEERS lists the stores that are asked; without it, these are peers.STORES. With
ALWAYS = True, a figure counts only if every round returned one. Questions that close the store are
last.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from peers import STORES

NAMES = (
    "append",
    "extend",
    "frames",
    "stacks",
    "priorities",
    "priority_windows",
    "lanes",
    "ring",
    "one_window",
    "flat_windows",
    "row_windows",
    "episode_windows",
    "episode_windows_growing",
    "whole_episodes",
    "loader",
    "loader_workers",
    "disk",
    "texts_from_arrow",
    "texts_to_arrow",
    "chats_from_arrow",
    "chats_to_arrow",
    "statistics",
    "quantiles",
    "to_lerobot",
    "from_lerobot",
    "recover",
    "reopen",
    "cold_windows",
    "limited_windows",
)

# Called less often: one call takes long enough to be measured alone.
SLOW = {"hf_datasets", "lance_table", "h5py_file"}
# The same for questions about samplers, with the number of calls.
CALLS = {"torchrl_buffer": 10, "flashbax_buffer": 20}


def question(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def peers_of(name: str) -> tuple[str, ...]:
    """Return the stores that are asked this question."""
    return getattr(question(name), "PEERS", STORES)


def refusal(peer: ModuleType, name: str) -> str | None:
    """Return why a store is not asked this question, or None if it is asked."""
    needs = getattr(question(name), "NEEDS", ())
    places = [place for place in (peer, getattr(peer, "Peer", None)) if place is not None]
    if name not in peer.CANNOT and all(
        any(hasattr(place, method) for place in places) for method in needs
    ):
        return None
    return peer.CANNOT.get(name, "was not measured")


def repeated(call: Callable[[], object], times: int) -> Callable[[], None]:
    """Return work for least(): calls whose results are dropped at once, as a learner does.

    Kept results would need new memory for every call.
    """

    def work() -> None:
        for _ in range(times):
            call()

    return work


def least(work: Callable[[], object], runs: int, units: int) -> float:
    """Microseconds of a unit of work, the least of several runs of so many."""
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best / units * 1e6
