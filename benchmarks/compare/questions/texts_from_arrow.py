"""Write 50,000 texts of 2 to 41 words from an Arrow table into a store on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .exchange import ask_store, texts

TASK, UNIT, SIZED, FILLED = "50,000 texts from Arrow into a store, a text", "µs", False, False
NEEDS = ("Tables",)
PEERS = ("stream_store", "pyarrow_tables", "hf_datasets", "lance_table")
ROWS = 50_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return ask_store(name, directory, texts(ROWS))
