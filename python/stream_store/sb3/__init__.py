"""Stable-Baselines3: a replay buffer in a store.

    >>> from stream_store.sb3 import StreamReplayBuffer

Importing `stream_store` imports neither this package nor stable_baselines3.

layout.py       the spaces of an environment as fields of a store, and arrays for them
index.py        the row and the flags of each transition that can be sampled, in memory
transitions.py  the transitions of one buffer: a store and its index; appending
opening.py      opens the store of a buffer, once in each process
prioritized.py  draws by priority
columns.py      the arrays of a buffer of Stable-Baselines3, read from the store on demand
buffer.py       `StreamReplayBuffer`
"""

from __future__ import annotations

try:
    import stable_baselines3 as _stable_baselines3  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"stream_store.sb3 needs Stable-Baselines3, which cannot be imported ({error}); install it "
        "with `pip install 'stream-store[sb3]'`"
    ) from error

from .buffer import StreamReplayBuffer
from .prioritized import PriorityBatch

__all__ = ["PriorityBatch", "StreamReplayBuffer"]
