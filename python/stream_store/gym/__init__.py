"""Gymnasium: wrappers that record an environment, or a vector of environments, into a store.

    >>> import stream_store.gym

`RecordToStore` wraps a `gymnasium.Env` and `RecordVectorToStore` a `gymnasium.vector.VectorEnv`.
Importing `stream_store` imports neither this package nor gymnasium. Examples assume
``import gymnasium`` and the names of this package.

layout.py  the fields of a recording, the store, and the parts of samples that are its columns
single.py  `RecordToStore`
vector.py  `RecordVectorToStore`; infos.py: the values of one environment in the infos of all
"""

from __future__ import annotations

try:
    import gymnasium as _gymnasium  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"stream_store.gym needs Gymnasium, which cannot be imported ({error}); install it with "
        "`pip install 'stream-store[gym]'`"
    ) from error

from .single import RecordToStore
from .vector import RecordVectorToStore

__all__ = ["RecordToStore", "RecordVectorToStore"]
