"""Write the same texts from a store on disk into an Arrow file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .exchange import ask_export, texts

TASK, UNIT, SIZED, FILLED = "50,000 texts from a store to Arrow, a text", "µs", False, False
NEEDS = ("Tables",)
PEERS = ("stream_store", "pyarrow_tables", "hf_datasets", "lance_table")
ROWS = 50_000


def ask(name: str, directory: Path) -> dict[str, Any]:
    return ask_export(name, directory, texts(ROWS))
