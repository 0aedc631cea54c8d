"""Write 50,000 texts of 2 to 41 words from an Arrow table into a store on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import exchange

TASK, UNIT, SIZED, FILLED = "50,000 texts from Arrow into a store, a text", "µs", False, False
NEEDS, PEERS = exchange.NEEDS, exchange.PEERS
ROWS = 50_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return exchange.ask_store(name, directory, exchange.texts(ROWS))
