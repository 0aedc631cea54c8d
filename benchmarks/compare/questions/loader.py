"""Batches of 256 windows of 12 rows in random order, through a DataLoader without workers."""

from __future__ import annotations

from typing import Any

import numpy as np
from peers import BATCH, LENGTH

from . import SLOW, least

TASK, UNIT, SIZED, FILLED = "a DataLoader's batch of 256 windows", "µs", False, True
NEEDS = ("windows",)


class Windows:
    """A map-style dataset over a store that reads windows. A batch is read in one call."""

    def __init__(self, peer: Any, steps: int) -> None:
        self.peer, self.steps = peer, steps

    def __len__(self) -> int:
        return self.steps - LENGTH + 1

    def __getitem__(self, row: int) -> Any:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Any:
        batch = self.peer.windows(np.asarray(rows))
        # PyTorch requires a dict of arrays whose strides are whole items.
        return {name: np.ascontiguousarray(column) for name, column in batch.items()}


def ask_loader(
    peer: Any, name: str, steps: int, batches: int, kind: type[Windows] = Windows, **options: Any
) -> dict[str, Any]:
    """Time one loader repeatedly, over our dataset or over `kind` for another store."""
    try:
        from torch.utils.data import DataLoader, default_convert
    except ImportError:
        return {"cannot": "needs PyTorch"}
    if name == "stream_store":
        from stream_store.torch import WindowDataset

        dataset: Any = WindowDataset(peer.store, LENGTH, unit="row")
        collate = None
    else:
        dataset, collate = kind(peer, steps), default_convert
    places = np.random.default_rng(0).integers(0, len(dataset), (batches, BATCH)).tolist()
    loader = DataLoader(dataset, batch_sampler=places, collate_fn=collate, **options)

    def epoch() -> None:
        for _ in loader:
            pass

    return {"figure": least(epoch, 3 if name in SLOW else 5, batches)}


def ask(peer: Any, name: str, steps: int) -> dict[str, Any]:
    return ask_loader(peer, name, steps, 4 if name in SLOW else 100)
