"""Write 1,000 steps in 5 episodes as a data set of LeRobot: a state of 8, an action of 7, a task.

`LeRobot(directory, columns, fps)` of a store has `export()`, which writes a data set, and `read()`,
which returns the rows of the last one. lerobot adds frame by frame, as its documentation shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import peer_module

from . import least
from .checks import require

TASK, UNIT, SIZED, FILLED = "1,000 steps to LeRobot, a step", "µs", False, False
NEEDS, PEERS = ("LeRobot",), ("stream_store", "lerobot_sets")
EPISODES, LENGTH, FPS = 5, 200, 10


def make_columns() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    rows = EPISODES * LENGTH
    return {
        "episode_index": np.repeat(np.arange(EPISODES), LENGTH),
        "observation.state": rng.normal(size=(rows, 8)).astype(np.float32),
        "action": rng.normal(size=(rows, 7)).astype(np.float32),
    }


def check(found: dict[str, NDArray[Any]], columns: dict[str, NDArray[Any]]) -> None:
    for name, column in columns.items():
        require(np.array_equal(np.asarray(found[name]), column), name)


def ask(name: str, directory: Path) -> dict[str, Any]:
    columns = make_columns()
    sets = peer_module(name).LeRobot(directory, columns, FPS)
    took = least(sets.export, 1 if name == "lerobot_sets" else 5, EPISODES * LENGTH)
    check(sets.read(), columns)
    return {"figure": took}
