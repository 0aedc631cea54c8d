"""The repr of a store: rows, values, fields, path and the last few values."""

from __future__ import annotations

import reprlib
from itertools import islice
from typing import Any

import numpy as np

from . import _core
from ._fields import declared_fields
from ._retention import retention_of
from ._safe_text import safe

_SHOWN_FIELDS = 8
_SHOWN_ITEMS = 6
_SHOWN_CELLS = 2  # lists and structs in a nested cell

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 40


def represent(core: _core.Store) -> str:
    """The repr. Never raises: a closed, undeclared or damaged store is described as such."""
    if not _core.is_ready(core):
        return "<StreamStore, not opened>"
    try:
        where = "temporary" if core._path is None else repr(str(core._path))
        if core.closed:
            return f"<StreamStore {where}, closed>"
        if not core.fields:
            return f"<StreamStore {where}, mode {core.mode!r}, no fields declared>"
        return _describe(core, where)
    except Exception as error:
        return safe(f"<StreamStore, {type(error).__name__}: {error}>")


def _describe(core: _core.Store, where: str) -> str:
    fields, rows, values = declared_fields(core), core.num_rows, len(core) - core.first_position
    kept = _count(core.kept_rows, "row")
    if core.first_row:
        kept += f" from row {core.first_row:,} on"
    count = len(core.fields)
    declared = (spec for spec in fields.specs if not spec.hidden)
    shown = [f"{spec.name}: {spec.text}" for spec in islice(declared, _SHOWN_FIELDS)]
    if count > _SHOWN_FIELDS:
        shown.append(f"… {count - _SHOWN_FIELDS} more")
    kind = "snapshot" if core._is_snapshot else f"mode {core.mode!r}"
    lines = [
        f"<StreamStore {where}, {kind}: {kept}, {_count(values, 'value')}",
        f"  fields: {', '.join(shown)}",
    ]
    retention = retention_of(core)
    if core.first_row or retention.limited:
        lines.append(f"  retains {retention}; {core.nbytes:,} bytes; readers hold {_held(core)}")
    if core.kept_rows:
        last = fields.collect(core._decode_row(rows - 1))
        lines.append(f"  last row (step {core.last_step}): {_row(last)}")
    return "\n".join(map(safe, lines)) + ">"


def _held(core: _core.Store) -> str:
    if not core.first_row:
        return "no dropped rows"
    from ._held import directory_of, held_by_readers

    return str(held_by_readers(directory_of(core)))


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _row(row: dict[str, Any]) -> str:
    shown = [f"{name}={short_value(value)}" for name, value in list(row.items())[:_SHOWN_FIELDS]]
    if len(row) > _SHOWN_FIELDS:
        shown.append("…")
    return ", ".join(shown)


def short_value(value: Any) -> str:
    """One value as short text on one line."""
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
    if isinstance(value, list):
        shown = (
            _SHOWN_CELLS if any(isinstance(item, (list, dict)) for item in value) else _SHOWN_ITEMS
        )
        items = [short_value(item) for item in value[:shown]]
        return f"[{', '.join(items)}{', …' if len(value) > shown else ''}]"
    return _short.repr(value)
