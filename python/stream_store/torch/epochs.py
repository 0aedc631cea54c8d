"""The number of the next epoch, in memory that all processes of a loader share.

A loader with persistent workers iterates over the same dataset repeatedly. A loader without them
starts new workers for every epoch, each with a copy of the parent's dataset. A dataset may be used
with another number of workers later, or by two loaders. In all cases the workers of one iteration
of a loader must begin the same epoch, and the next iteration the next one:

1. Worker 0 takes the number of the next epoch, adds one to it, and announces the number that it
   took, with a key that only the workers of this iteration have (`_key`).
2. The other workers wait for an announcement with their key that they have not followed yet, and
   begin the epoch that it names.

There is no lock, because a worker that is terminated could leave it locked. So two loaders whose
iterations begin at the same moment may get the same epoch, which is complete in each of them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import time
from multiprocessing import sharedctypes
from typing import Any

from torch.utils.data import get_worker_info

from stream_store._arguments import epoch_number
from stream_store._handover import is_spawning

_MOST_WORKERS = 4096
# Places for announcements, one for each of the last iterations. The process number of worker 0 and
# the count of its iterations choose one. It is a prime, so that loaders of 2, 4, 8… workers that
# begin together, with consecutive processes, use different ones.
_ANNOUNCEMENTS = 31
_PATIENCE = 120.0  # seconds: workers that are spawned import torch, in any order


class _Announcement(ctypes.Structure):
    """The epoch of one iteration of a loader."""

    _fields_ = (
        ("time", ctypes.c_int64),  # when it was made; written last; 0 while it is being written
        ("key", ctypes.c_int64 * 4),
        ("epoch", ctypes.c_int64),
        ("followed", ctypes.c_int8 * _MOST_WORKERS),  # by each worker
    )


class _Shared(ctypes.Structure):
    _fields_ = (
        ("next", ctypes.c_int64),
        ("in_workers", ctypes.c_int64),  # whether workers made the last iteration
        ("resumes", ctypes.c_int8 * _MOST_WORKERS),  # continue from a state that was loaded
        ("announced", _Announcement * _ANNOUNCEMENTS),
    )


class EpochCounter:
    """Counts the epochs of a dataset."""

    def __init__(self) -> None:
        self._shared: Any = sharedctypes.RawValue(_Shared)
        self._iterations = (0, 0)  # the process, and the iterations that it has begun

    def set(self, epoch: int) -> None:
        """Make `epoch` the next one of every worker."""
        self._shared.next = epoch_number(epoch)
        ctypes.memset(self._shared.resumes, 0, _MOST_WORKERS)

    def resume(self, worker: int) -> None:
        """Let this worker's next iteration continue from the state that it loaded."""
        self._shared.resumes[worker % _MOST_WORKERS] = 1
        if get_worker_info() is None:
            self._shared.in_workers = 0

    def resumes(self, worker: int) -> bool:
        """Whether this worker's next iteration continues from a loaded state."""
        return bool(self._shared.resumes[worker % _MOST_WORKERS])

    @property
    def in_workers(self) -> bool:
        """Whether the last iteration was made in the workers of a loader."""
        return bool(self._shared.in_workers)

    def begin(self, worker: int, resumed: int | None) -> int:
        """Begin the next epoch, or the one that this worker resumes, and return its number."""
        shared = self._shared
        shared.resumes[worker % _MOST_WORKERS] = 0
        info = get_worker_info()
        shared.in_workers = int(info is not None)
        key = self._key()
        if worker == 0:
            epoch = shared.next if resumed is None else resumed
            shared.next = epoch + 1
            if info is not None and info.num_workers > 1:
                self._announce(key, epoch)
            return epoch
        epoch = self._follow(worker, key)
        return epoch if resumed is None else resumed

    def begin_again(self, epoch: int) -> None:
        """Make `epoch` the next one if it was the last that began."""
        if self._shared.next == epoch + 1:
            self._shared.next = epoch

    def _key(self) -> tuple[int, int, int, int]:
        """The same for all workers of one iteration. The seed is drawn anew for every loader
        iterator, unless the program seeds torch again for each; persistent workers keep theirs.
        """
        process, count = self._iterations
        count = count + 1 if process == os.getpid() else 0
        self._iterations = (os.getpid(), count)
        info = get_worker_info()
        parent = multiprocessing.parent_process()
        if info is None or parent is None or parent.pid is None:
            return (0, 0, 0, 0)
        return (parent.pid, info.seed - info.id, info.num_workers, count)

    def _announce(self, key: tuple[int, ...], epoch: int) -> None:
        process, count = self._iterations
        place = self._shared.announced[(process + count) % _ANNOUNCEMENTS]
        place.time = 0
        place.key[:] = key
        place.epoch = epoch
        ctypes.memset(place.followed, 0, _MOST_WORKERS)
        place.time = time.monotonic_ns()

    def _follow(self, worker: int, key: tuple[int, ...]) -> int:
        place = worker % _MOST_WORKERS
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            found = [
                one
                for one in self._shared.announced
                if one.time and tuple(one.key) == key and not one.followed[place]
            ]
            if found:
                newest = max(found, key=lambda one: int(one.time))
                newest.followed[place] = 1
                return int(newest.epoch)
            time.sleep(0.001)
        raise RuntimeError(
            f"WindowIterableDataset: worker {worker} has waited {_PATIENCE:.0f} s for worker 0 to "
            "begin the epoch; every worker of a loader must iterate over the dataset"
        )

    def __getstate__(self) -> Any:
        # A process that is being started shares the memory; any other copy has its own counts.
        if is_spawning():
            return self._shared
        return self._shared.next, [place for place, one in enumerate(self._shared.resumes) if one]

    def __setstate__(self, state: Any) -> None:
        self.__init__()  # type: ignore[misc]
        if isinstance(state, tuple):
            self._shared.next, resumes = state
            for place in resumes:
                self._shared.resumes[place] = 1
        else:
            self._shared = state
