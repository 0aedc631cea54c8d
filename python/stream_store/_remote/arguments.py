"""Checks of the arguments of Shipper and Mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stream_store._arguments import absolute_path, path_text
from stream_store._types import AnyPath
from stream_store.group import StoreGroup, is_group
from stream_store.store import StreamStore

#: More than any pause; the clocks of threads cannot count much longer.
_MOST_SECONDS = 1e9


def seconds(name: str, value: Any, *, zero: bool = False) -> float:
    """A finite number of seconds above 0, or with `zero` also 0."""
    accepted = "0 or more" if zero else "above 0"
    wrong = f"{name} must be seconds, {accepted} and at most 1e9, not {value!r}"
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(wrong)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(wrong) from None
    if not 0 <= number <= _MOST_SECONDS or (number == 0 and not zero):
        raise ValueError(wrong)
    return number


def source_path(store: StreamStore | AnyPath) -> str:
    """The absolute path of a store to be shipped."""
    if isinstance(store, StoreGroup):
        raise TypeError(_group_text("a StoreGroup"))
    if not isinstance(store, StreamStore):
        path = absolute_path(path_text(store))
        if is_group(Path(path)):
            raise ValueError(_group_text(path))
        return path
    if store.path is None:
        raise ValueError("a temporary store cannot be shipped, because nothing of it is durable")
    return str(store.path.absolute())


def _group_text(what: str) -> str:
    return (
        f"{what} is a group of stores: ship each of its stores to a URL of its own, and read the "
        "replicas in one directory as a StoreGroup"
    )
