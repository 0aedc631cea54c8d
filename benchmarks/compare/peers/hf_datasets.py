"""HuggingFace datasets, for reading only: one Arrow file, rows by index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from . import LENGTH

CANNOT = {
    **dict.fromkeys(("append", "extend", "recover"), "cannot be appended to"),
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing", "whole_episodes"), "has no episodes"
    ),
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
