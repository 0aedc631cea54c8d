"""Bytes that a step takes on disk: 4 fields, 11 values, 45 bytes in their own dtypes."""

from __future__ import annotations

from typing import Any

TASK, UNIT, SIZED, FILLED = "a step on disk", "bytes", False, True


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    peer.close()
    files = [file for file in peer.directory.rglob("*") if file.is_file()]
    if not files:
        return {"cannot": "lives in memory"}
    return {"figure": sum(file.stat().st_blocks * 512 for file in files) / steps}
