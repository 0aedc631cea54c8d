"""The least, greatest and mean value and the standard deviation of each column of 1 M steps.

`statistics(directory, columns, quantiles)` of a store returns a function that computes them, for
each of the 8 numbers of an observation, the action, the reward and the end of an episode.
StreamStore reads its files, which are in the page cache; the others read Arrow columns in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers import numbered, peer_module

from . import least
from .checks import require

TASK = "statistics of all columns of 1 M steps"
UNIT, SIZED, FILLED = "ms", False, False
NEEDS = ("statistics",)
PEERS = ("stream_store", "pyarrow_tables", "polars_frame", "duckdb_query")
ROWS = 1_000_000


def flat(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return one column for each number of an observation, and the other columns."""
    numbers = {f"observation_{i}": columns["observation"][:, i].copy() for i in range(8)}
    return {**numbers, **{name: columns[name] for name in ("action", "reward", "done")}}


def check(
    found: dict[str, NDArray[Any]], columns: dict[str, NDArray[Any]], quantiles: Sequence[float]
) -> None:
    """Compare with NumPy. Quantiles may come from a sample or a sketch, so they may be off."""
    for name, column in flat(columns).items():
        x = column.astype(np.float64)
        exact = np.array([x.min(), x.max(), x.mean(), x.std()])
        if name in found or name != "done":  # not all compute a mean of bools
            require(np.allclose(found[name][:4], exact, rtol=1e-6), name)
            near = np.quantile(x, quantiles) if quantiles else np.empty(0)
            away = np.abs(found[name][4:] - near)
            require(away <= 0.02 * (x.max() - x.min()) + 1e-9, f"quantiles of {name}")


def ask(name: str, directory: Path, quantiles: Sequence[float] = ()) -> dict[str, Any]:
    columns = numbered(ROWS)
    columns["observation"] += np.random.default_rng(0).normal(size=(ROWS, 8)).astype(np.float32)
    collect = peer_module(name).statistics(directory, columns, quantiles)
    check(collect(), columns, quantiles)
    return {"figure": least(collect, 3, 1) / 1e3}
