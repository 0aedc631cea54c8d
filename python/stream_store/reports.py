"""Verify and repair: what is wrong with a store, as data, and what of it can be saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from . import _core

Progress = Callable[[int, int], object]  # bytes done, bytes in all
AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclass(frozen=True)
class Finding:
    """One thing in a store that is not as it should be.

    Attributes:
        severity: "damage", something that was synced is not what was written; or "notice",
            something that opening deals with.
        file: name inside the store. offset: its first byte there.
        subject: what lies there ("record 17"). expected, found: what should be there and what is.
    """

    severity: Literal["damage", "notice"]
    file: str
    offset: int
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"{self.file}, byte {self.offset}: {self.subject}: "
            f"expected {self.expected} but found {self.found}"
        )


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` saw.

    Attributes:
        findings: the first 1000, in the order of the walk; `damages` and `notices` count all.
        live: a writer has the store open.
        records, rows, values: what the store says it holds.
        good_records, good_rows, good_values: the prefix of that before the first damage.
        bytes: looked at.
        ok: there is no damage.
    """

    findings: tuple[Finding, ...]
    damages: int
    notices: int
    live: bool
    records: int
    rows: int
    values: int
    good_records: int
    good_rows: int
    good_values: int
    bytes: int
    ok: bool


@dataclass(frozen=True)
class RepairReport:
    """What `repair` saved.

    Attributes:
        records, rows, values: in the new store.
        rows_lost: known to have stood behind them; a lower bound.
        findings: of the damaged store, up to where the copy ends.
    """

    records: int
    rows: int
    values: int
    rows_lost: int
    findings: tuple[Finding, ...]


def verify(path: AnyPath, *, progress: Progress | None = None) -> VerifyReport:
    """Look at every byte of the store at `path` and say what is wrong.

    Args:
        path: directory of the store; also one that another process is writing.
        progress: called now and then with bytes done and bytes in all; what it raises ends the
            work. Done starts at 0 again with each read of the files.

    Returns:
        A report; damage is in it, not raised. Nothing in the store is changed.

    Cost:
        One read of all files, and a few MiB of memory. If a process begins to write the store
        meanwhile, and something is found, which may be its doing, they are read again, in all at
        most five times.

    Raises:
        FileNotFoundError: no store is there. VersionError: its format is another.
    """
    return make_report(_core._verify(path_text(path), progress))


def repair(path: AnyPath, into: AnyPath, *, progress: Progress | None = None) -> RepairReport:
    """Copy the longest valid prefix of a damaged store into a new one.

    Args:
        path: directory of the damaged store, which stays as it is.
        into: directory of the new one: nothing, or empty. It appears complete.
        progress: as for `verify`.

    Raises:
        FileNotFoundError, VersionError: as `verify`. FileExistsError: `into` holds something.
        CorruptStoreError: identity or schema are not readable, so nothing can be told of the rest.
        StoreFullError, OSError: there is no room, or the disk refused; nothing is left at `into`.
    """
    records, rows, values, lost, findings = _core._repair(
        path_text(path), path_text(into), progress
    )
    return RepairReport(records, rows, values, lost, tuple(Finding(*one) for one in findings))


def make_report(parts: tuple[Any, ...]) -> VerifyReport:
    """A VerifyReport of what the C++ side returns."""
    findings, *rest = parts
    return VerifyReport(tuple(Finding(*one) for one in findings), *rest)


def path_text(path: AnyPath) -> str:
    """A path as the C++ side takes it."""
    text = os.fsdecode(path)
    if not text:
        raise ValueError("path is empty")
    if "\0" in text:
        raise ValueError(f"path {text!r} has a zero byte, which no file's name can have")
    return text


for _class in (Finding, VerifyReport, RepairReport):
    _class.__module__ = "stream_store"
del _class
