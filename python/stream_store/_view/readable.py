"""Readable: the part of a StreamStore that the views use.

`StreamStore.plot` is a view, too, so the views cannot import the class itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_store._retention import Retention


class Readable(Protocol):
    """A store or a snapshot; `StreamStore` describes the members."""

    @property
    def path(self) -> Path | None: ...
    @property
    def id(self) -> str: ...
    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def retention(self) -> Retention: ...
    @property
    def live(self) -> bool: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def first_row(self) -> int: ...
    @property
    def kept_rows(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def snapshot(self) -> Readable: ...
    def read_rows(self, *args: Any, **kwargs: Any) -> dict[str, Any]: ...
    def index_table(
        self, start: int | None = None, stop: int | None = None
    ) -> NDArray[np.void]: ...
