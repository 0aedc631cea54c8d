"""Write the same texts from a store on disk into an Arrow file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import exchange

TASK, UNIT, SIZED, FILLED = "50,000 texts from a store to Arrow, a text", "µs", False, False
NEEDS, PEERS = exchange.NEEDS, exchange.PEERS
ROWS = 50_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return exchange.ask_export(name, directory, exchange.texts(ROWS))
