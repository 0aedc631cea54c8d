"""Write the same chats from a store on disk into an Arrow file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import exchange

TASK, UNIT, SIZED, FILLED = "10,000 chats from a store to Arrow, a chat", "µs", False, False
NEEDS, PEERS = exchange.NEEDS, exchange.PEERS
ROWS = 10_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return exchange.ask_export(name, directory, exchange.chats(ROWS))
