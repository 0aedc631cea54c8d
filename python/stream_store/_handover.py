"""How a temporary store gets into a process that multiprocessing starts: as open descriptors.

A forked child shares them as they are. One that is spawned, or comes from a fork server, gets
duplicates, which multiprocessing passes along while it starts the process, and at no other time.
"""

from __future__ import annotations

from multiprocessing import context, reduction
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from .store import StreamStore


def is_spawning() -> bool:
    """Whether this thread is pickling what a new process will start with."""
    return context.get_spawning_popen() is not None


def hand_over(store: StreamStore) -> tuple[Any, ...]:
    """What `store`, a temporary one, becomes in the new process; see `object.__reduce__`."""
    descriptors, schema = store._hand_over()
    duplicates = [reduction.DupFd(descriptor) for descriptor in descriptors]
    rows = store.num_rows if store._is_snapshot else None
    return _take_over, (duplicates, schema, rows)


def _take_over(duplicates: list[Any], schema: bytes, rows: int | None) -> StreamStore:
    from .store import StreamStore

    descriptors = [duplicate.detach() for duplicate in duplicates]
    store = StreamStore.__new__(StreamStore)
    _core.Store.__init__(store, descriptors, schema)
    store._absolute = None
    if rows is None:
        return store
    with store:
        return store.snapshot(rows)
