"""Checks of batches before a question is timed: every value against the number of its row.

Steps are those of `peers.numbered`: all values follow from the action, which is the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import numbered


class WrongValuesError(Exception):
    """A store returned other values than were stored."""


def require(right: Any, what: str) -> None:
    if not np.all(right):
        raise WrongValuesError(f"returned wrong values: {what}")


def check_rows(batch: Any, windows: int, length: int) -> NDArray[np.int64]:
    """Check the values of all rows. Return their numbers, one row of the array for each window."""
    action = np.asarray(batch["action"]).astype(np.int64)
    require(action.size == windows * length, f"{action.size} actions")
    action = action.reshape(windows, length)
    first = int(action.min())
    require(first >= 0, "an action below 0")
    rows = numbered(int(action.max()) + 1 - first, first)
    at = action.reshape(-1) - first
    for name in ("observation", "reward"):
        found = np.asarray(batch[name]).reshape(rows[name][at].shape)
        require(found == rows[name][at], name)
    return action
