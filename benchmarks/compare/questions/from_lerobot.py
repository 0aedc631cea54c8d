"""Open the same data set of LeRobot and read all rows; StreamStore imports it into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import peer_module

from . import least
from .to_lerobot import EPISODES, FPS, LENGTH, check, make_columns

TASK, UNIT, SIZED, FILLED = "1,000 steps from LeRobot, a step", "µs", False, False
NEEDS, PEERS = ("LeRobot",), ("stream_store", "lerobot_sets")


def ask(name: str, directory: Path) -> dict[str, Any]:
    columns = make_columns()
    sets = peer_module(name).LeRobot(directory, columns, FPS)
    sets.export()
    check(sets.read(), columns)
    return {"figure": least(sets.read, 1 if name == "lerobot_sets" else 5, EPISODES * LENGTH)}
