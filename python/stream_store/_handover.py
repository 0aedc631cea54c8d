"""How a temporary store gets into a process that multiprocessing starts: as open descriptors.

A forked child shares them as they are. One that is spawned, or comes from a fork server, gets
duplicates, which multiprocessing passes along while it starts the process, and at no other time.
"""

from __future__ import annotations

from multiprocessing import context, reduction
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from . import _core

if TYPE_CHECKING:
    from .store import StreamStore


def is_spawning() -> bool:
    """Whether this thread is pickling what a new process will start with."""
    return context.get_spawning_popen() is not None


#: The process that is being started -> store id -> what is handed over to it.
_on_the_way: WeakKeyDictionary[Any, dict[str, _HandedOver]] = WeakKeyDictionary()


class _HandedOver:
    """The files of a temporary store; in the new process, a store of them.

    There is one for a process and a store: multiprocessing passes no descriptor twice, and pickle
    makes one store of it, however many snapshots go along.
    """

    def __init__(self, store: StreamStore) -> None:
        descriptors, self._schema = store._hand_over()
        self._duplicates = [reduction.DupFd(descriptor) for descriptor in descriptors]

    def __reduce__(self) -> tuple[Any, ...]:
        return _take_over, (self._duplicates, self._schema)


def hand_over(store: StreamStore) -> tuple[Any, ...]:
    """What `store`, a temporary one, becomes in the new process; see `object.__reduce__`."""
    handed = _on_the_way.setdefault(context.get_spawning_popen(), {})
    if store.id not in handed:
        handed[store.id] = _HandedOver(store)
    rows = store.num_rows if store._is_snapshot else None
    return _view_of, (handed[store.id], rows)


def _take_over(duplicates: list[Any], schema: bytes) -> StreamStore:
    from .store import StreamStore

    descriptors = [duplicate.detach() for duplicate in duplicates]
    store = StreamStore.__new__(StreamStore)
    _core.Store.__init__(store, descriptors, schema)
    store._absolute = None
    return store


def _view_of(store: StreamStore, rows: int | None) -> StreamStore:
    return store if rows is None else store.snapshot(rows)
