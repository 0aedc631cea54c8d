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

try:
    import ray.data as _ray_data  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"stream_store.ray needs Ray Data, which cannot be imported ({error}); install it with "
        "`pip install 'stream-store[ray]'`"
    ) from error

from .datasink import write
from .datasource import read
from .sampler import Sampler

__all__ = ["Sampler", "read", "write"]
