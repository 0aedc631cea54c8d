"""The command `stream-store`: look at stores, check, copy, repair and export them.

    stream-store info runs/a
    stream-store follow runs/a --json

Needs typer and rich, which `pip install 'stream-store[cli]'` brings. Exit codes: 0 done; 1 verify
found damage; 2 wrong arguments; 3 the store said no (not there, locked, damaged, no room);
130 Ctrl-C.
"""

from __future__ import annotations

import io
import sys

DAMAGED = 1
FAILED = 3
INTERRUPTED = 130


def main() -> None:
    """Run the command; the entry point of the script."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in {"typer", "rich", "click"}:
            raise
        message = "stream-store: the command line needs typer and rich: pip install '{}'"
        sys.stderr.write(message.format("stream-store[cli]") + "\n")
        raise SystemExit(FAILED) from None
    for stream in (sys.stdout, sys.stderr):  # a text that a terminal cannot show ends nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="stream-store")
