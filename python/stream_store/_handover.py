"""Temporary stores in processes that multiprocessing starts: they are passed by their directory.

A forked child shares the files. A process that is spawned, or comes from a fork server, opens the
hidden directory of the store. multiprocessing may drop the arguments of a process before that has
opened them, so this process keeps the directory until the process object is gone.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from . import _core


def is_spawning() -> bool:
    """Whether this thread is pickling the arguments of a process that is being started."""
    from multiprocessing import context  # with its sockets, a fifth of the time of our import

    return context.get_spawning_popen() is not None


#: The process that is being started -> store id -> the store that is passed to it.
_passed: WeakKeyDictionary[Any, dict[str, _PassedStore]] = WeakKeyDictionary()


class _PassedStore:
    """A temporary store; unpickled in the new process, a store there.

    There is one per process and store, of which pickle makes one store however many snapshots of
    the store are passed.
    """

    def __init__(self, core: _core.Store, kind: type[_core.Store]) -> None:
        self._directory = core._hand_over()
        self._kind = kind
        self._kept = _view_of(core, 0)  # the directory exists as long as this snapshot

    def __reduce__(self) -> tuple[Any, ...]:
        return _take_over, (self._kind, self._directory)


def hand_over(core: _core.Store, kind: type[_core.Store]) -> tuple[Any, ...]:
    """The result of `object.__reduce__` for a temporary store: it becomes a `kind` again."""
    from multiprocessing import context

    passed = _passed.setdefault(context.get_spawning_popen(), {})
    if core.id not in passed:
        passed[core.id] = _PassedStore(core, kind)
    rows = core.num_rows if core._is_snapshot else None
    return _view_of, (passed[core.id], rows)


def _take_over(kind: type[_core.Store], directory: str) -> _core.Store:
    store = kind.__new__(kind)
    _core.Store.__init__(store, directory)
    return store


def _view_of(store: _core.Store, rows: int | None) -> _core.Store:
    if rows is None:
        return store
    view = type(store).__new__(type(store))
    _core.Store.__init__(view, store, rows)
    return view
