"""Stores of a group whose rows say where they are from, and checks of batches that were drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stream_store import StoreGroup, StreamStore

#: `who` is the number of the writer, `n` that of the row.
FIELDS = {"who": "int64", "n": "int64", "pair": "float32[2]", "done": "bool"}

LENGTH = 4  # of windows
SEGMENT = 10  # rows of a segment
PATIENCE = 60.0


def new_group(folder: Path, **arguments: Any) -> StoreGroup:
    return StoreGroup(folder / "group", fields=FIELDS, **arguments)


def fill(store: StreamStore, who: int, count: int) -> None:
    """Append rows of whole segments."""
    numbers = np.arange(store.num_rows, store.num_rows + count)
    store.extend(
        {
            "who": np.full(count, who),
            "n": numbers,
            "pair": np.stack([numbers + who, -numbers], axis=1),
            "done": numbers % SEGMENT == SEGMENT - 1,
        }
    )


def write(group: StoreGroup, who: int, count: int) -> str:
    """Make a store with rows; returns its name."""
    name = f"writer{who:03}"
    with group.writer(name) as store:
        fill(store, who, count)
    return name


def check(batch: dict[str, Any]) -> None:
    """Every window is one of consecutive rows of one writer and one segment."""
    who, n = batch["who"], batch["n"]
    assert (who == who[:, :1]).all()
    assert (n == n[:, :1] + np.arange(n.shape[1])).all()
    assert (n // SEGMENT == n[:, :1] // SEGMENT).all()
    assert (batch["pair"][..., 0] == n + who).all()
    assert (batch["pair"][..., 1] == -n).all()
    assert (batch["_row"] == n).all()
    for number in np.unique(batch["_store"]):  # a number means one store
        assert len(np.unique(who[batch["_store"] == number])) == 1


def starts_of(rows: int) -> int:
    """The number of windows in so many rows."""
    return rows // SEGMENT * (SEGMENT - LENGTH + 1)


def wait_for(done: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.01)


def chi_square(counts: Any, expected: Any) -> float:
    """The statistic, divided by its degrees of freedom."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    return float(((counts - expected) ** 2 / expected).sum() / (len(counts) - 1))
