"""Output of the commands: one JSON object or text; progress bars go to standard error."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from stream_store._file_errors import naming
from stream_store._safe_text import safe
from stream_store.reports import Finding, Gap

_SHOWN_FINDINGS = 50


def written() -> AbstractContextManager[None]:
    """Names standard output in errors of writing to it."""
    return naming("standard output", "write")


def say(text: str) -> None:
    """Print text. Characters in names and paths that a terminal would obey are escaped."""
    with written():
        sys.stdout.write(safe(text, lines=True) + "\n")


def warn(text: str) -> None:
    """Print one line on standard error, after the name of the command."""
    sys.stderr.write(f"stream-store: {safe(text, lines=True)}\n")


def unwritten_output() -> OSError | None:
    """Flush standard output; return the error if it cannot be written, and give up what is left.

    Python would try again to write it at exit, fail, and change the exit code to 120.
    """
    try:
        with written():
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def print_json(answer: Any) -> None:
    """Print one JSON value on one line, in ASCII if standard output is not UTF-8."""
    escape_all = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    line = json.dumps(plain(answer), ensure_ascii=escape_all, allow_nan=False) + "\n"
    with written():
        sys.stdout.write(line)


def plain(value: Any) -> Any:
    """A value that JSON can hold: bytes as hex, times and decimals as text, NaN as "nan"."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.datetime64, np.timedelta64, Decimal)):
        return str(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print a table that is as wide as its content."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(escape(safe(column)), overflow="fold")
    for row in rows:
        table.add_row(*(escape(safe(str(cell))) for cell in row))
    with written():
        console().print(table)


def console() -> Console:
    """Standard output; unless it is a terminal, lines are not broken at 80 columns."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def show_findings(findings: Sequence[Finding], count: int) -> None:
    """Print the first findings, one per line."""
    for finding in findings[:_SHOWN_FINDINGS]:
        say(f"{finding.severity}: {finding}")
    if count > _SHOWN_FINDINGS:
        say(f"… {count - _SHOWN_FINDINGS:,} more; --json lists up to 1,000")


def show_gaps(gaps: Sequence[Gap], count: int) -> None:
    """Print the first gaps of a repair, one per line."""
    for gap in gaps[:_SHOWN_FINDINGS]:
        say(f"gap: {gap}")
    if count > _SHOWN_FINDINGS:
        say(f"… {count - _SHOWN_FINDINGS:,} more gaps; --json lists up to 1,000")


@contextmanager
def bar(title: str, *, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal."""
    screen = Console(stderr=True)
    if hidden or not screen.is_terminal:
        yield lambda _done, _total: None
        return
    columns = TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
