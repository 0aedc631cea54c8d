"""Rows as lines of a CSV file.

A missing value is an empty cell, and an empty string is ``""``, so that readers of quotes can
distinguish them. Lists, arrays, structs and nested values are JSON. Binary values are hexadecimal
digits, which ``bytes.fromhex`` reads: CSV is text, and pandas would write a literal of Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stream_store.store import StreamStore

from .output import plain

_AT_ONCE = 1024  # steps that are read together
_SPECIAL = frozenset(',"\r\n')


def csv_line(cells: Sequence[Any]) -> bytes:
    """One line of cells, each of which is a scalar, text or None."""
    return (",".join(map(_quoted, cells)) + "\r\n").encode()


def _quoted(cell: Any) -> str:
    if cell is None:
        return ""
    text = str(cell)
    if text == "" or not _SPECIAL.isdisjoint(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_rows(
    view: StreamStore, rows: range, names: Sequence[str], *, with_steps: bool
) -> Iterator[bytes]:
    """The lines of some rows of a snapshot, with a first cell for the step if asked."""
    steps = steps_of(view, rows) if with_steps else None
    for row in view.rows(rows.start, rows.stop):
        cells = [_cell(row[name]) for name in names]
        yield csv_line(cells if steps is None else [next(steps), *cells])


def steps_of(view: StreamStore, rows: range) -> Iterator[int]:
    """The step of each row."""
    for start in range(rows.start, rows.stop, _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, rows.stop))
        yield from view.read_rows(numbers, fields=list(view.fields[:1]))["_step"].tolist()


def _cell(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (dict, np.ndarray, list, tuple)):
        return json.dumps(plain(value), ensure_ascii=False)
    return plain(value)
