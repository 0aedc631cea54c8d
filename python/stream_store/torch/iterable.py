"""WindowIterableDataset; the package describes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import IterableDataset, get_worker_info

from stream_store._types import Batch
from stream_store.priorities import Priorities
from stream_store.sampler import WindowSampler
from stream_store.window_source import Stores, chosen_fields

from .batches import to_tensors
from .epochs import EpochCounter
from .travel import from_worker

if TYPE_CHECKING:
    import numpy.typing as npt


class WindowIterableDataset(IterableDataset[Batch]):
    """Batches of windows as `WindowSampler` draws them, divided among workers and ranks.

    Items are whole batches, dicts of tensors: use `DataLoader(dataset, batch_size=None)`. With
    replacement, each worker draws its own endless sequence. Without, the workers of all ranks share
    each epoch disjointly; every iteration of the loader begins the next epoch, with persistent
    workers or new ones, and `set_epoch` selects it.

    Args:
        store: a StreamStore, or a list of them whose valid starts are numbered together.
        length: values or rows in each window.
        rank: number of this process; by default that of `torch.distributed`, if initialised.
        world_size: number of processes; by default that of `torch.distributed`, if initialised.
        unit: as for `WindowSampler`, like all following arguments.
        align: see `WindowSampler`.
        batch_size: windows in each batch.
        replacement: whether to draw with replacement.
        seed: see `WindowSampler`.
        segment_by: see `WindowSampler`.
        pad: see `WindowSampler`.
        lanes: see `WindowSampler`.
        lane_by: see `WindowSampler`.
        where: see `WindowSampler`.
        exclude: see `WindowSampler`.
        require: see `WindowSampler`.
        offsets: see `WindowSampler`.
        outside: see `WindowSampler`.
        seconds: see `WindowSampler`.
        time_field: see `WindowSampler`.
        tolerance: see `WindowSampler`.
        whole_segments: see `WindowSampler`.
        priorities: see `WindowSampler`. Only without workers: they would not learn of updates. With
            workers, use `WindowBatchSampler` and `DrawnWindowDataset`.
        rows: see `WindowSampler`.
        columns: see `WindowSampler`.
        fields: see `WindowSampler`.
        max_length: see `WindowSampler`.
        drop_last: give whole batches only, and equally many to every worker of every rank.

    Raises:
        ValueError: an argument is not valid; the message has the accepted values.
        TypeError: `store` is neither a StreamStore nor a list of them.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> store = StreamStore(fields={"obs": "float32[2]"})
        >>> rows = store.extend({"obs": np.ones((10, 2))})
        >>> dataset = WindowIterableDataset(
        ...     store, 3, unit="row", batch_size=4, replacement=False
        ... )
        >>> [batch["obs"].shape[0] for batch in DataLoader(dataset, batch_size=None)]
        [4, 4]
    """

    def __init__(
        self,
        store: Stores,
        length: int | None = None,
        *,
        rank: int | None = None,
        world_size: int | None = None,
        unit: Literal["value", "row"] | None = None,
        align: Literal["any", "row"] = "any",
        batch_size: int = 1,
        replacement: bool = True,
        seed: int = 0,
        segment_by: str | Sequence[str] | None = None,
        pad: Literal["right", "left"] | None = None,
        lanes: int = 1,
        lane_by: str | Sequence[str] | None = None,
        where: str | None = None,
        exclude: npt.ArrayLike | None = None,
        require: str | Sequence[str] | None = None,
        offsets: Mapping[str, Iterable[int]] | None = None,
        outside: Literal["skip", "edge", "zero", "shift"] = "skip",
        seconds: Mapping[str, Iterable[float]] | None = None,
        time_field: str | None = None,
        tolerance: float = 1e-4,
        whole_segments: bool = False,
        priorities: Priorities | None = None,
        rows: tuple[int | None, int | None] | None = None,
        columns: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        max_length: Mapping[str, Any] | None = None,
        drop_last: bool = False,
    ) -> None:
        if (rank is None) != (world_size is None):
            raise ValueError("give both rank and world_size, or neither")
        self._store = store
        self._arguments: dict[str, Any] = {
            "length": length,
            "unit": unit,
            "align": align,
            "batch_size": batch_size,
            "replacement": replacement,
            "seed": seed,
            "segment_by": segment_by,
            "pad": pad,
            "lanes": lanes,
            "lane_by": lane_by,
            "where": where,
            "exclude": exclude,
            "require": require,
            "offsets": offsets,
            "outside": outside,
            "seconds": seconds,
            "time_field": time_field,
            "tolerance": tolerance,
            "whole_segments": whole_segments,
            "priorities": priorities,
            "rows": rows,
            "columns": columns,
            "fields": fields,
            "max_length": max_length,
            "drop_last": drop_last,
        }
        self._rank = (rank, world_size)
        self._epochs = EpochCounter()
        self._sampler: WindowSampler | None = None
        self._place: tuple[int, int] | None = None  # of self._sampler
        self._state: dict[str, Any] | None = None  # the one that was loaded last
        self._state_of_worker = False  # whether it was loaded inside a worker
        self._begun: int | None = None  # the epoch that self._sampler began last
        first = self._make_sampler(0, 1)  # checks the arguments
        # Samplers that are made later, also in workers, read the fields that the store has now.
        self._arguments["fields"] = chosen_fields(first)

    def _make_sampler(self, worker: int, workers: int) -> WindowSampler:
        rank, world_size = self._ranks()
        place = (rank * workers + worker, world_size * workers)
        if self._sampler is None or self._place != place:
            self._sampler = WindowSampler(
                self._store, rank=place[0], world_size=place[1], **self._arguments
            )
            self._place = place
            self._begun = None
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
        """Make the next iteration of every worker epoch number `epoch`.

        Args:
            epoch: int in [0, 2**22).

        Raises:
            ValueError: `epoch` is out of range.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(10)})
            >>> dataset = WindowIterableDataset(store, 3, replacement=False)
            >>> dataset.set_epoch(7)
            >>> batch = next(iter(dataset))
            >>> dataset.state_dict()["epoch"]
            7
        """
        self._epochs.set(epoch)
        self._begun = None

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over batches: endlessly with replacement, else over the next epoch."""
        worker, workers = _worker()
        if self._arguments["priorities"] is not None:
            _require_main_process()
        self._require_own_state(workers)
        sampler = self._make_sampler(worker, workers)
        resumed = self._resumed_epoch(sampler) if self._epochs.resumes(worker) else None
        if resumed is None:
            self._return_unused_epoch(sampler)
        self._begun = epoch = self._epochs.begin(worker, resumed)
        if resumed is None:
            sampler._go_to_epoch(epoch)
        elif self._state_of_worker and sampler.state_dict()["finished"]:
            return iter(())  # this worker had finished, others had not: the epoch goes on
        return map(from_worker, map(to_tensors, sampler))

    @property
    def sampler(self) -> WindowSampler:
        """The WindowSampler that draws in this process, for example to change alpha and beta."""
        return self._make_sampler(*_worker())

    def update(self, index: npt.ArrayLike, priority: npt.ArrayLike) -> int:
        """Set the priorities of windows, as `WindowSampler.update`.

        Args:
            index: ints, "_index" of batches.
            priority: finite numbers >= 0, one for each index, or one for all.

        Returns:
            How many indices were ignored, because their rows were dropped.

        Raises:
            ValueError: the dataset is without priorities, a priority is out of range, or an index
                is not one of this dataset. Nothing has changed then.
            RuntimeError: this is a worker of a `DataLoader`.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32"})
            >>> rows = store.extend({"obs": np.arange(100)})
            >>> dataset = WindowIterableDataset(store, 2, batch_size=8, priorities=Priorities())
            >>> batch = next(iter(dataset))
            >>> dataset.update(batch["_index"], batch["obs"][:, 0])
            0
        """
        _require_main_process()
        return self.sampler.update(index, priority)

    def _require_own_state(self, workers: int) -> None:
        """Refuse a state of one process where several workers would have to continue from it."""
        outside = self._state is not None and not self._state_of_worker
        if workers > 1 and outside and self._epochs.resumes(0):
            raise ValueError(
                "WindowIterableDataset: the state that was loaded is of one process, but the "
                f"loader has {workers} workers; use num_workers=0 or 1, or torchdata's "
                "StatefulDataLoader, which has a state for each worker; set_epoch() forgets the "
                "state"
            )

    def _resumed_epoch(self, sampler: WindowSampler) -> int:
        """The epoch in which the next iteration will be."""
        state = sampler.state_dict()
        begins_next = state["finished"] and not self._state_of_worker
        return int(state["epoch"]) + (1 if begins_next else 0)

    def _return_unused_epoch(self, sampler: WindowSampler) -> None:
        """Let an epoch begin again that this process has begun without taking a batch of it.

        A stateful loader begins an epoch when it loads a state, and again if the state was taken at
        the end of an epoch.
        """
        if self._begun is None or get_worker_info() is not None:
            return
        state = sampler.state_dict()
        first = self._begun << 40 if self._arguments["replacement"] else 0
        if state["epoch"] == self._begun and state["batches"] == first:
            self._epochs.begin_again(self._begun)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of this process, as `WindowSampler.state_dict`.

        With workers, each of them has a state of its own, which only a stateful loader collects:
        use `torchdata.stateful_dataloader.StatefulDataLoader`, and its `state_dict`.

        Returns:
            A dict that `load_state_dict` accepts.

        Raises:
            RuntimeError: the batches were drawn by the workers of a `DataLoader`, and this is not
                one of them.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(10)})
            >>> dataset = WindowIterableDataset(store, 3)
            >>> dataset.load_state_dict(dataset.state_dict())
        """
        worker, workers = _worker()
        if get_worker_info() is None and self._epochs.in_workers:
            raise RuntimeError(
                "WindowIterableDataset.state_dict: the last batches were drawn by the workers of a "
                "DataLoader, and this process does not know how many; use "
                "torchdata.stateful_dataloader.StatefulDataLoader and its state_dict(), which "
                "collects the states of the workers, or num_workers=0"
            )
        return self._make_sampler(worker, workers).state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that the same worker returned.

        Args:
            state: the result of `state_dict`. One of a process without workers is also continued by
                a loader with one worker.

        Raises:
            ValueError: the state is of another store, version or kind of sampler.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(10)})
            >>> dataset = WindowIterableDataset(store, 3)
            >>> dataset.load_state_dict(dataset.state_dict())
        """
        worker, workers = _worker()
        self._make_sampler(worker, workers).load_state_dict(state)
        self._state = dict(state)
        self._state_of_worker = get_worker_info() is not None
        self._begun = None
        self._epochs.resume(worker)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_rank"] = self._ranks()  # the other process may have no process group
        if self._arguments["priorities"] is None:  # else the copy has their present values
            state["_sampler"] = state["_place"] = None
        return state


def _worker() -> tuple[int, int]:
    """Number of this worker of a loader, and of all its workers; (0, 1) outside of workers."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _require_main_process() -> None:
    if get_worker_info() is not None:
        raise RuntimeError(
            "WindowIterableDataset: the workers of a DataLoader cannot draw by priority, because "
            "the main process updates the priorities; use DataLoader(DrawnWindowDataset(sampler), "
            "batch_sampler=WindowBatchSampler(sampler), num_workers=…), or num_workers=0"
        )
