"""Bytes per step on disk. A step has 4 fields and 11 values, 45 bytes in their own dtypes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TASK, UNIT, SIZED, FILLED = "a step on disk", "bytes", False, True


def bytes_on_disk(directory: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    peer.close()
    size = bytes_on_disk(peer.directory)
    return {"figure": size / steps} if size else {"cannot": "stores nothing on disk"}
