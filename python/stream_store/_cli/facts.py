"""What `info` tells of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stream_store.store import StreamStore

from .output import say, show_table


def describe(store: StreamStore, by: list[str]) -> dict[str, Any]:
    """Everything `info` shows, as plain values."""
    path = Path(str(store.path))
    rows = store.num_rows
    steps = None
    if rows:
        first = int(store.read_rows([0], fields=list(store.fields[:1]))["_step"][0])
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
        "complete_rows": store.complete_rows,
        "durable_rows": min(store.durable_rows, rows),
        "values": len(store),
        "field_writes": store.num_field_writes,
        "steps": steps,
        "fields": [
            {"name": spec.name, "type": number, "feature": spec.text}
            for number, spec in enumerate(store._specs)
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
    """ "live", or what the last writer left: "closed", "killed" or "cut"."""
    if store.live:
        return "live"
    return {"clean": "closed", "process_crash": "killed", "truncated": "cut"}[store.recovery.state]


_STATES = {
    "live": "a writer has it open",
    "closed": "closed",
    "killed": "its writer died; nothing is lost",
    "cut": "the machine went down; appends after the last sync were cut",
}


def show_facts(facts: dict[str, Any]) -> None:
    """The same for people."""
    say(f"{facts['path']}: {_STATES[facts['state']]}")
    if facts["recovery"]["reason"]:
        say(f"  {facts['recovery']['reason']}; rows cut, at least: {facts['recovery']['rows_cut']}")
    steps = facts["steps"]
    lines = {
        "id": facts["id"],
        "rows": f"{facts['rows']:,}, of them complete {facts['complete_rows']:,}, "
        f"durable {facts['durable_rows']:,}",
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
