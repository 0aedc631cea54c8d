"""What a store retains: limits as users give them, as the core takes them, and as text.

`StreamStore` uses it for the arguments retain_rows, retain_bytes, retain_segments, segment_by and
chunk_bytes, and for `StreamStore.retention`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from . import _core
from ._arguments import names

#: Limits as the core has them: rows, bytes, segments (None is no limit) and segment_by.
CoreLimits: TypeAlias = tuple[int | None, int | None, int | None, Sequence[str]]

_INT64_END = 2**63


@dataclass(frozen=True)
class Retention:
    """What a store retains, as `StreamStore.retention` returns it. Older rows are dropped.

    Attributes:
        rows: the last rows; None if their number has no limit.
        bytes: disk space of the data files; None if it has no limit.
        segments: the last segments; None if their number has no limit.
        segment_by: the fields that cut segments, a tuple of str. If there are any, rows are dropped
            in whole segments.

    Examples:
        >>> store = StreamStore(fields={"reward": "float32"}, retain_rows=1000)
        >>> store.retention
        Retention(rows=1000, bytes=None, segments=None, segment_by=())
        >>> print(store.retention)
        at most 1,000 rows
    """

    rows: int | None = None
    bytes: int | None = None
    segments: int | None = None
    segment_by: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return (self.rows, self.bytes, self.segments) != (None, None, None)

    def __str__(self) -> str:
        limits = (self.rows, "row"), (self.bytes, "byte"), (self.segments, "segment")
        parts = [
            f"{limit:,} {unit}{'' if limit == 1 else 's'}"
            for limit, unit in limits
            if limit is not None
        ]
        if not parts:
            return "everything"
        by = f", in whole segments by {', '.join(self.segment_by)}" if self.segment_by else ""
        return f"at most {' and '.join(parts)}{by}"


Retention.__module__ = "stream_store"


def retention_of(core: _core.Store) -> Retention:
    """What a store retains."""
    rows, count, segments, by = core._retention
    return Retention(rows, count, segments, tuple(by))


@dataclass(frozen=True)
class Wishes:
    """The arguments of StreamStore: None keeps a limit, infinity lifts it."""

    rows: int | float | None
    bytes: int | float | None
    segments: int | float | None
    segment_by: list[str] | None
    chunk_bytes: int = 0  # 0 lets the core choose

    def apply(self, core: _core.Store) -> None:
        """Change the limits of a store. Nothing changes if the core refuses one of them."""
        if (self.rows, self.bytes, self.segments, self.segment_by) == (None, None, None, None):
            return
        rows, count, segments, by = stored = core._retention
        wanted = (
            _chosen(self.rows, rows),
            _chosen(self.bytes, count),
            _chosen(self.segments, segments),
            by if self.segment_by is None else self.segment_by,
        )
        if wanted != stored:
            core._set_retention(wanted)


def _chosen(wanted: float | None, stored: int | None) -> int | None:
    if wanted is None:
        return stored
    return None if wanted == math.inf else int(wanted)


def wishes(mode: str, limits: tuple[Any, Any, Any], segment_by: Any, chunk_bytes: Any) -> Wishes:
    """The checked arguments; `limits` are retain_rows, retain_bytes and retain_segments."""
    rows, count, segments = limits
    given = Wishes(
        _limit("retain_rows", rows),
        _limit("retain_bytes", count),
        _limit("retain_segments", segments),
        _segment_fields(segment_by),
        _chunk_size(chunk_bytes),
    )
    if mode == "r" and given != Wishes(None, None, None, None):
        raise ValueError(
            "retain_rows, retain_bytes, retain_segments, segment_by and chunk_bytes need a mode "
            f"that can write; mode is {mode!r}"
        )
    return given


def _limit(name: str, value: Any) -> int | float | None:
    """A positive int, infinity or None."""
    if value is None or (isinstance(value, float) and value == math.inf):
        return None if value is None else math.inf
    expected = "a positive int, math.inf to lift the limit, or None to keep it"
    return _positive(name, value, expected)


def _chunk_size(value: Any) -> int:
    """`chunk_bytes`; 0 lets the core choose, which also checks the number."""
    if value is None:
        return 0
    return _positive("chunk_bytes", value, "a power of two from 2**20 to 2**30, or None")


def _positive(name: str, value: Any, expected: str) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be {expected}, not {value!r}")
    if not 0 < number < _INT64_END:
        raise ValueError(f"{name} must be {expected}, not {value!r}")
    return number


def _segment_fields(value: Any) -> list[str] | None:
    """`segment_by` as a list of names, or None."""
    fields = names("segment_by", value, one=True)
    if fields is not None and len(set(fields)) < len(fields):
        raise ValueError(f"segment_by must name each field once, not {value!r}")
    return fields
