"""Ray: stores as a `ray.data.Dataset`, a dataset as a group of stores, and sampling from all nodes.

    >>> import stream_store.ray

`read` returns a dataset of Arrow blocks, `write` writes one store per task, and `Sampler` draws
batches of windows from the stores of every node of a cluster. All data travels through Ray's object
store. Importing `stream_store` imports neither this package nor ray.

paths.py       the stores that a path names, and the nodes that they are on
plan.py        the facts about a store before it is read; its rows, divided into ranges
blocks.py      ranges of rows as Arrow tables, in the types of Ray
datasource.py  the plan as a `Datasource`; `read`
datasink.py    a `Datasink`; `write`
node.py        the actor of a node; draws.py: its windows, as batches
sampler.py     `Sampler`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import ray  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"stream_store.ray needs Ray, which cannot be imported ({error}); install it with "
        "`pip install 'stream-store[ray]'`"
    ) from error

from .sampler import Sampler

if TYPE_CHECKING:
    from .datasink import write
    from .datasource import read

__all__ = ["Sampler", "read", "write"]

# Ray Data is imported when it is used. The actors of a Sampler do without it, which saves about
# half of the time of the import.
_LAZY = {"read": "datasource", "write": "datasink"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"stream_store.ray.{name} needs Ray Data, which cannot be imported ({error}); install "
            "it with `pip install 'stream-store[ray]'`"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
