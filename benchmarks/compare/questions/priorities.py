"""Draw 256 rows of 2 M by priority, then give them new priorities, like a learner at each step.

`ByPriority(directory, rows, length)` of a store has `draw()`, which returns a batch and what
identifies its windows, and `update(index, priorities)`. Exponents are 0.6 and 0.4. Both calls are
timed; the new priorities are drawn before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from peers import BATCH, peer_module

from . import CALLS, least
from .checks import check_rows, require

TASK, UNIT, SIZED, FILLED = "256 rows by priority, then update these, 2 M rows", "µs", False, False
NEEDS = ("ByPriority",)
ROWS = 2_000_000
LARGE = 1e9  # a priority beside which all others together are small


def check(store: Any, length: int) -> None:
    """Check the values of a batch, and that windows with a large priority are drawn again."""
    batch, index = store.draw()
    drawn = np.unique(check_rows(batch, BATCH, length)[:, 0])
    store.update(index, np.full(BATCH, LARGE))
    again = check_rows(store.draw()[0], BATCH, length)[:, 0]
    require(np.isin(again, drawn).mean() > 0.8, "its draws do not follow the priorities")
    store.update(index, np.ones(BATCH))


def ask(name: str, directory: Path, length: int = 1) -> dict[str, Any]:
    store = peer_module(name).ByPriority(directory, ROWS, length)
    check(store, length)
    priorities = np.random.default_rng(0).random((64, BATCH)) + 0.1
    calls = CALLS.get(name, len(priorities))

    def work() -> None:
        for some in priorities[:calls]:
            _, index = store.draw()
            store.update(index, some)

    return {"figure": least(work, 5, calls)}
