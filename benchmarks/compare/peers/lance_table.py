"""Lance: one fragment per extend; rows are read by take()."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from . import LENGTH


def table(columns: dict[str, NDArray[Any]]) -> pa.Table:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(columns["observation"].reshape(-1)), 8)
    return pa.table({**columns, "observation": lists})


CANNOT = {
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
    **dict.fromkeys(("loader", "loader_workers"), "returns Arrow tables (was not measured)"),
    **dict.fromkeys(("priorities", "priority_windows"), "has no priorities"),
    "lanes": "has no index by key that keeps the order of rows",
    "stacks": "was not measured",
    "ring": "was not measured: it deletes rows by rewriting fragments",
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.path = str(directory / "table.lance")
        self.dataset: Any = None

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        row = {"observation": [observation], "action": [action], "reward": [reward], "done": [done]}
        self.extend({name: np.array(value) for name, value in row.items()})

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        mode = "create" if self.dataset is None else "append"
        self.dataset = lance.write_dataset(table(columns), self.path, mode=mode)

    def windows(self, rows: NDArray[np.int64]) -> Any:
        return self.dataset.take((np.asarray(rows)[..., None] + np.arange(LENGTH)).reshape(-1))

    def close(self) -> None:
        self.dataset = None

    def reopen(self) -> int:
        self.dataset = lance.dataset(self.path)
        return int(self.dataset.count_rows())


class Tables:
    """From Arrow with write_dataset; to an Arrow file from the batches of a scan."""

    def __init__(self, directory: Path, table: Any) -> None:
        self.directory, self.table, self.count = directory, table, 0
        self.exported = directory / "exported.arrow"

    def store(self) -> None:
        self.count += 1
        self.path = str(self.directory / f"{self.count}.lance")
        lance.write_dataset(self.table, self.path)

    def export(self) -> None:
        with (
            pa.OSFile(str(self.exported), "wb") as sink,
            pa.ipc.new_file(sink, self.table.schema) as writer,
        ):
            for batch in lance.dataset(self.path).to_batches():
                writer.write_batch(batch)

    def exported_table(self) -> Any:
        return pa.ipc.open_file(pa.memory_map(str(self.exported))).read_all()
