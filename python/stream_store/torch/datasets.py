"""The two data sets; see the package."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from stream_store.sampler import WindowSampler
from stream_store.store import StreamStore

from .batches import Samples, sample_of, to_tensors
from .epochs import EpochCounter
from .travel import from_worker

Stores = StreamStore | Sequence[StreamStore]


class WindowDataset(Dataset[dict[str, Any]]):
    """The valid windows of a store, numbered from 0: for samplers of torch.

    Args: those of `WindowSampler` that say which windows there are and what is read of them.

    `dataset[i]` is one window as a dict of tensors; a `DataLoader` reads a whole batch in one call
    and gets it ready-made from torch's default collation.

    A number keeps its window while the store grows, and `len` grows with it. With `rows` that count
    from the end, or lanes with segments, numbers would move: there the windows are those of when
    the data set was made, or last `refresh`ed.

    Raises:
        ValueError: as WindowSampler. IndexError: there is no such window.
    """

    def __init__(
        self,
        store: Stores,
        length: int,
        *,
        unit: Literal["value", "row"] = "value",
        align: Literal["any", "row"] = "any",
        segment_by: str | Sequence[str] | None = None,
        pad: Literal["right", "left"] | None = None,
        lanes: int = 1,
        rows: tuple[int | None, int | None] | None = None,
        columns: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        max_length: Mapping[str, int] | None = None,
    ) -> None:
        self._store = store
        self._arguments: dict[str, Any] = {
            "length": length,
            "unit": unit,
            "align": align,
            "segment_by": segment_by,
            "pad": pad,
            "lanes": lanes,
            "rows": rows,
            "columns": columns,
            "fields": fields,
            "max_length": max_length,
        }
        self._moves = _numbers_move(store, self._arguments)
        self._snapshots: Stores | None = None
        self.refresh()

    def refresh(self) -> int:
        """Number the windows of what is stored now; returns how many there are."""
        store = self._store
        if self._moves:
            several = not isinstance(store, StreamStore)
            store = [one.snapshot() for one in store] if several else store.snapshot()  # type: ignore[union-attr]
            self._snapshots = store
        self._sampler = WindowSampler(store, **self._arguments)
        return self._sampler.num_starts

    def __len__(self) -> int:
        return self._sampler.num_starts

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"dataset[i] is one window: i must be an int, not {index!r} "
                f"({type(index).__name__})"
            ) from None
        return sample_of(to_tensors(self._sampler._core.read_starts([number])), 0)

    def __getitems__(self, indices: Sequence[int]) -> Samples:
        """Windows of those numbers, read in one call; negative ones count from the end."""
        return Samples(to_tensors(self._sampler._core.read_starts(indices)), len(indices))

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_sampler"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        store = self._store if self._snapshots is None else self._snapshots
        self._sampler = WindowSampler(store, **self._arguments)


class WindowIterableDataset(IterableDataset[dict[str, Any]]):
    """Batches of windows as `WindowSampler` draws them, each worker and rank its own part.

    Args: those of `WindowSampler`. `rank` and `world_size` are by default those of
    `torch.distributed` where that is initialised.

    Items are whole batches, dicts of tensors: use `DataLoader(dataset, batch_size=None)`. With
    replacement a worker's stream is endless and its own. Without, the workers of all ranks share
    each epoch disjointly, and every iteration of the loader begins the next one, with persistent
    workers or new ones; `set_epoch` chooses it.
    """

    def __init__(
        self,
        store: Stores,
        length: int,
        *,
        rank: int | None = None,
        world_size: int | None = None,
        **arguments: Any,
    ) -> None:
        if (rank is None) != (world_size is None):
            raise ValueError("rank and world_size go together: give both or none")
        self._store = store
        self._arguments = {"length": length, **arguments}
        self._rank = (rank, world_size)
        self._epochs = EpochCounter()
        self._sampler: WindowSampler | None = None
        self._place: tuple[int, int] | None = None  # of self._sampler
        self._state: dict[str, Any] | None = None  # the one that was loaded last
        self._make_sampler(0, 1)  # says what is wrong with the arguments

    def _make_sampler(self, worker: int, workers: int) -> WindowSampler:
        rank, world_size = self._ranks()
        place = (rank * workers + worker, world_size * workers)
        if self._sampler is None or self._place != place:
            self._sampler = WindowSampler(
                self._store, rank=place[0], world_size=place[1], **self._arguments
            )
            self._place = place
            if self._state is not None and self._epochs.resumes(worker):
                self._sampler.load_state_dict(self._state)
        return self._sampler

    def _ranks(self) -> tuple[int, int]:
        rank, world_size = self._rank
        if rank is not None and world_size is not None:
            return rank, world_size
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return 0, 1

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration of every worker epoch number `epoch`."""
        self._epochs.set(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = _worker()
        sampler = self._make_sampler(worker, workers)
        batches = map(to_tensors, self._epochs.begin(sampler, worker))
        return map(from_worker, batches)

    def state_dict(self) -> dict[str, Any]:
        """As `WindowSampler.state_dict`, of this process's worker."""
        return self._make_sampler(*_worker()).state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that the same worker took."""
        worker, workers = _worker()
        self._make_sampler(worker, workers).load_state_dict(state)
        self._state = dict(state)
        self._epochs.resume(worker)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_rank"] = self._ranks()  # the process group does not come along
        state["_sampler"] = state["_place"] = None
        return state


def _worker() -> tuple[int, int]:
    """Which worker of a loader this process is, and of how many; (0, 1) if it is none."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _numbers_move(store: Stores, arguments: Mapping[str, Any]) -> bool:
    """Whether starts change their numbers when the store grows."""
    rows = arguments["rows"] or (None, None)
    from_the_end = any(bound is not None and bound < 0 for bound in rows)
    lanes = arguments["lanes"] != 1 and arguments["segment_by"] is not None
    return from_the_end or lanes or not isinstance(store, StreamStore)
