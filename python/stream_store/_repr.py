"""The repr of a store: rows, values, fields, path and the last few values."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ._core import is_ready

if TYPE_CHECKING:
    from .store import StreamStore

_SHOWN_FIELDS = 8
_SHOWN_ITEMS = 6

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 40


def represent(store: StreamStore) -> str:
    """Never fails: a store that is closed, undeclared or damaged says so."""
    if not is_ready(store):
        return "<StreamStore, not opened>"
    try:
        where = "temporary" if store._path is None else repr(str(store._path))
        if store.closed:
            return f"<StreamStore {where}, closed>"
        if not store.fields:
            return f"<StreamStore {where}, mode {store.mode!r}, no fields declared>"
        return _describe(store, where)
    except Exception as error:
        return f"<StreamStore, {type(error).__name__}: {error}>"


def _describe(store: StreamStore, where: str) -> str:
    rows, values, fields = store.num_rows, len(store), store.fields
    shown = [
        f"{spec.name}: {spec.text}" for spec in store._specs[: min(len(fields), _SHOWN_FIELDS)]
    ]
    if len(fields) > _SHOWN_FIELDS:
        shown.append(f"… {len(fields) - _SHOWN_FIELDS} more")
    kind = "snapshot" if store._is_snapshot else f"mode {store.mode!r}"
    lines = [
        f"<StreamStore {where}, {kind}: {_count(rows, 'row')}, {_count(values, 'value')}",
        f"  fields: {', '.join(shown)}",
    ]
    if rows:
        lines.append(f"  last row (step {store.last_step}): {_row(store.row(-1))}")
    return "\n".join(lines) + ">"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _row(row: dict[str, Any]) -> str:
    shown = [f"{name}={short_value(value)}" for name, value in list(row.items())[:_SHOWN_FIELDS]]
    if len(row) > _SHOWN_FIELDS:
        shown.append("…")
    return ", ".join(shown)


def short_value(value: Any) -> str:
    """One value, on one line and not long."""
    if isinstance(value, np.ndarray):
        if value.ndim > 1:
            return f"{value.dtype}{list(value.shape)}"
        items = [short_value(item) for item in value[:_SHOWN_ITEMS]]
        return f"[{', '.join(items)}{', …' if len(value) > _SHOWN_ITEMS else ''}]"
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return f"{{{_row(value)}}}"
    return _short.repr(value)
