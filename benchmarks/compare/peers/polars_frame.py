"""polars: expressions over a frame in memory, in its own threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import Statistics
from .pyarrow_tables import arrow_columns

CANNOT: dict[str, str] = {}


def statistics(
    directory: Path, columns: dict[str, NDArray[Any]], quantiles: Sequence[float]
) -> Callable[[], Statistics]:
    frame: Any = pl.from_arrow(arrow_columns(columns))
    wanted: list[Any] = []
    for name in frame.columns:
        column = pl.col(name)
        as_number = column.cast(pl.UInt8) if frame.schema[name] == pl.Boolean else column
        made = [column.min(), column.max(), column.mean(), as_number.std(ddof=0)]
        made += [as_number.quantile(q, "linear") for q in quantiles]
        wanted += [one.alias(f"{name}:{i}") for i, one in enumerate(made)]

    def collect() -> Statistics:
        row = np.array(frame.lazy().select(wanted).collect().row(0), np.float64)
        return dict(zip(frame.columns, row.reshape(frame.width, -1), strict=True))

    return collect
