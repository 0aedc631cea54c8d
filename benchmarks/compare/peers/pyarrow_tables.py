"""pyarrow: tables in Arrow files (IPC), copied by `take`, and its compute functions.

An Arrow file is the smallest work that an exchange with Arrow can be: the bytes of the columns are
copied, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from . import Statistics

CANNOT: dict[str, str] = {}


def write_table(table: Any, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_table(path: Path) -> Any:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


class Tables:
    def __init__(self, directory: Path, table: Any) -> None:
        self.table, self.every = table, np.arange(len(table))
        self.stored, self.exported = directory / "stored.arrow", directory / "exported.arrow"

    def store(self) -> None:
        write_table(self.table.take(self.every), self.stored)

    def export(self) -> None:
        write_table(read_table(self.stored).take(self.every), self.exported)

    def exported_table(self) -> Any:
        return read_table(self.exported)


def statistics(
    directory: Path, columns: dict[str, NDArray[Any]], quantiles: Sequence[float]
) -> Callable[[], Statistics]:
    """The exact `quantile` sorts every column; `tdigest`, a sketch, is faster here."""
    table = arrow_columns(columns)

    def collect() -> Statistics:
        found: Statistics = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            ends = pc.min_max(column).as_py()
            numbers = [ends["min"], ends["max"]]
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.uint8())  # noqa: PLW2901
            numbers += [pc.mean(column).as_py(), pc.stddev(column).as_py()]
            if quantiles:
                numbers += pc.tdigest(column, q=list(quantiles)).to_pylist()
            found[name] = np.array(numbers, np.float64)
        return found

    return collect


def arrow_columns(columns: dict[str, NDArray[Any]]) -> Any:
    """Return an Arrow table with a column for each number of an observation."""
    numbers = {f"observation_{i}": x for i, x in enumerate(columns["observation"].T)}
    rest = {name: column for name, column in columns.items() if name != "observation"}
    return pa.table({name: np.ascontiguousarray(x) for name, x in {**numbers, **rest}.items()})
