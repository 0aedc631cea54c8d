"""How stores and groups look in a notebook. Nothing is scanned, and nothing raises."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from stream_store import _core
from stream_store._fields import declared_fields
from stream_store._repr import represent
from stream_store._safe_text import safe

from .text import cut, value_text

_MOST = 50  # fields of a store, stores of a group


def store_table(store: _core.Store) -> str:
    """A small table: path, rows, size, and the fields with their type and last value."""
    try:
        if not _core.is_ready(store) or store.closed or not store.fields:
            return f"<pre>{escape(safe(represent(store), lines=True))}</pre>"
        return _table(*_store_parts(store))
    except Exception as error:  # a damaged store is described as such
        return f"<pre>{escape(safe(f'{type(error).__name__}: {error}'))}</pre>"


def _store_parts(store: Any) -> tuple[str, list[str], list[list[str]], int]:
    fields = declared_fields(store)
    specs = [spec for spec in fields.specs if not spec.hidden]
    view = store.snapshot()
    last = view._decode_row(view.num_rows - 1) if view.kept_rows else {}
    place = "temporary store" if store.path is None else str(store.path)
    rows = f"{view.kept_rows:,} rows" + f" from {view.first_row:,} on" * bool(view.first_row)
    state = "snapshot" if store._is_snapshot else "live" if store.live else "closed"
    facts = f"StreamStore {place}: {rows}, {view.nbytes:,} bytes, {state}"
    lines = [[spec.name, spec.text, value_text(last.get(spec.name), 60)] for spec in specs[:_MOST]]
    return facts, ["field", "type", "last value"], lines, len(specs)


def group_table(group: Any) -> str:
    """A small table of the stores of a group with their rows."""
    try:
        names = list(group)
        lines = []
        for name in names[:_MOST]:
            store = group[name]
            state = "live" if store.live else "closed"
            lines.append([name, f"{store.kept_rows:,}", f"{store.nbytes:,}", state])
        skipped = f", {len(group.skipped):,} left out" if group.skipped else ""
        facts = (
            f"StoreGroup {group.path}: {len(names):,} stores, {group.kept_rows:,} rows, "
            f"{len(group.fields):,} fields{skipped}"
        )
        return _table(facts, ["store", "rows", "bytes", "state"], lines, len(names))
    except Exception as error:
        return f"<pre>{escape(safe(f'{type(error).__name__}: {error}'))}</pre>"


def _table(facts: str, heads: list[str], lines: list[list[str]], count: int) -> str:
    head = _line("th", heads)
    body = "".join(_line("td", line) for line in lines)
    more = f"<p>… and {count - len(lines):,} more</p>" if count > len(lines) else ""
    return (
        f"<p>{escape(safe(facts))}</p><table><thead>{head}</thead><tbody>{body}</tbody></table>"
        f"{more}"
    )


def _line(tag: str, cells: Iterable[str]) -> str:
    style = ' style="text-align: left"'
    inner = "".join(f"<{tag}{style}>{escape(safe(cut(text, 80)))}</{tag}>" for text in cells)
    return f"<tr>{inner}</tr>"
