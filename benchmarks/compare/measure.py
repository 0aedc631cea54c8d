"""Ask one peer some questions. compare.py runs this program once for each peer.

    python measure.py PEER STEPS DIRECTORY QUESTION…

Questions that read a filled store share it. Prints two lines per question: ANSWER and a JSON
object, and TOOK with the name of the question and its seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import columns, open_peer, peer_module
from questions import NAMES, question, refusal

CHUNK = 100_000


def fill(name: str, steps: int, directory: Path) -> Any:
    directory.mkdir()
    peer = open_peer(name, directory, steps + 10_000)
    for first in range(0, steps, CHUNK):
        peer.extend(columns(min(CHUNK, steps - first), first))
    if hasattr(peer, "finish"):
        peer.finish()
    peer.directory = directory
    return peer


class Filled:
    """The store that questions share. It is filled when the first question needs it."""

    def __init__(self, name: str, steps: int, directory: Path) -> None:
        self.how = (name, steps, directory)
        self.peer: Any = None
        self.error: Exception | None = None

    def get(self) -> Any:
        """Return the store. If filling it failed, raise that error for every question."""
        if self.error is not None:
            raise self.error
        if self.peer is None:
            try:
                self.peer = fill(*self.how)
            except Exception as error:
                self.error = error
                raise
        return self.peer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer")
    parser.add_argument("steps", type=int)
    parser.add_argument("directory", type=Path)
    parser.add_argument("questions", nargs="+", choices=NAMES)
    given = parser.parse_args()
    filled = Filled(given.peer, given.steps, given.directory / "filled")
    for name in sorted(given.questions, key=NAMES.index):
        asked = question(name)
        began = time.perf_counter()
        try:
            if why := refusal(peer_module(given.peer), name):
                answer = {"cannot": why}
            elif asked.FILLED:
                answer = asked.ask(filled.get(), given.peer, given.steps)
            else:
                directory = given.directory / name
                directory.mkdir()
                answer = asked.ask(given.peer, directory)
        except ModuleNotFoundError as error:
            answer = {"cannot": f"not installed ({error.name})"}
        except Exception as error:  # reported as a refusal; other questions continue
            traceback.print_exc()
            answer = {"cannot": f"failed: {error}"}
        print("ANSWER " + json.dumps({"question": name, **answer}), flush=True)
        print(f"TOOK {name} {time.perf_counter() - began}", flush=True)
    os._exit(0)  # threads of some peers would keep the process alive


if __name__ == "__main__":
    main()
