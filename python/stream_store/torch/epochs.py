"""The number of a worker's next epoch, counted in memory that all processes of a loader share.

A loader with persistent workers iterates over the same dataset repeatedly. A loader without them
starts new workers for every epoch, each with a copy of the parent's dataset. So each worker counts
its epochs in its own slot of shared memory, which outlives the worker.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from multiprocessing import sharedctypes
from typing import Any

from stream_store._arguments import epoch_number
from stream_store._handover import is_spawning
from stream_store.sampler import WindowSampler

_MOST_WORKERS = 4096
_RESUMES = -1  # in the slot of a worker: its next iteration continues from a loaded state


class EpochCounter:
    """The next epoch of each worker."""

    def __init__(self) -> None:
        self._begun: Any = sharedctypes.RawArray(ctypes.c_int64, _MOST_WORKERS)

    def set(self, epoch: int) -> None:
        """Make `epoch` the next one of every worker."""
        epoch = epoch_number(epoch)
        for worker in range(_MOST_WORKERS):
            self._begun[worker] = epoch

    def resume(self, worker: int) -> None:
        """Let this worker's next iteration continue from the state that it loaded."""
        self._begun[worker % _MOST_WORKERS] = _RESUMES

    def resumes(self, worker: int) -> bool:
        """Whether this worker's next iteration continues from a loaded state."""
        return bool(self._begun[worker % _MOST_WORKERS] == _RESUMES)

    def begin(self, sampler: WindowSampler, worker: int) -> Iterator[Any]:
        """Begin this worker's next epoch, or continue the one that it resumes."""
        if not self.resumes(worker):
            sampler._go_to_epoch(self._begun[worker % _MOST_WORKERS])
        batches = iter(sampler)
        self._begun[worker % _MOST_WORKERS] = sampler.state_dict()["epoch"] + 1
        return batches

    def __getstate__(self) -> Any:
        # A process that is being started shares the memory; any other copy has its own counts.
        return self._begun if is_spawning() else list(self._begun)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, list):
            self._begun = sharedctypes.RawArray(ctypes.c_int64, state)
        else:
            self._begun = state
