"""The facts that `info` reports about a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stream_store._fields import declared_fields
from stream_store.store import StreamStore

from .output import say, show_table


def describe(store: StreamStore, by: list[str]) -> dict[str, Any]:
    """All facts as values that JSON can hold."""
    path = Path(str(store.path))
    rows, first_row = store.num_rows, store.first_row
    steps = None
    if rows > first_row:
        first = int(store.read_rows([first_row], fields=list(store.fields[:1]))["_step"][0])
        steps = {"first": first, "last": store.last_step}
    facts: dict[str, Any] = {
        "path": str(path),
        "id": store.id,
        "state": state_of(store),
        "recovery": {
            "state": store.recovery.state,
            "rows_cut": store.recovery.rows_cut,
            "reason": store.recovery.reason,
        },
        "rows": rows,
        "first_row": first_row,
        "kept_rows": rows - first_row,
        "complete_rows": store.complete_rows,
        "durable_rows": min(store.durable_rows, rows),
        "values": len(store) - store.first_position,
        "field_writes": store.num_field_writes,
        "steps": steps,
        "fields": [
            {"name": spec.name, "type": number, "feature": spec.text}
            for number, spec in enumerate(declared_fields(store).specs)
            if not spec.hidden
        ],
        "bytes": {
            "used": store.nbytes,
            "files": {
                file.name: file.stat().st_size for file in sorted(path.iterdir()) if file.is_file()
            },
        },
    }
    if by:
        facts["segments"] = len(store.segments(by if len(by) > 1 else by[0]))
        facts["segments_by"] = by
    return facts


def state_of(store: StreamStore) -> str:
    """ "live", or how the last writer ended: "closed", "killed" or "cut"."""
    if store.live:
        return "live"
    return {"clean": "closed", "process_crash": "killed", "truncated": "cut"}[store.recovery.state]


_STATES = {
    "live": "a writer has it open",
    "closed": "closed",
    "killed": "its writer was killed; no rows are lost",
    "cut": "the machine stopped; rows after the last sync were cut",
}


def show_facts(facts: dict[str, Any]) -> None:
    """Print the facts as text."""
    say(f"{facts['path']}: {_STATES[facts['state']]}")
    if facts["recovery"]["reason"]:
        say(f"  {facts['recovery']['reason']}; at least {facts['recovery']['rows_cut']} rows cut")
    steps = facts["steps"]
    dropped = f", the first {facts['first_row']:,} dropped" if facts["first_row"] else ""
    lines = {
        "id": facts["id"],
        "rows": f"{facts['rows']:,} ({facts['complete_rows']:,} complete, "
        f"{facts['durable_rows']:,} durable{dropped})",
        "values": f"{facts['values']:,} in {facts['field_writes']:,} field-writes",
        "steps": "none" if steps is None else f"{steps['first']} to {steps['last']}",
        "bytes": f"{facts['bytes']['used']:,} used, "
        f"{sum(facts['bytes']['files'].values()):,} in files",
    }
    if "segments" in facts:
        lines[f"segments by {', '.join(facts['segments_by'])}"] = f"{facts['segments']:,}"
    width = max(map(len, lines))
    for name, text in lines.items():
        say(f"  {name:<{width}}  {text}")
    say("")
    fields = [(field["type"], field["name"], field["feature"]) for field in facts["fields"]]
    show_table(("type id", "field", "feature"), fields)
