"""Draw 64 rows with the 4 frames up to each, the first frame of an episode repeated at its edge.

A frame has 84 x 84 bytes; 20,000 are stored, in episodes of 200. Actions and rewards are read at
the row itself. `Stacks(directory, episodes)` of a store has `sample()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import EPISODE, OFFSETS, STACKS, numbered, peer_module

from . import CALLS, least, repeated
from .checks import require

TASK, UNIT, SIZED, FILLED = "64 rows with the 4 frames up to each by offsets", "µs", False, False
NEEDS = ("Stacks",)
FRAMES, SHAPE = 20_000, (84, 84)


def frames(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Frames whose bytes follow from the numbers of their rows, which may have any shape."""
    pixels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 251
    return ((rows[..., None, None] * 31 % 251 + pixels) % 251).astype(np.uint8)


def episodes() -> Iterator[dict[str, NDArray[Any]]]:
    for first in range(0, FRAMES, EPISODE):
        columns = numbered(EPISODE, first)
        made = {name: columns[name] for name in ("action", "reward", "done")}
        yield {"frame": frames(columns["action"]), **made}


def check(batch: Any) -> None:
    action = np.asarray(batch["action"]).reshape(STACKS)
    require(np.asarray(batch["reward"]).reshape(STACKS) == action % 251, "reward")
    rows = np.maximum(action[:, None] + np.array(OFFSETS), action[:, None] // EPISODE * EPISODE)
    require(np.asarray(batch["frame"]) == frames(rows), "frame")


def ask(name: str, directory: Path) -> dict[str, Any]:
    store = peer_module(name).Stacks(directory, episodes())
    for _ in range(3):
        check(store.sample())
    calls = CALLS.get(name, 40)
    return {"figure": least(repeated(store.sample, calls), 7, calls)}
