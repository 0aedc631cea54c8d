"""Batches that are drawn in the main process and read in the workers of a DataLoader.

Priorities live in the process that draws and updates them. So the sampler stays there: the batch
sampler asks it for the numbers of windows, torch sends these to a worker, and the worker reads the
windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Sampler

from stream_store import _arguments
from stream_store._types import Batch
from stream_store.errors import DroppedError
from stream_store.sampler import WindowSampler

from .batches import Samples, sample_of, to_tensors

#: How often a batch is read again if rows are dropped meanwhile.
_TRIES = 10

#: Of "_index": the row of the anchor; the number of the store is above.
_ROW_BITS = 48


@dataclass(frozen=True)
class Draw:
    """The windows of one batch, drawn but not read.

    Attributes:
        index: "_index" of each window.
        weight: "_weight" of each window; None without priorities.
        probability: "_probability" of each window; None without priorities.
        stores: of a group, the numbers and the ids of the stores of the windows. The sampler of a
            worker may have other numbers for them.
    """

    index: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32] | None
    probability: npt.NDArray[np.float64] | None
    stores: tuple[tuple[int, ...], tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def select(self, kept: npt.NDArray[np.bool_]) -> Draw:
        """The windows for which `kept` is True."""
        weight = None if self.weight is None else self.weight[kept]
        probability = None if self.probability is None else self.probability[kept]
        return Draw(self.index[kept], weight, probability, self.stores)


class WindowBatchSampler(Sampler[Draw]):
    """Draws the batches of a `WindowSampler` in the main process: `batch_sampler` of a DataLoader.

    Use it with a `DrawnWindowDataset` of the same sampler, whose workers read the windows. All
    batches belong to the one sequence of the sampler: an iteration continues where the last one
    ended, and `sampler.state_dict` counts the batches that were drawn for workers.

    A loader with workers draws up to num_workers * prefetch_factor batches ahead. So a batch that
    you get may have been drawn before the last that many updates.

    Args:
        sampler: a WindowSampler of rows, with replacement, with or without priorities. Its
            batch_size is that of the batches.
        num_batches: batches in each iteration; None iterates endlessly.

    Raises:
        TypeError: `sampler` is not a WindowSampler.
        ValueError: the sampler is without replacement or its windows are of values, or
            `num_batches` is below 1.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> store = StreamStore(fields={"obs": "float32[2]"})
        >>> rows = store.extend({"obs": np.ones((10, 2))})
        >>> sampler = WindowSampler(store, 3, batch_size=4, priorities=Priorities())
        >>> batches = WindowBatchSampler(sampler, num_batches=2)
        >>> for batch in DataLoader(DrawnWindowDataset(sampler), batch_sampler=batches):
        ...     sampler.update(batch["_index"], np.ones(4)), batch["obs"].shape
        (0, torch.Size([4, 3, 2]))
        (0, torch.Size([4, 3, 2]))
    """

    def __init__(self, sampler: WindowSampler, num_batches: int | None = None) -> None:
        self._sampler = _require_sampler(sampler)
        if not sampler._options["replacement"]:
            raise ValueError(
                "WindowBatchSampler: expected a sampler with replacement; for epochs, use "
                "WindowIterableDataset"
            )
        self._num_batches = num_batches
        if num_batches is not None:
            self._num_batches = _arguments.integer("num_batches", num_batches, 1, 2**62)

    def __iter__(self) -> Iterator[Draw]:
        """Draw batches: `num_batches` of them, or endlessly."""
        drawn = 0
        core = self._sampler._core
        while self._num_batches is None or drawn < self._num_batches:
            windows = core.draw_indices()
            of_group = self._sampler._group is not None
            yield Draw(*windows, core.stores_of(windows[0]) if of_group else None)
            drawn += 1

    def __len__(self) -> int:
        """Number of batches in an iteration.

        Raises:
            TypeError: the iteration is endless.
        """
        if self._num_batches is None:
            raise TypeError("a WindowBatchSampler without num_batches is endless: it has no len()")
        return self._num_batches

    def __bool__(self) -> bool:
        return True  # without this, bool() would call len()


class DrawnWindowDataset(Dataset[Batch]):
    """The windows of a `WindowSampler` by their "_index": a map-style dataset that draws nothing.

    Use it with a `WindowBatchSampler`. Batches have the tensors "_index", and with priorities
    "_weight" and "_probability", as those of `WindowSampler.sample`. Workers see all rows that the
    main process has seen, but neither its priorities nor its random numbers.

    If rows are dropped from a bounded store after a window was drawn and before it is read, the
    batch comes without that window.

    Args:
        sampler: a WindowSampler of rows. Later changes of it, such as those of priorities, need not
            reach the dataset.

    Raises:
        TypeError: `sampler` is not a WindowSampler.
        ValueError: its windows are of values.

    Examples:
        >>> store = StreamStore(fields={"obs": "float32[2]"})
        >>> rows = store.extend({"obs": np.ones((10, 2))})
        >>> sampler = WindowSampler(store, 3, unit="row", batch_size=4)
        >>> index = sampler.sample()["_index"]
        >>> DrawnWindowDataset(sampler)[index[0]]["obs"].shape
        torch.Size([3, 2])
    """

    def __init__(self, sampler: WindowSampler) -> None:
        _require_sampler(sampler)
        self._given = sampler._given()
        # Ids by number, for windows that come without their stores.
        self._ids = (
            None if sampler._group is None else [own for own, _ in sampler._core.store_ids()]
        )
        # Without priorities, whose tree belongs to the sampler, any rank can read all windows.
        # Limits that count from the end of the store would move after a window was drawn.
        self._arguments = sampler._arguments() | {
            "priorities": None,
            "rows": None,
            "rank": 0,
            "world_size": 1,
            "replacement": True,
            "drop_last": False,
        }
        self._reader = self._make_reader()

    def _make_reader(self) -> WindowSampler:
        return WindowSampler(self._given, **self._arguments)

    def __getitem__(self, index: int) -> Batch:
        """Read one window.

        Args:
            index: int, "_index" of the window.

        Returns:
            A dict of tensors of shape (length, ...), nested for structs. Text, bytes, decimals and
            nested values are lists.

        Raises:
            IndexError: there is no such window.
            DroppedError: its rows were dropped.
            TypeError: `index` is not an int.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[2]"})
            >>> rows = store.extend({"obs": np.ones((10, 2))})
            >>> sampler = WindowSampler(store, 3, unit="row")
            >>> DrawnWindowDataset(sampler)[5]["_step"]
            tensor([5, 6, 7])
        """
        number = _arguments.one_index(index, kind="an int, its _index")
        return sample_of(to_tensors(self._read_windows(self._draw([number]))), 0)

    def __getitems__(self, drawn: Draw | Sequence[int]) -> Samples:
        """Read the windows of one batch in one call."""
        if not isinstance(drawn, Draw):
            drawn = self._draw(drawn)
        batch, drawn = self._read(drawn)
        if drawn.weight is not None:
            batch |= {"_weight": drawn.weight, "_probability": drawn.probability}
        return Samples(to_tensors(batch), len(drawn))

    def _draw(self, indices: Sequence[int]) -> Draw:
        """Windows that are given by their numbers alone."""
        numbers = _arguments.index_vector(
            indices, "indices must be ints in a list or an array of one dimension", IndexError
        )
        if self._ids is None:
            return Draw(numbers, None, None)
        known = range(len(self._ids))
        stores = sorted({*(numbers >> _ROW_BITS).tolist()} & {*known})
        ids = tuple(self._ids[number] for number in stores)
        return Draw(numbers, None, None, (tuple(stores), ids))

    def _read_windows(self, drawn: Draw) -> Batch:
        """The windows. Those of a group have other numbers in this process."""
        if drawn.stores is None:
            return self._reader.read(drawn.index)
        numbers, ids = drawn.stores
        mine = dict(zip(numbers, self._reader._core.numbers_of(list(ids)), strict=True))
        stores = [mine.get(number, -1) for number in (drawn.index >> _ROW_BITS).tolist()]
        rows = drawn.index & ((1 << _ROW_BITS) - 1)
        batch = self._reader.read((np.array(stores, np.int64) << _ROW_BITS) | rows)
        return batch | {"_index": drawn.index, "_store": drawn.index >> _ROW_BITS}

    def _read(self, drawn: Draw) -> tuple[Batch, Draw]:
        """The batch, and the windows that it still has."""
        for _ in range(_TRIES):
            try:
                return self._read_windows(drawn), drawn
            except (DroppedError, IndexError):
                # A window whose first rows were dropped may be no window of the sampler any more.
                one_by_one = np.eye(len(drawn), dtype=bool)
                kept = np.array([self._exists(drawn.select(one)) for one in one_by_one])
                if not self._may_drop() or not kept.any():
                    raise
                drawn = drawn.select(kept)
        return self._read_windows(drawn), drawn

    def _may_drop(self) -> bool:
        """Whether rows may be gone that the main process has seen."""
        return self._ids is not None or any(store.first_row for store in self._reader._stores)

    def _exists(self, window: Draw) -> bool:
        try:
            self._read_windows(window)
        except (DroppedError, IndexError):
            return False
        return True

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_reader"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reader = self._make_reader()


def _require_sampler(sampler: Any) -> WindowSampler:
    if not isinstance(sampler, WindowSampler):
        raise TypeError(f"sampler must be a WindowSampler, not {sampler!r}")
    if sampler._options["unit"] != "row":
        raise ValueError(
            "sampler must be a WindowSampler of rows, because windows of values have no _index; "
            "make it with unit='row'"
        )
    return sampler
