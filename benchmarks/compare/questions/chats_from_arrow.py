"""Write 10,000 chats of 2 to 5 messages from an Arrow table into a store on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import exchange

TASK, UNIT, SIZED, FILLED = "10,000 chats from Arrow into a store, a chat", "µs", False, False
NEEDS, PEERS = exchange.NEEDS, exchange.PEERS
ROWS = 10_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return exchange.ask_store(name, directory, exchange.chats(ROWS))
