"""Write the same chats from a store on disk into an Arrow file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .exchange import ask_export, chats

TASK, UNIT, SIZED, FILLED = "10,000 chats from a store to Arrow, a chat", "µs", False, False
NEEDS = ("Tables",)
PEERS = ("stream_store", "pyarrow_tables", "hf_datasets", "lance_table")
ROWS = 10_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return ask_export(name, directory, chats(ROWS))
