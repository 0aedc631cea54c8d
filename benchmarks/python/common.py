"""Shared by the programs of this folder: the stores and timing of the comparison, and the output.

Import this module before the modules of benchmarks/compare, because it puts their folder on the
path.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(BENCHMARKS / "compare"), str(BENCHMARKS)]

from questions import question  # noqa: E402 (its folder is on the path from here on)


def report(
    task: str,
    ours: float,
    goal: float | None = None,
    theirs: float | None = None,
    who: str = "",
    unit: str = "µs",
    **more: Any,
) -> None:
    """Print a row of the report, as run.py reads it."""
    row: dict[str, Any] = {"task": task, "unit": unit, "ours": ours, "goal": goal}
    if theirs is not None:
        row |= {"theirs": theirs, "competitor": who}
    print(json.dumps(row | more), flush=True)


def answer(name: str, peer: str, directory: Path) -> float:
    """Return the figure of a question that creates its own store."""
    place = directory / f"{name}-{peer}"
    place.mkdir()
    return float(question(name).ask(peer, place)["figure"])


def answer_filled(name: str, peer: str, filled: Any, steps: int) -> float:
    """Return the figure of a question about a filled store."""
    return float(question(name).ask(filled, peer, steps)["figure"])


def anonymous_bytes() -> int:
    """Return the anonymous memory (RssAnon) of this process. Mapped files do not count."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024
