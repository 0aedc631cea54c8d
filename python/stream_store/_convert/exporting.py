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

from stream_store._arguments import path_text
from stream_store._fields import declared_fields
from stream_store._file_errors import naming
from stream_store._outside import require_outside
from stream_store._segment_cuts import CutState, find_cuts, find_interleaved, interleaved_text
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath
from stream_store.features.names import batch_key

from .residency import Residency
from .source import BLOCK_BYTES

_CUT_ROWS = 1 << 15  # rows in which episodes are looked for together


@dataclass(frozen=True)
class Episode:
    """Rows [start, stop) of a store; number is the position among the exported episodes."""

    number: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


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
    view: StoreLife, by: str | Sequence[str] | None, operation: str = "convert"
) -> list[Episode]:
    """The segments of a snapshot as episodes; without `by`, all rows are one episode.

    Empty if the snapshot has no rows.

    Raises:
        ValueError: the fields cannot cut episodes, or rows of several episodes are interleaved.
    """
    if view.kept_rows == 0:
        return []
    if by is None or (not isinstance(by, str) and not by):
        return [Episode(0, view.first_row, view.num_rows)]
    names = [by] if isinstance(by, str) else list(by)
    view.snapshot(view.first_row).segments(names)  # checks the fields
    starts = [view.first_row, *_cuts(view, names)]
    if len(names) == 1:
        twice = find_interleaved(view, names[0], starts)
        if twice is not None:
            raise ValueError(
                f"{view._where()}: {operation}: {interleaved_text(view, names[0], twice)}. Sort "
                "the rows by episode into another store first, as the guide page about Gymnasium "
                "shows"
            )
    stops = [*starts[1:], view.num_rows]
    return [
        Episode(number, start, stop)
        for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def _cuts(view: StoreLife, names: list[str]) -> Iterator[int]:
    """The rows at which segments begin after the first one, as `view.segments` finds them.

    Reads block by block, so that the pages of a large store are not all mapped at the same time.
    """
    residency = Residency(view)
    state = CutState()
    for first in range(view.first_row, view.num_rows, _CUT_ROWS):
        stop = min(first + _CUT_ROWS, view.num_rows)
        batch = view.read_rows(slice(first, stop), fields=names)
        keys = [batch_key(name) for name in names]
        begins, state = find_cuts([(batch[key], batch["_mask"][key]) for key in keys], state)
        yield from (first + begins).tolist()
        residency.touched(8 * (_end_position(view, stop) - int(view.position_of(first))))


def row_blocks(
    view: StoreLife,
    start: int,
    stop: int,
    fields: Sequence[str],
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows [start, stop) as (first row, result of `read_rows`), in blocks of about one size."""
    while start < stop:
        count = min(rows_of_bytes(view, start, stop, fields, block_bytes), stop - start)
        yield start, view.read_rows(slice(start, start + count), fields=fields)
        start += count


def rows_of_bytes(
    view: StoreLife, start: int, stop: int, fields: Sequence[str], block_bytes: int
) -> int:
    """How many rows from `start` on have about `block_bytes` once they are decoded.

    Fields of varying length are measured by the space that the next rows take in the store. At
    least one.
    """
    chosen = set(fields)
    fixed, varies = 1, False
    for spec in declared_fields(view).specs:
        if not {spec.name, spec.path[0]} & chosen or spec.hidden:
            continue
        if spec.fixed_length is None:
            varies = True
        else:
            fixed += prod(spec.shape) * max(spec.numpy_dtype.itemsize, 1) + 1
    count = max(1, block_bytes // fixed)
    if varies:
        # The stored size of all fields, halving the rows until it fits: one look-up each.
        count = min(count, stop - start)
        first = int(view.position_of(start))
        while count > 1 and _end_position(view, start + count) - first > block_bytes // 8:
            count //= 2
    return count


def _end_position(view: StoreLife, row: int) -> int:
    """The position at which rows before `row` end, in values of 8 bytes."""
    return len(view) if row >= view.num_rows else int(view.position_of(row))
