"""StreamStore: an append-only, memory-mapped store for streams of steps.

    >>> import stream_store
    >>> fields = {"obs": "float32[]", "reward": "float32"}
    >>> with stream_store.StreamStore("run", fields=fields) as store:
    ...     step = store.append_step({"obs": [0.5, 1.5], "reward": 1.0})
    ...     batch = store.windows([0], 3)

Importing the package needs only NumPy. `datasets`, pyarrow and other optional packages are imported
when a method that needs them is called.
"""

from __future__ import annotations

from ._types import Batch
from .errors import (
    CorruptStoreError,
    DroppedError,
    Error,
    LockedError,
    StoreFullError,
    VersionError,
)
from .memmap_buffer import MemmapBuffer

try:
    from ._core import Recovery, __version__
except ImportError as error:
    raise ImportError(
        "stream_store: its compiled part, stream_store._core, cannot be imported "
        f"({error}). Install the package with `pip install stream-store`, or in a checkout with "
        "`pip install -e .`; a checkout on sys.path is not enough."
    ) from error
from ._retention import Retention
from .group import StoreGroup
from .priorities import Priorities
from .reports import Finding, Gap, RepairReport, VerifyReport, repair, verify
from .sampler import WindowSampler
from .store import StreamStore

__all__ = [
    "Batch",
    "CorruptStoreError",
    "DroppedError",
    "Error",
    "Finding",
    "Gap",
    "LockedError",
    "MemmapBuffer",
    "Priorities",
    "Recovery",
    "RepairReport",
    "Retention",
    "StoreFullError",
    "StoreGroup",
    "StreamStore",
    "VerifyReport",
    "VersionError",
    "WindowSampler",
    "__version__",
    "repair",
    "verify",
]
