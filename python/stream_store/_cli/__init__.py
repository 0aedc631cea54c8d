"""The command `stream-store`: inspect, check, copy, repair and export stores.

    stream-store info runs/a
    stream-store follow runs/a --json

Needs typer and rich: `pip install 'stream-store[cli]'`. Exit codes: 0 success; 1 verify found
damage; 2 wrong arguments; 3 the store cannot be used (missing, locked, damaged, no space);
130 Ctrl-C.
"""

from __future__ import annotations

import io
import sys

from .exit_codes import FAILED


def main() -> None:
    """Run the command; the entry point of the script."""
    try:
        from .app import app
        from .output import unwritten_output, written
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in {"typer", "rich", "click"}:
            raise
        message = "stream-store: the command line needs typer and rich: pip install '{}'"
        sys.stderr.write(message.format("stream-store[cli]") + "\n")
        raise SystemExit(FAILED) from None
    for stream in (sys.stdout, sys.stderr):  # text that a terminal cannot show is escaped
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with written():  # typer itself prints help and the version
            app(prog_name="stream-store")
    except (SystemExit, OSError) as end:
        unwritten = unwritten_output()
        fault = unwritten if isinstance(end, SystemExit) and not end.code else end
        if isinstance(fault, BrokenPipeError):
            raise SystemExit(0) from None
        if not isinstance(fault, OSError):
            raise
        sys.stderr.write(f"stream-store: {fault.filename}: {fault.strerror}\n")
        raise SystemExit(FAILED) from None
