"""What exporters share: targets that appear when they are complete, episodes, blocks of rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._arguments import path_text
from stream_store._fields import declared_fields
from stream_store._file_errors import naming
from stream_store._outside import require_outside
from stream_store._segment_cuts import CutState, find_cuts
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath
from stream_store.features.names import batch_key

from .lanes import episodes_by_lane, lane_fields, require_whole
from .residency import Residency, row_parts, rows_within
from .source import BLOCK_BYTES

_CUT_ROWS = 1 << 15  # rows in which episodes are looked for together


@dataclass(frozen=True)
class Episode:
    """Some rows of a store, in their order.

    Attributes:
        number: the position among the exported episodes.
        row_numbers: the rows, a range unless rows of other episodes are between them.
        lane: a number for the lane.
    """

    number: int
    row_numbers: range | NDArray[np.int64]
    lane: int = 0

    @property
    def rows(self) -> int:
        return len(self.row_numbers)

    @property
    def first(self) -> int:
        return int(self.row_numbers[0])

    @property
    def last(self) -> int:
        return int(self.row_numbers[-1])


@contextmanager
def new_directory(path: AnyPath, operation: str) -> Iterator[Path]:
    """A temporary directory beside `path`, which is renamed to `path` at the end.

    After an exception it is deleted. Raises FileExistsError if `path` exists, other than as an
    empty directory, before anything is written.
    """
    target = _target(path, operation)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(
            f"{target}: {operation}: expected a new path or an empty directory; nothing is replaced"
        )
    partial = _partial(target, operation)
    partial.mkdir()
    try:
        with naming(target, operation):
            yield partial
        if target.is_dir():
            target.rmdir()
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def new_file(path: AnyPath, operation: str) -> Iterator[Path]:
    """The same for one file: the path of a temporary file beside `path` to write."""
    target = _target(path, operation)
    if target.exists():
        raise FileExistsError(f"{target}: {operation}: expected a new path; nothing is replaced")
    partial = _partial(target, operation)
    try:
        with naming(target, operation):
            yield partial
        os.link(partial, target)  # unlike a rename, this fails if the file was created meanwhile
    finally:
        partial.unlink(missing_ok=True)


def _target(path: AnyPath, operation: str) -> Path:
    target = Path(path_text(path)).absolute()
    require_outside(target, operation)
    return target


def _partial(target: Path, operation: str) -> Path:
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: {operation}: there is no directory {target.parent}")
    return target.with_name(f".{target.name}.partial-{os.getpid()}")


def episodes_of(
    view: StoreLife,
    by: str | Sequence[str] | None,
    lane_by: str | Sequence[str] | None,
    operation: str,
) -> list[Episode]:
    """The segments of each lane of a snapshot as episodes; without `by`, each lane is one episode.

    Empty if the snapshot has no rows.

    Args:
        view: a snapshot.
        by: the fields that cut episodes.
        lane_by: the fields that name lanes; None takes those that `lane_fields` finds.
        operation: for messages.

    Raises:
        ValueError: a field is unknown or cannot be used, or, without lanes, the rows of episodes
            are interleaved.
    """
    names = [by] if isinstance(by, str) else list(by or ())
    lanes = lane_fields(view, lane_by, names, operation)
    if view.kept_rows == 0:
        return []
    if names:
        view.snapshot(view.first_row).segments(names)  # checks the fields
    if lanes:
        found = episodes_by_lane(view, names, lanes)
        return [Episode(i, _as_range(rows), lane) for i, (lane, rows) in enumerate(found)]
    starts = [view.first_row, *(_cuts(view, names) if names else ())]
    if lane_by is None:
        require_whole(view, names, starts, f"{view._where()}: {operation}")
    stops = [*starts[1:], view.num_rows]
    return [
        Episode(number, range(start, stop))
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def _as_range(rows: NDArray[np.int64]) -> range | NDArray[np.int64]:
    """Increasing rows as a range, if there are no others between them."""
    first, last = int(rows[0]), int(rows[-1])
    return range(first, last + 1) if last - first + 1 == len(rows) else rows


def _cuts(view: StoreLife, names: list[str]) -> Iterator[int]:
    """The rows at which segments begin after the first one, as `view.segments` finds them.

    Reads block by block, so that the pages of a large store are not all mapped at the same time.
    """
    state = CutState()
    for rows in row_parts(view, _CUT_ROWS):
        batch = view.read_rows(rows, fields=names)
        keys = [batch_key(name) for name in names]
        begins, state = find_cuts([(batch[key], batch["_mask"][key]) for key in keys], state)
        yield from (rows.start + begins).tolist()


def row_blocks(
    residency: Residency,
    episode: Episode,
    fields: Sequence[str],
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
    """The rows of an episode in blocks of about one size: row numbers, and what is read of them."""
    view, start = residency.view, 0
    while start < episode.rows:
        rows = episode.row_numbers[start:]
        rows = rows[: rows_of_bytes(view, rows, fields, block_bytes)]
        chosen = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        yield np.asarray(rows, np.int64), view.read_rows(chosen, fields=fields)
        residency.touched_rows(int(rows[0]), int(rows[-1]) + 1)
        start += len(rows)


def rows_of_bytes(
    view: StoreLife, rows: range | NDArray[np.int64], fields: Sequence[str], block_bytes: int
) -> int:
    """How many of the rows, from the first one on, have about `block_bytes` once they are decoded.

    These rows, and those between them, take no more than that in the store either: fields of
    varying length are measured by it, and other fields map pages too. At least one.
    """
    chosen = set(fields)
    fixed = 1
    for spec in declared_fields(view).specs:
        if {spec.name, spec.path[0]} & chosen and not spec.hidden and spec.fixed_length is not None:
            fixed += prod(spec.shape) * max(spec.numpy_dtype.itemsize, 1) + 1
    return rows_within(view, rows[: max(1, block_bytes // fixed)], block_bytes)
