"""Draw 256 windows of 12 rows of one agent each; 16 agents act in any order, in 2 M rows.

`ByKey(directory, columns)` of a store has `sample()`. Beside the columns of a step there are
"agent" and "time", which counts the rows of each agent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import BATCH, LENGTH, numbered, peer_module

from . import CALLS, least, repeated
from .checks import check_rows, require

TASK = "256 windows of 12 rows by key, 16 agents in any order, 2 M rows"
UNIT, SIZED, FILLED = "µs", False, False
NEEDS = ("ByKey",)
ROWS, AGENTS = 2_000_000, 16


def interleaved(rows: int) -> dict[str, NDArray[Any]]:
    agent = np.random.default_rng(0).integers(0, AGENTS, rows)
    time = np.empty(rows, np.int64)
    for one in range(AGENTS):
        mine = agent == one
        time[mine] = np.arange(mine.sum())
    return {**numbered(rows), "agent": agent, "time": time}


def check(batch: Any, columns: dict[str, NDArray[Any]]) -> None:
    rows = check_rows(batch, BATCH, LENGTH)
    agent, time = columns["agent"][rows], columns["time"][rows]
    require(agent == agent[:, :1], "a window has rows of several agents")
    require(np.diff(time, axis=1) == 1, "a window leaves out rows of its agent")
    require(len(np.unique(agent)) == AGENTS, "a batch has no window of some agent")


def ask(name: str, directory: Path) -> dict[str, Any]:
    columns = interleaved(ROWS)
    store = peer_module(name).ByKey(directory, columns)
    check(store.sample(), columns)
    calls = CALLS.get(name, 100)
    return {"figure": least(repeated(store.sample, calls), 7, calls)}
