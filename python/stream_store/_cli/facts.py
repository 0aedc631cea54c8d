"""The facts that `info` reports about a store."""

from __future__ import annotations

from pathlib import Path
from stat import S_ISREG
from typing import Any

from stream_store._fields import declared_fields
from stream_store._held import held_by_readers
from stream_store.reports import VerifyReport
from stream_store.store import StreamStore

from .output import say, show_table


def describe(store: StreamStore, by: list[str]) -> dict[str, Any]:
    """All facts as values that JSON can hold."""
    view = store.snapshot()  # rows may be dropped meanwhile
    rows, first_row = view.num_rows, view.first_row
    steps = None
    if rows > first_row:
        first = int(view.read_rows([first_row], fields=list(view.fields[:1]))["_step"][0])
        steps = {"first": first, "last": view.last_step}
    files = sizes_of(Path(str(store.path)))
    facts: dict[str, Any] = {
        "path": str(store.path),
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
        "values": len(view) - view.first_position,
        "field_writes": view.num_field_writes,
        "steps": steps,
        "fields": [
            {"name": spec.name, "type": number, "feature": spec.text}
            for number, spec in enumerate(declared_fields(store).specs)
            if not spec.hidden
        ],
        "retention": store.retention,
        "bytes": {
            "used": view.nbytes,
            "disk": sum(blocks for _, blocks in files.values()),
            "files": {name: size for name, (size, _) in files.items()},
        },
    }
    if by:
        facts["segments"] = len(view.segments(by if len(by) > 1 else by[0]))
        facts["segments_by"] = by
    del view  # else it would count as a reader that holds dropped rows
    facts["held"] = held_by_readers(str(store.path))
    return facts


def sizes_of(directory: Path) -> dict[str, tuple[int, int]]:
    """File name -> (size, disk space), in bytes. Files that are deleted meanwhile are left out."""
    sizes = {}
    for file in sorted(directory.iterdir()):
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue  # a writer has dropped it
        if S_ISREG(stat.st_mode):
            sizes[file.name] = (stat.st_size, 512 * stat.st_blocks)
    return sizes


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
    kept = (
        f"{facts['kept_rows']:,} from row {facts['first_row']:,} on; " if facts["first_row"] else ""
    )
    lines = {
        "id": facts["id"],
        "rows": f"{kept}{facts['rows']:,} appended ({facts['complete_rows']:,} complete, "
        f"{facts['durable_rows']:,} durable)",
        "retains": str(facts["retention"]),
        "values": f"{facts['values']:,} in {facts['field_writes']:,} field-writes",
        "steps": "none" if steps is None else f"{steps['first']} to {steps['last']}",
        "bytes": f"{facts['bytes']['used']:,} used, "
        f"{sum(facts['bytes']['files'].values()):,} in files, {facts['bytes']['disk']:,} on disk",
    }
    if facts["first_row"] or facts["held"].chunks:
        lines["held by readers"] = str(facts["held"])
    if "segments" in facts:
        lines[f"segments by {', '.join(facts['segments_by'])}"] = f"{facts['segments']:,}"
    width = max(map(len, lines))
    for name, text in lines.items():
        say(f"  {name:<{width}}  {text}")
    say("")
    fields = [(field["type"], field["name"], field["feature"]) for field in facts["fields"]]
    show_table(("type id", "field", "feature"), fields)


def show_bounds(report: VerifyReport) -> None:
    """Print what a store retains and what readers hold, if it has a limit or dropped rows."""
    limited = report.retention is not None and report.retention.limited
    if report.first_row or limited:
        say(f"  retains {report.retention}; its first row is {report.first_row:,}")
        say(f"  held by readers: {report.held_bytes:,} bytes")
