"""Which epoch a worker begins: counted in memory that all processes of a loader share.

A loader with persistent workers iterates the same data set again and again; one without makes new
workers, from what the data set was in the parent, for every epoch. Each worker therefore counts the
epochs it began in a place of its own of shared memory, which outlives it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from multiprocessing import sharedctypes
from typing import Any

from stream_store._handover import is_spawning
from stream_store.sampler import WindowSampler, check_epoch

_MOST_WORKERS = 4096
_RESUMES = -1  # in the place of an epoch: the next iteration goes on from a loaded state


class EpochCounter:
    """Epochs begun, by worker."""

    def __init__(self) -> None:
        self._begun: Any = sharedctypes.RawArray(ctypes.c_int64, _MOST_WORKERS)

    def set(self, epoch: int) -> None:
        """Every worker begins `epoch` next."""
        epoch = check_epoch(epoch)
        for worker in range(_MOST_WORKERS):
            self._begun[worker] = epoch

    def resume(self, worker: int) -> None:
        """This worker's next iteration is where the state it loaded was taken."""
        self._begun[worker % _MOST_WORKERS] = _RESUMES

    def resumes(self, worker: int) -> bool:
        return bool(self._begun[worker % _MOST_WORKERS] == _RESUMES)

    def begin(self, sampler: WindowSampler, worker: int) -> Iterator[Any]:
        """The iteration of this worker's next epoch, or of the one that it resumes."""
        if not self.resumes(worker):
            sampler._go_to_epoch(self._begun[worker % _MOST_WORKERS])
        batches = iter(sampler)
        self._begun[worker % _MOST_WORKERS] = sampler.state_dict()["epoch"] + 1
        return batches

    def __getstate__(self) -> Any:
        # Shared memory goes along while a process is started; a plain copy is one of the counts.
        return self._begun if is_spawning() else list(self._begun)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, list):
            self._begun = sharedctypes.RawArray(ctypes.c_int64, state)
        else:
            self._begun = state
