"""What `info`, `follow` and `verify` do with a group."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

from stream_store.group import StoreGroup
from stream_store.reports import VerifyReport
from stream_store.store import StreamStore

from .exit_codes import ArgumentError
from .facts import sizes_of, state_of
from .output import bar, print_json, say, show_findings, show_table, warn
from .rows import check_fields, show_rows


def open_group(path: Path) -> StoreGroup:
    """The group at `path`. Stores that are left out are named on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        group = StoreGroup(path)
    for name, reason in group.skipped.items():
        warn(f"{name} is left out: {reason}")
    return group


def describe_group(group: StoreGroup) -> dict[str, Any]:
    """All facts as values that JSON can hold."""
    stores = []
    for name, store in group.items():
        files = sizes_of(Path(str(store.path)))
        stores.append(
            {
                "name": name,
                "state": state_of(store),
                "rows": store.num_rows,
                "first_row": store.first_row,
                "kept_rows": store.kept_rows,
                "durable_rows": min(store.durable_rows, store.num_rows),
                "disk": sum(blocks for _, blocks in files.values()),
            }
        )
    return {
        "path": str(group.path),
        "fields": list(group.fields),
        "stores": stores,
        "skipped": group.skipped,
        "kept_rows": sum(store["kept_rows"] for store in stores),
        "disk": sum(store["disk"] for store in stores),
    }


def show_group(facts: dict[str, Any]) -> None:
    """Print the facts as text."""
    live = sum(store["state"] == "live" for store in facts["stores"])
    say(
        f"{facts['path']}: a group of {len(facts['stores']):,} stores, {live:,} with a writer; "
        f"{facts['kept_rows']:,} rows, {facts['disk']:,} bytes on disk"
    )
    say(f"  fields: {', '.join(facts['fields'])}")
    say("")
    columns = ("name", "state", "kept_rows", "first_row", "durable_rows", "disk")
    rows = [
        tuple(f"{one[name]:,}" if isinstance(one[name], int) else one[name] for name in columns)
        for one in facts["stores"]
    ]
    show_table(("store", "state", "rows", "first row", "durable", "bytes on disk"), rows)


def follow_group(
    group: StoreGroup, rows: int, fields: list[str] | None, idle: float | None, as_json: bool
) -> None:
    """Print the last rows of each store, then each new row of any store, until Ctrl-C."""
    if idle is not None and not idle >= 0:
        raise ArgumentError(f"--idle must be seconds, 0 or more, not {idle}")
    check_fields(group._holder, fields)
    shown: dict[str, int] = {}
    quiet_since = time.monotonic()
    while True:
        group.refresh()
        for name, store in group.items():
            start = shown.get(store.id, max(store.num_rows - rows, 0))
            stop = _show_new(name, store, start, fields, as_json)
            if stop > start:
                quiet_since = time.monotonic()
            shown[store.id] = stop
        if idle is not None and time.monotonic() - quiet_since >= idle:
            return
        time.sleep(0.1 if idle is None else min(0.1, idle))


def _show_new(
    name: str, store: StreamStore, start: int, fields: list[str] | None, as_json: bool
) -> int:
    """Print the complete rows from `start` on; returns the row after the last one."""
    stop = store.complete_rows
    if stop <= start:
        return start
    view = store.snapshot()
    show_rows(view, max(start, view.first_row), stop, fields, as_json, name)
    sys.stdout.flush()
    return stop


def verify_group(path: Path, as_json: bool) -> bool:
    """Verify each store of a group; returns whether all are good."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # verify names what is wrong
        group = StoreGroup(path)
    with bar("verify", hidden=as_json) as progress:
        reports = group.verify(progress=progress)
    if as_json:
        print_json(reports)
    else:
        for name, report in reports.items():
            _show_report(name, report)
    return all(report.ok for report in reports.values())


def _show_report(name: str, report: VerifyReport) -> None:
    show_findings(report.findings, report.damages + report.notices)
    verdict = "no damage" if report.ok else f"{report.damages:,} findings of damage"
    say(f"{name}: {verdict}; {report.good_rows:,} of {report.rows:,} rows are good")
