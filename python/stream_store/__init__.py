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

import importlib
from typing import TYPE_CHECKING, Any

from ._types import Batch
from .errors import (
    CheckError,
    CorruptStoreError,
    DroppedError,
    Error,
    FencedError,
    LockedError,
    RemoteError,
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
from .column import Column
from .group import StoreGroup
from .priorities import Priorities
from .sampler import WindowSampler
from .store import StreamStore, open
from .window_source import WindowSource

if TYPE_CHECKING:
    from ._convert.convert import convert
    from ._convert.report import ConversionReport
    from ._remote.check import RemoteReport, verify_remote
    from ._remote.mirror import Mirror
    from ._remote.publish import ShipReport
    from ._remote.replicate import PullReport
    from ._remote.shipper import Shipper
    from ._statistics import FieldStats
    from .reports import Finding, Gap, RepairReport, VerifyReport, repair, verify

#: Names that are imported on first use, because few programs need them.
_LAZY = {
    "ConversionReport": "_convert.report",
    "FieldStats": "_statistics",
    "Finding": "reports",
    "Gap": "reports",
    "Mirror": "_remote.mirror",
    "PullReport": "_remote.replicate",
    "RemoteReport": "_remote.check",
    "RepairReport": "reports",
    "ShipReport": "_remote.publish",
    "Shipper": "_remote.shipper",
    "VerifyReport": "reports",
    "convert": "_convert.convert",
    "repair": "reports",
    "verify": "reports",
    "verify_remote": "_remote.check",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "Batch",
    "CheckError",
    "Column",
    "ConversionReport",
    "CorruptStoreError",
    "DroppedError",
    "Error",
    "FencedError",
    "FieldStats",
    "Finding",
    "Gap",
    "LockedError",
    "MemmapBuffer",
    "Mirror",
    "Priorities",
    "PullReport",
    "Recovery",
    "RemoteError",
    "RemoteReport",
    "RepairReport",
    "Retention",
    "ShipReport",
    "Shipper",
    "StoreFullError",
    "StoreGroup",
    "StreamStore",
    "VerifyReport",
    "VersionError",
    "WindowSampler",
    "WindowSource",
    "__version__",
    "convert",
    "open",
    "repair",
    "verify",
    "verify_remote",
]
