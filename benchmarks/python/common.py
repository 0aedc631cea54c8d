"""What the programs of this folder share: the stores and the clock of the comparison, one output.

They import it before the modules of benchmarks/compare, whose folder it puts on the path.
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
    """The figure of a question to which a store of its own is made."""
    place = directory / f"{name}-{peer}"
    place.mkdir()
    return float(question(name).ask(peer, place)["figure"])


def answer_filled(name: str, peer: str, filled: Any, steps: int) -> float:
    """The figure of a question about a store that is filled."""
    return float(question(name).ask(filled, peer, steps)["figure"])


def anonymous_bytes() -> int:
    """RssAnon of this process: mapped files are no part of it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024
