"""Iterations over the batches of a WindowSampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._closing import ClosedByWith
from ._types import Batch

if TYPE_CHECKING:
    from typing_extensions import Self


class Batches:
    """One iteration. Its number tells the sampler whether it has ended."""

    def __init__(self, core: _core.Sampler) -> None:
        self._core: _core.Sampler | None = core
        self._iteration = core.begin_iteration()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = None if self._core is None else self._core.next_batch(self._iteration)
        if batch is None:
            self._core = None
            raise StopIteration
        return batch


class PrefetchedBatches(ClosedByWith):
    """An iteration whose batches are read ahead; made by `WindowSampler.prefetch`.

    Examples:
        >>> store = StreamStore(fields={"action": "int64"})
        >>> rows = store.extend({"action": np.arange(10)})
        >>> with WindowSampler(store, 4, batch_size=8).prefetch(ahead=3) as batches:
        ...     next(batches)["values"].shape
        (8, 4)
    """

    def __init__(self, core: _core.Sampler, ahead: int) -> None:
        self._prefetch = _core.Prefetch(core, ahead)

    def __iter__(self) -> Self:
        """Return this iterator."""
        return self

    def __next__(self) -> Batch:
        batch = self._prefetch.next_batch()
        if batch is None:
            raise StopIteration
        return batch

    def close(self) -> None:
        """End the iteration and its thread. Further calls do nothing.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> batches = WindowSampler(store, 4).prefetch()
            >>> batches.close()
        """
        self._prefetch.close()
