"""What exporters share: targets that appear when they are complete, episodes, blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_store._types import AnyPath
from stream_store.store import StreamStore

from .source import BLOCK_BYTES


@dataclass(frozen=True)
class Episode:
    """Rows [start, stop) of a store; number is the position among the exported episodes."""

    number: int
    start: int
    stop: int
    complete: bool  # False for the last segment if it may still grow


@contextmanager
def new_directory(path: AnyPath, operation: str) -> Iterator[Path]:
    """A temporary directory beside `path`, which is renamed to `path` at the end.

    After an exception it is deleted. Raises FileExistsError if `path` exists, other than as an
    empty directory, before anything is written.
    """
    yield Path()
    raise NotImplementedError


@contextmanager
def new_file(path: AnyPath, operation: str) -> Iterator[Path]:
    """The same for one file: the path of a temporary file beside `path` to write."""
    yield Path()
    raise NotImplementedError


def episodes_of(view: StreamStore, by: str | Sequence[str] | None) -> list[Episode]:
    """The segments of a snapshot as episodes; without `by`, all rows are one episode.

    Empty if the snapshot has no rows.
    """
    raise NotImplementedError


def row_blocks(
    view: StreamStore,
    start: int,
    stop: int,
    fields: Sequence[str],
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows [start, stop) as (first row, result of `read_rows`), in blocks of about `block_bytes`."""
    raise NotImplementedError
