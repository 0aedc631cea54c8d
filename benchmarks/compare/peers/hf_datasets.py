"""HuggingFace datasets, for reading only: one Arrow file, rows by index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars
from numpy.typing import NDArray

from . import LENGTH

CANNOT = {
    **dict.fromkeys(("append", "extend", "recover"), "cannot be appended to"),
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
    **dict.fromkeys(("priorities", "priority_windows"), "has no priorities"),
    "lanes": "has no index by key",
    "stacks": "was not measured",
    "ring": "cannot be appended to",
}


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.path = directory / "dataset"
        self.parts: list[dict[str, NDArray[Any]]] = []
        self.dataset: Any = None

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.parts.append(columns)

    def finish(self) -> None:
        """Write all rows at once, because a dataset cannot be appended to."""
        joined = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        Dataset.from_dict(joined).save_to_disk(self.path)
        self.dataset = Dataset.load_from_disk(self.path).with_format("numpy")
        self.parts = []

    def windows(self, rows: NDArray[np.int64]) -> Any:
        return self.dataset[(np.asarray(rows)[..., None] + np.arange(LENGTH)).reshape(-1)]

    def close(self) -> None:
        self.dataset = None

    def reopen(self) -> int:
        self.dataset = Dataset.load_from_disk(self.path).with_format("numpy")
        return len(self.dataset)


class Tables:
    """From Arrow with save_to_disk; to an Arrow file row by row in Python, with from_generator.

    from_generator is how datasets are made from sources that are not Arrow.
    """

    def __init__(self, directory: Path, table: Any) -> None:
        disable_progress_bars()
        self.directory, self.count = directory, 0
        self.dataset = Dataset(table)
        self.stored = self.exported = None

    def store(self) -> None:
        self.count += 1
        path = self.directory / f"stored-{self.count}"
        self.dataset.save_to_disk(path)
        self.stored = Dataset.load_from_disk(path)

    def export(self) -> None:
        self.count += 1
        self.exported = Dataset.from_generator(
            lambda: iter(self.stored),
            features=self.stored.features,
            cache_dir=str(self.directory / "cache"),
            fingerprint=f"export{self.count}",
        )

    def exported_table(self) -> Any:
        return self.exported.data.table
