"""The same with 5 quantiles of each column, as `stats()` and `describe()` give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import statistics

TASK = "statistics of all columns of 1 M steps, with 5 quantiles"
UNIT, SIZED, FILLED = "ms", False, False
NEEDS, PEERS = statistics.NEEDS, statistics.PEERS
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


def ask(name: str, directory: Path) -> dict[str, Any]:
    return statistics.ask(name, directory, QUANTILES)
