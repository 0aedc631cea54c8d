"""The facts about a store before it is read, and its rows divided into ranges, one per task.

A plan is made once. It fixes the rows, so that a dataset stays as it is while its stores grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_store._exchange.arrow import to_arrow
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec, difference
from stream_store.sampler import WindowSampler
from stream_store.store import StreamStore

from .paths import StorePlace

_SAMPLED_ROWS = 64


@dataclass(frozen=True)
class StoreRows:
    """The rows of one store at the time of planning.

    Attributes:
        path: of the store.
        rows: the rows.
        complete: the number of rows before the last one that could still grow.
        key: identifies the content of the complete rows.
        specs: its fields; in a group, those of the group.
        schema: their Arrow types, a `pyarrow.Schema`.
        column_bytes: about how many bytes the rows of each column take in Arrow, if known.
        begins: the rows at which segments begin, sorted; None if rows may be divided anywhere.
    """

    path: str
    rows: range
    complete: int
    key: tuple[Any, ...]
    specs: list[FieldSpec]
    schema: Any
    column_bytes: dict[str, float]
    begins: NDArray[np.int64] | None


@dataclass(frozen=True)
class RowRange:
    """Rows [start, stop) of a store, with the facts that must still hold when they are read."""

    path: str
    start: int
    stop: int
    complete: int
    key: tuple[Any, ...]


def examine(place: StorePlace, segment_by: Sequence[str] | None, operation: str) -> StoreRows:
    """Look at a store.

    Raises:
        ValueError: `segment_by` names none of its fields.
    """
    path = place.path
    with StreamStore(path, "r") as store:
        view = store.snapshot()
        specs = declared_fields(view).specs if place.specs is None else place.specs
        rows = range(view.first_row, view.num_rows)
        complete = view.first_row + WindowSampler(view, 1, unit="row").num_starts
        begins = None
        if segment_by:
            try:
                begins = view.segments(list(segment_by))[:, 0]
            except ValueError as error:
                raise ValueError(f"{path}: {operation}: segment_by: {error}") from error
        return StoreRows(
            path=path,
            rows=rows,
            complete=complete,
            key=content_key(view, complete),
            specs=specs,
            schema=pa.schema(view),
            column_bytes=_column_bytes(view),
            begins=begins,
        )


def content_key(store: StreamStore, complete: int) -> tuple[Any, ...]:
    """Identifies the store and the content of its first rows. Drops do not change it."""
    return tuple(store.snapshot(max(complete, store.first_row))._content_key[:3])


def _column_bytes(view: StreamStore) -> dict[str, float]:
    """About how many bytes each column takes, from a few rows in the middle."""
    middle = (view.first_row + view.num_rows) // 2
    first = max(view.first_row, middle - _SAMPLED_ROWS // 2)
    last = min(view.num_rows, first + _SAMPLED_ROWS)
    try:
        table = to_arrow(view, first, last).read_all()
    except (OSError, ValueError):  # the task that reads a damaged row reports it
        return {}
    part = _words(view, first, last)
    scale = (
        _words(view, view.first_row, view.num_rows) / part
        if part
        else view.kept_rows / max(1, last - first)
    )
    return {name: table.column(name).nbytes * scale for name in table.column_names}


def _words(view: StreamStore, first: int, last: int) -> int:
    """The stored values of rows [first, last)."""
    end = len(view) if last == view.num_rows else int(view.position_of(last))
    return end - (int(view.position_of(first)) if first < view.num_rows else end)


def require_equal_fields(stores: Sequence[StoreRows], operation: str) -> None:
    """Refuse stores whose fields differ; the message names both stores and the field."""
    for store in stores[1:]:
        text = difference(store.specs, stores[0].specs)
        if text is not None:
            raise ValueError(
                f"{operation}: expected stores with equal fields, but {store.path} differs from "
                f"{stores[0].path}: {text}"
            )


def divide(
    stores: Sequence[StoreRows], bytes_of: Sequence[float], parts: int
) -> list[list[RowRange]]:
    """Divide the rows of all stores into at most `parts` lists of ranges, of about equal bytes.

    Args:
        stores: the stores.
        bytes_of: the bytes of each store.
        parts: how many lists.
    """
    total = max(sum(bytes_of), 1.0)
    lists: list[list[RowRange]] = [[] for _ in range(parts)]
    before = 0.0
    for store, size in zip(stores, bytes_of, strict=True):
        for number, start, stop in _pieces(store, before * parts / total, size * parts / total):
            lists[min(number, parts - 1)].append(
                RowRange(store.path, start, stop, store.complete, store.key)
            )
        before += size
    return [ranges for ranges in lists if ranges]


def _pieces(store: StoreRows, begin: float, length: float) -> Iterator[tuple[int, int, int]]:
    """The rows of a store as (number of the part, start, stop).

    The store lies at [begin, begin + length), where each part has a length of 1.
    """
    rows = store.rows
    if not rows:
        return
    numbers = np.arange(int(begin), int(np.ceil(begin + length)) + 1)
    places = np.clip((numbers - begin) / max(length, 1e-9), 0.0, 1.0)
    cuts = rows.start + np.round(places * len(rows)).astype(np.int64)
    cuts[0], cuts[-1] = rows.start, rows.stop
    if store.begins is not None and len(store.begins):
        cuts[1:-1] = _nearest(cuts[1:-1], np.append(store.begins, rows.stop))
    for number, start, stop in zip(
        numbers.tolist(), cuts[:-1].tolist(), cuts[1:].tolist(), strict=False
    ):
        if start < stop:
            yield number, start, stop


def _nearest(rows: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """The begin of a segment that is nearest to each row."""
    after = np.searchsorted(begins, rows).clip(1, len(begins) - 1)
    low, high = begins[after - 1], begins[after]
    nearest: NDArray[np.int64] = np.where(rows - low < high - rows, low, high)
    return nearest
