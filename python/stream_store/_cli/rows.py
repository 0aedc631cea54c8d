"""The commands that print rows, as text or JSON: `head`, `tail` and `follow`."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from stream_store._fields import declared_fields
from stream_store._repr import short_value
from stream_store.store import StreamStore

from .exit_codes import ArgumentError
from .output import plain, print_json, say

_AT_ONCE = 256


def check_fields(store: StreamStore, fields: list[str] | None) -> None:
    """Check names of fields; a struct is named by its outer name."""
    known = declared_fields(store).outer_names
    for name in fields or ():
        if name not in known:
            raise ArgumentError(f"Unknown field {name!r}; the fields are {', '.join(known)}")


def show_rows(
    store: StreamStore,
    start: int,
    stop: int,
    fields: list[str] | None,
    as_json: bool,
    name: str | None = None,
) -> None:
    """Print rows [start, stop), one per line; `name` is that of the store in a group."""
    check_fields(store, fields)
    for first in range(start, stop, _AT_ONCE):
        last = min(first + _AT_ONCE, stop)
        rows = np.arange(first, last)
        steps = store.read_rows(rows, fields=list(store.fields[:1]))["_step"]
        for number, step, row in zip(rows, steps, store.rows(first, last), strict=True):
            shown = row if not fields else {name: row[name] for name in fields}
            if as_json:
                facts = {"row": int(number), "step": int(step), "values": plain(shown)}
                print_json(facts if name is None else {"store": name, **facts})
            else:
                place = "" if name is None else f"{name} "
                say(f"{place}{number} (step {step}): {_line(shown)}")
    sys.stdout.flush()


def _line(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={short_value(value)}" for name, value in row.items())


def follow_rows(
    store: StreamStore, start: int, fields: list[str] | None, idle: float | None, as_json: bool
) -> None:
    """Print each row from `start` on once it is complete, until no row came for `idle` seconds."""
    check_fields(store, fields)
    if idle is not None and not idle >= 0:
        raise ArgumentError(f"--idle must be seconds, 0 or more, not {idle}")
    shown, quiet_since = start, time.monotonic()
    while True:
        stop = store.complete_rows
        if stop > shown:
            view = store.snapshot()  # rows that are dropped meanwhile stay readable
            shown = max(shown, view.first_row)
            show_rows(view, shown, stop, fields, as_json)
            shown, quiet_since = stop, time.monotonic()
            continue
        if idle is not None and time.monotonic() - quiet_since >= idle:
            return
        # If the last row is incomplete, wait for the rest of it instead of for the next row.
        pause = 0.5 if idle is None else min(0.5, idle)
        if store.num_rows > shown:
            time.sleep(min(pause, 0.02))
        else:
            store.wait(shown + 1, timeout=pause)
