"""Append one step at a time, with its values in a list, like a loop around an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import open_peer

from . import least

TASK, UNIT, SIZED, FILLED = "append a step", "µs", False, False
NEEDS = ("append",)
CALLS = {"lance_table": 50, "flashbax_buffer": 500, "h5py_file": 2_000}
OBSERVATION = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def ask(name: str, directory: Path) -> dict[str, Any]:
    calls, runs = CALLS.get(name, 20_000), 2 if name in CALLS else 5
    peer = open_peer(name, directory, calls * runs)
    at = 0

    def work() -> None:
        nonlocal at
        for t in range(at, at + calls):
            peer.append(t, OBSERVATION, t, 1.5, False)
        at += calls

    return {"figure": least(work, runs, calls)}
