"""The commands `ship`, `mirror` and `verify URL`."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stream_store
from stream_store._types import Progress

from .exit_codes import ArgumentError
from .output import bar, print_json, say, show_findings

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def is_url(text: str) -> bool:
    """Whether an argument is a URL, and not a path."""
    return "://" in text


def seconds_of(name: str, text: str) -> float:
    """The seconds in "500ms", "1s", "2m" or "1.5"."""
    match = _SECONDS.match(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise ArgumentError(f"--{name} must be a time such as 500ms, 1s or 2m, not {text!r}")
    return seconds


def ship(store: Path, url: str, every: str | None, as_json: bool) -> None:
    """Ship once, or until Ctrl-C."""
    stream_store.StreamStore(store, "r").close()  # a missing store is an error
    pause = None if every is None else seconds_of("every", every)
    shipper = stream_store.Shipper(store, url, every=pause or 1.0)
    try:
        report = _first_round("ship", shipper.ship_now, as_json, goes_on=pause is not None)
        _tell(url, report, as_json)
        if pause is not None:
            _log_to_stderr()
            shipper.run()
    finally:
        shipper.close()


def mirror(url: str, store: Path, follow: bool, every: str, as_json: bool) -> None:
    """Mirror once, or until Ctrl-C."""
    mirror = stream_store.Mirror(url, store, every=seconds_of("every", every))
    try:
        report = _first_round("mirror", mirror.pull, as_json, goes_on=follow)
        _tell(store, report, as_json)
        if follow:
            _log_to_stderr()
            mirror.follow()
    finally:
        mirror.close()


def _first_round(
    what: str, work: Callable[[Progress | None], Any], as_json: bool, *, goes_on: bool
) -> Any:
    """The report of the first round; None after an error that later rounds may not have."""
    from stream_store._remote.loop import passes

    try:
        with bar(what, hidden=as_json) as progress:
            return work(progress)
    except stream_store.Error as error:
        if not goes_on or not passes(error):
            raise
        print(f"stream-store: {error}; trying again", file=sys.stderr, flush=True)
        return None


def _tell(where: object, report: Any, as_json: bool) -> None:
    if report is None:
        return
    if as_json:
        print_json(report)
    elif report.manifest < 0:
        say(f"{where}: nothing is there yet")
    else:
        say(
            f"{where}: {report.rows:,} rows; {report.records:,} records new, "
            f"{report.bytes:,} bytes; manifest {report.manifest}"
        )
    sys.stdout.flush()


def _log_to_stderr() -> None:
    logging.basicConfig(format="stream-store: %(message)s", stream=sys.stderr)


def verify(url: str, as_json: bool) -> bool:
    """Check a remote store; returns whether there is no damage."""
    with bar("verify", hidden=as_json) as progress:
        report = stream_store.verify_remote(url, progress)
    if as_json:
        print_json({**vars(report), "ok": report.ok})
    else:
        show_findings(report.findings, len(report.findings))
        verdict = "no damage" if report.ok else "damaged"
        say(
            f"{url}: {verdict}; {report.rows - report.first_row:,} rows in {report.packs:,} packs, "
            f"{report.bytes:,} bytes checked; manifest {report.manifest}"
        )
    return report.ok
