"""What is asked of every store, a file each, in the order of the report.

A question is a module with TASK and UNIT for the report, SIZED (whether the size of the store
matters) and a function `ask`. One that reads a filled store takes it as `ask(peer, name, steps)`
and has FILLED = True; the others make their own, `ask(name, directory)`. Both give
{"figure": number}, with a "note" where the number does not tell all, or {"cannot": why}. NEEDS
names the methods without which a store is not asked. With ALWAYS = True a figure counts only if
every time gave one. Those that close the store come last.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

NAMES = (
    "append",
    "extend",
    "frames",
    "one_window",
    "flat_windows",
    "row_windows",
    "episode_windows",
    "episode_windows_growing",
    "loader",
    "loader_workers",
    "disk",
    "recover",
    "reopen",
    "cold_windows",
    "limited_windows",
)

# Asked less often: a call takes long enough to be measured alone.
SLOW = {"hf_datasets", "lance_table", "h5py_file"}


def question(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")


def refusal(peer: ModuleType, name: str) -> str | None:
    """Why a store is not asked this: its own reason, if it has one; None if it is asked."""
    needs = getattr(question(name), "NEEDS", ())
    if name not in peer.CANNOT and all(hasattr(peer.Peer, method) for method in needs):
        return None
    return peer.CANNOT.get(name, "was not asked")


def repeated(call: Callable[[], object], times: int) -> Callable[[], None]:
    """Work for least(). What a call returns is dropped before the next one, as a learner does:
    kept, all of it would need new memory."""

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
