"""Temporary stores in processes that multiprocessing starts: they are passed as open descriptors.

A forked child shares the files. A process that is spawned, or comes from a fork server, gets
duplicates of the descriptors, which multiprocessing passes along while it starts the process and at
no other time.
"""

from __future__ import annotations

from multiprocessing import context, reduction
from typing import Any
from weakref import WeakKeyDictionary

from . import _core


def is_spawning() -> bool:
    """Whether this thread is pickling the arguments of a process that is being started."""
    return context.get_spawning_popen() is not None


#: The process that is being started -> store id -> the files to pass to it.
_passed: WeakKeyDictionary[Any, dict[str, _PassedFiles]] = WeakKeyDictionary()


class _PassedFiles:
    """The files of a temporary store; unpickled in the new process, a store.

    There is one per process and store: multiprocessing passes no descriptor twice, and pickle makes
    one store of it, however many snapshots of the store are passed.
    """

    def __init__(self, core: _core.Store, kind: type[_core.Store]) -> None:
        descriptors, self._schema = core._hand_over()
        self._duplicates = [reduction.DupFd(descriptor) for descriptor in descriptors]
        self._kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return _take_over, (self._kind, self._duplicates, self._schema)


def hand_over(core: _core.Store, kind: type[_core.Store]) -> tuple[Any, ...]:
    """The result of `object.__reduce__` for a temporary store: it becomes a `kind` again."""
    passed = _passed.setdefault(context.get_spawning_popen(), {})
    if core.id not in passed:
        passed[core.id] = _PassedFiles(core, kind)
    rows = core.num_rows if core._is_snapshot else None
    return _view_of, (passed[core.id], rows)


def _take_over(kind: type[_core.Store], duplicates: list[Any], schema: bytes) -> _core.Store:
    descriptors = [duplicate.detach() for duplicate in duplicates]
    store = kind.__new__(kind)
    _core.Store.__init__(store, descriptors, schema)
    return store


def _view_of(store: _core.Store, rows: int | None) -> _core.Store:
    if rows is None:
        return store
    view = type(store).__new__(type(store))
    _core.Store.__init__(view, store, rows)
    return view
