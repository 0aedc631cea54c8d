"""Opens the store of a replay buffer, once in each process.

`DQN.load` makes a buffer from the arguments that the model was made with, and `load_replay_buffer`
makes another one from the saved file, often while the first one still exists. Both have the same
path, and a store has one writer. So all buffers of a process with the same path share one
`Transitions`, which is closed with the last of them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from collections.abc import Sequence
from typing import Any, Literal

from stream_store import LockedError, StreamStore
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec, parse_fields

from .layout import Layout
from .transitions import Transitions

#: Fields that a message names.
_SHOWN = 3

_shared: weakref.WeakValueDictionary[str, Transitions] = weakref.WeakValueDictionary()
_temporary: weakref.WeakSet[Transitions] = weakref.WeakSet()


def open_transitions(path: Any, mode: Literal["a", "x"], layout: Layout, steps: int) -> Transitions:
    """The transitions of the store at a path, or of a temporary store if the path is None.

    Raises:
        ValueError: the store, or a buffer of this process with the same path, has another form.
        LockedError: another process, or a StreamStore of this one, has the store open for writing.
        FileExistsError: mode "x", and there is a store.
    """
    if path is None:
        opened = Transitions(StreamStore(fields=layout.fields), layout, steps)
        _temporary.add(opened)
        return opened
    where = os.path.realpath(path)
    if (shared := _open_here(where)) is not None:
        return _same(shared, where, mode, layout, steps)
    try:
        store = StreamStore(path, mode, fields=layout.fields)
    except LockedError as error:
        raise LockedError(
            f"{error}. A replay buffer needs to append; to read it from elsewhere, open it with "
            "StreamStore(path, 'r')"
        ) from None
    except ValueError as error:
        reason = _difference(where, layout) or str(error)
        raise ValueError(
            f"{where}: the store cannot hold the transitions of these spaces and n_envs="
            f"{layout.n_envs}: {reason}"
        ) from None
    try:
        _shared[where] = opened = Transitions(store, layout, steps)
    except BaseException:
        store.close()
        raise
    return opened


def _difference(path: str, layout: Layout) -> str:
    """The fields of a store that are not those of a layout; empty if that cannot be found out."""
    try:
        with StreamStore(path, "r") as store:
            found = _types_of(declared_fields(store).specs)
    except (OSError, ValueError):
        return ""
    expected = _types_of(parse_fields(layout.fields))
    differences = [
        f"field {name!r}: expected {expected.get(name, 'no such field')} but found "
        f"{found.get(name, 'no such field')}"
        for name in {**expected, **found}
        if expected.get(name) != found.get(name)
    ]
    more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return "; ".join(differences[:_SHOWN]) + more


def _types_of(specs: Sequence[FieldSpec]) -> dict[str, str]:
    return {spec.name: spec.text for spec in specs if not spec.hidden}


def require_store(path: str) -> None:
    """Raise FileNotFoundError unless there is a store, which opening it would create.

    Raises:
        FileNotFoundError: there is none.
    """
    if _open_here(path) is None:
        try:
            StreamStore(path, "r").close()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"the saved replay buffer has its transitions in a store that is not there: {error}"
            ) from None


def _open_here(where: str) -> Transitions | None:
    """The transitions at a real path that this process has open; None if it has not."""
    shared = _shared.get(where)
    return None if shared is None or shared.store.closed or not shared.in_own_process else shared


def _same(shared: Transitions, where: str, mode: str, layout: Layout, steps: int) -> Transitions:
    if mode == "x":
        raise FileExistsError(f"{where}: a replay buffer of this process has this store open")
    mine = {**layout.fields, "n_envs": layout.n_envs, "buffer_size": steps * layout.n_envs}
    other = shared.layout
    theirs = {
        **other.fields,
        "n_envs": other.n_envs,
        "buffer_size": shared.index.steps * other.n_envs,
    }
    for name in mine.keys() | theirs.keys():
        if mine.get(name) != theirs.get(name):
            raise ValueError(
                f"{where}: a replay buffer of this process has this store open with {name} "
                f"{theirs.get(name)!r}, which must be {mine.get(name)!r} for this one; call its "
                "close() first"
            )
    return shared


@atexit.register
def _close_all() -> None:
    """Close the buffers of a script that ends; stores close themselves only after this."""
    for transitions in [*_shared.values(), *_temporary]:
        with contextlib.suppress(OSError, ValueError):  # the next open recovers the store
            transitions.close()
