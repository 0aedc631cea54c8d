"""Open a store whose writer was killed while it added rows, and ask for its number of rows.

A separate process adds rows, with one `append` each, and counts the acknowledged rows in shared
memory. (Lance adds 100 rows per commit, because one row takes 3 ms.) SIGKILL ends the process after
at least 20,000 rows. Another process then opens the store to read; the figure is the least time of
several. A store gets a figure only if, after every kill, it knows its number of rows and returns
the action and reward of every acknowledged row. Its number of rows may include the rows that were
being added. The note counts the acknowledged rows.

A store that fails is asked again with the method that its documentation recommends for rows that
must survive: `keep` after every row, for 1,000 rows. The note then gives the cost of a row, and the
result without `keep`. cpprb's save_transitions() and flashbax's Vault, which save a whole buffer on
request, are not measured.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from peers import LENGTH, columns, open_peer

from . import least
from .append import OBSERVATION

TASK, UNIT, SIZED, FILLED, ALWAYS = "open after a kill", "ms", False, False, True
NEEDS = ("append", "windows", "reopen")
ROWS, KEPT_ROWS, CAPACITY, KILLS, OPENS = 20_000, 1_000, 1_000_000, 6, 10
BATCHES = {"lance_table": 100}  # rows added, and acknowledged, together
REWARD = 1.5


class LostError(Exception):
    """An acknowledged row was not read back."""


def write(name: str, place: Path, acknowledged: Any, keep: bool) -> None:
    """Run in the process that is killed."""
    peer, batch = open_peer(name, place, CAPACITY), BATCHES.get(name, 1)
    steps = {**columns(batch), "reward": np.full(batch, REWARD, np.float32)}
    for t in range(0, CAPACITY, batch):
        if keep or batch > 1:
            peer.extend({**steps, "action": steps["action"] + t})
        else:
            peer.append(t, OBSERVATION, t, REWARD, False)
        if keep:
            peer.keep()
        acknowledged.value = t + batch
    signal.pause()


def kill_writer(name: str, place: Path, keep: bool) -> tuple[int, float]:
    """Kill a writer. Return the number of acknowledged rows and the microseconds per row."""
    rows = KEPT_ROWS if keep else ROWS
    context = multiprocessing.get_context("spawn")
    acknowledged = context.RawValue("q", 0)
    writer = context.Process(target=write, args=(name, place, acknowledged, keep))
    writer.start()
    began, first = time.perf_counter(), 0
    while acknowledged.value < rows and writer.is_alive():
        if not first:
            began, first = time.perf_counter(), acknowledged.value
        time.sleep(1e-3)
    took = (time.perf_counter() - began) / max(acknowledged.value - first, 1)
    writer.kill()
    writer.join()
    if acknowledged.value < rows:
        raise RuntimeError(f"its writer ended after {acknowledged.value:,} rows")
    return acknowledged.value, took * 1e6


def check(peer: Any, acknowledged: int, batch: int) -> None:
    """Check every acknowledged row and the number of rows."""
    try:
        rows = peer.reopen()
    except Exception as error:
        why = getattr(error, "strerror", None) or error  # without the path
        raise LostError(f"does not open ({why}): all {acknowledged:,} rows are lost") from error
    if rows < acknowledged:
        raise LostError(f"has lost {acknowledged - rows:,} of {acknowledged:,} rows")
    last = acknowledged - LENGTH
    starts = np.append(np.arange(0, last, LENGTH), last)
    found = peer.windows(starts)
    actions = np.asarray(found["action"]).reshape(-1)
    right = actions == (starts[:, None] + np.arange(LENGTH)).reshape(-1)
    right &= np.asarray(found["reward"]).reshape(-1) == REWARD
    lost = acknowledged - len(np.unique(actions[right]))
    if lost:
        raise LostError(f"has lost {lost:,} of {acknowledged:,} rows")
    if rows > acknowledged + batch:
        raise LostError(f"has all {acknowledged:,} rows, but reports {rows:,}")


def kill_and_open(peer: Any, name: str, place: Path, keep: bool) -> dict[str, Any]:
    """Return the answer of a store that is complete after every kill."""
    best, rows, took = float("inf"), 0, 0.0
    for _ in range(KILLS):
        shutil.rmtree(place)
        place.mkdir()
        acknowledged, took = kill_writer(name, place, keep)
        check(peer, acknowledged, BATCHES.get(name, 1))
        for _ in range(OPENS):
            peer.close()
            best = min(best, least(peer.reopen, 1, 1))
        peer.close()
        rows += acknowledged
    note = f"all {rows:,} rows of {KILLS} kills came back"
    if name in BATCHES:
        note += f", {BATCHES[name]} per commit"
    if keep:
        note += f", with {peer.KEEPS} after every row, so that a row takes {took:,.0f} µs"
    return {"figure": best / 1e3, "note": note}


def ask(name: str, directory: Path) -> dict[str, Any]:
    place = directory / "store"
    place.mkdir()
    peer = open_peer(name, place, CAPACITY)  # it has the path; each writer creates the store again
    peer.close()
    try:
        return kill_and_open(peer, name, place, keep=False)
    except LostError as error:
        without = str(error)
    if not hasattr(peer, "keep"):
        return {"cannot": without}
    try:
        answer = kill_and_open(peer, name, place, keep=True)
    except LostError as error:
        return {"cannot": f"{error}, even with {peer.KEEPS} after every row"}
    return {**answer, "note": f"{answer['note']}; without this, it {without}"}
