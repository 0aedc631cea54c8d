"""What `view` does: the terminal application, a page, or a recording of rerun."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from stream_store._exchange.optional import require
from stream_store._view.model import ViewModel
from stream_store.group import StoreGroup, is_group
from stream_store.store import StreamStore

from .exit_codes import FAILED, ArgumentError
from .groups import open_group
from .output import bar, say


def view(
    path: Path, by: list[str], html: Path | None, rerun: bool, save: Path | None, follow: bool
) -> None:
    """Show a store or a group; the arguments are those of the command."""
    rerun = rerun or save is not None
    if html is not None and rerun:
        raise ArgumentError("--html and --rerun exclude each other")
    if follow and not rerun:
        raise ArgumentError("--follow is for --rerun; the terminal follows by itself")
    with ExitStack() as stack:
        group = stack.enter_context(open_group(path)) if is_group(path) else None
        store = stack.enter_context(
            StreamStore(path, "r") if group is None else _first(group, html is not None or rerun)
        )
        model = ViewModel(store, by or None)
        if html is not None:
            _page(model, html)
        elif rerun:
            _rerun(model, save, follow)
        else:
            _terminal(store, by, group)


def _first(group: StoreGroup, alone: bool) -> StreamStore:
    """The first store of a group that can be shown."""
    names = list(group)
    if not names:
        raise ArgumentError(f"{group.path}: the group has no store yet")
    if alone:
        shown = ", ".join(names[:5]) + ", …" * (len(names) > 5)
        raise ArgumentError(
            f"{group.path}: --html and --rerun show one store, but this is a group; name one of "
            f"its stores: {shown}"
        )
    return group[names[0]]


def _page(model: ViewModel, path: Path) -> None:
    from stream_store._view.page import write_page

    with bar("view", hidden=False) as progress:
        size = write_page(model, path, progress)
    say(f"{path}: {size:,} bytes")


def _rerun(model: ViewModel, save: Path | None, follow: bool) -> None:
    from stream_store._view.rerun_log import open_recording

    log = open_recording(model, save)
    try:
        with bar("view", hidden=False) as progress:
            log.send(progress)
        if follow:
            log.follow()
    finally:
        log.close()
    say(f"{'rerun' if save is None else save}: {log.rows:,} rows")


def _terminal(store: StreamStore, by: list[str], group: StoreGroup | None) -> None:
    ends = (sys.stdin, sys.stdout)
    if not all(end.isatty() for end in ends) or os.environ.get("TERM") == "dumb":
        raise ArgumentError(
            "view needs a terminal, but standard input or output is something else; "
            "--html FILE writes a page instead"
        )
    require("textual", "view", extra="cli")
    from stream_store._view.terminal import ViewApp

    app = ViewApp(store, by or None, group)
    app.run()
    if app.return_code:  # it ended by an error, whose traceback Textual has printed
        raise SystemExit(FAILED)
