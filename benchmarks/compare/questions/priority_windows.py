"""Draw 256 windows of 12 rows inside episodes by priority, then update these: 2 M rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import LENGTH

from . import priorities

TASK = "256 windows of 12 rows inside episodes by priority, then update these, 2 M rows"
UNIT, SIZED, FILLED = "µs", False, False
NEEDS = ("ByPriority",)


def ask(name: str, directory: Path) -> dict[str, Any]:
    return priorities.ask(name, directory, LENGTH)
