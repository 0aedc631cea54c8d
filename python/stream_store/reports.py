"""Verify and repair: findings about a store as data, and a copy of its intact rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from . import _core
from ._arguments import path_text
from ._held import directory_of, held_by_readers
from ._retention import Retention, retention_of
from ._types import AnyPath, Progress
from .errors import Error


@dataclass(frozen=True)
class Finding:
    """One difference between a store and the data that was written.

    Attributes:
        severity: "damage" if synced data has changed; "notice" if opening the store corrects it.
        file: name of the file inside the store.
        offset: position of the first byte in that file.
        subject: the part of the store, such as "record 17".
        expected: the correct value, as text.
        found: the value in the file, as text.

    Examples:
        >>> import stream_store
        >>> finding = stream_store.Finding("damage", "values", 80, "record 17", "sum 5", "sum 6")
        >>> print(finding)
        values, byte 80: record 17: expected sum 5 but found sum 6
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
    """The result of `verify`.

    Attributes:
        findings: the first 1000 findings, in the order in which they were found.
        damages: number of all findings of damage.
        notices: number of all notices.
        live: whether a writer has the store open.
        records: number of records according to the store.
        rows: number of rows according to the store.
        values: number of values according to the store.
        good_records: number of records before the first damage.
        good_rows: number of rows before the first damage.
        good_values: number of values before the first damage.
        bytes: number of bytes checked.
        ok: whether there is no damage.
        first_row: the first row that is retained; None if the store cannot be read.
        retention: the limits of the store; None if it cannot be read.
        held_bytes: disk space of dropped rows that readers still hold, not counting processes of
            other users.

    Examples:
        >>> report = StreamStore(fields={"reward": "float32"}).verify()
        >>> report.ok, report.rows, report.findings
        (True, 0, ())
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
    first_row: int | None = None
    retention: Retention | None = None
    held_bytes: int = 0


@dataclass(frozen=True)
class Gap:
    """Rows that `repair` lost: rows `first_row` to `first_row + rows - 1` of the damaged store.

    Attributes:
        first_row: the first lost row, as numbered in the damaged store.
        rows: number of lost rows.
        new_row: number of rows kept before the gap. The rows after it begin at this row of the new
            store.
        reason: the first damage found there, as text.

    Examples:
        >>> import stream_store
        >>> print(stream_store.Gap(40, 2, 39, "record 40: its checksum is wrong"))
        rows 40 to 41 are lost (row 39 of the new store follows): record 40: its checksum is wrong
    """

    first_row: int
    rows: int
    new_row: int
    reason: str

    def __str__(self) -> str:
        last = self.first_row + self.rows - 1
        lost = f"row {last} is" if self.rows == 1 else f"rows {self.first_row} to {last} are"
        return f"{lost} lost (row {self.new_row} of the new store follows): {self.reason}"


@dataclass(frozen=True)
class RepairReport:
    """The result of `repair`.

    Attributes:
        records: number of records in the new store.
        rows: number of rows in the new store.
        values: number of values in the new store.
        rows_lost: number of lost rows, the sum of all gaps. It is a lower bound if no sync slot is
            valid, and while a writer has the store open.
        gap_count: number of all gaps.
        gaps: the first 1000 gaps, in the order of the rows.
        findings: findings in the damaged store; with `truncate_at_damage`, up to the first damage.

    Examples:
        >>> import stream_store
        >>> StreamStore("run", fields={"reward": "float32"}).close()
        >>> stream_store.repair("run", "repaired").rows_lost
        0
    """

    records: int
    rows: int
    values: int
    rows_lost: int
    gap_count: int
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]


def verify(path: AnyPath, *, progress: Progress | None = None) -> VerifyReport:
    """Check every byte of the store at `path`. The store is not changed.

    Args:
        path: directory of the store. Another process may be writing it.
        progress: called with bytes done and bytes in all; an exception it raises ends the call.
            Bytes done start at 0 again if the files are read again.

    Returns:
        A report with the findings; damage is not raised.

    Cost:
        One read of all files and a few MiB of memory. If a process opens the store for writing
        meanwhile, it may be the cause of findings, so the files are then read again, up to five
        times in all.

    Raises:
        FileNotFoundError: there is no store at `path`.
        VersionError: the store has another version of the format.

    Examples:
        >>> import stream_store
        >>> StreamStore("run", fields={"reward": "float32"}).close()
        >>> stream_store.verify("run").ok
        True
    """
    where = path_text(path)
    parts = _core._verify(where, progress)
    try:
        reader = _core.Store(where, "r", (1, 0), 0.0, (0.0, 0, False))
    except (Error, OSError):  # damage, which is among the findings
        return make_report(parts, None)
    try:
        return make_report(parts, reader)
    finally:
        reader.close()


def repair(
    path: AnyPath,
    into: AnyPath,
    *,
    truncate_at_damage: bool = False,
    progress: Progress | None = None,
) -> RepairReport:
    """Copy the rows of a damaged store that are intact into a new one.

    A row is never copied in part. If it cannot be decided whether a damaged record belonged to the
    row next to it, that row is lost too. The rows that are kept get new numbers without gaps; their
    steps and values do not change.

    Args:
        path: directory of the damaged store, which is not changed.
        into: directory of the new store: a new path or an empty directory, outside `path`. The copy
            appears there complete. After an error, nothing is left there.
        truncate_at_damage: copy only the rows before the first damage.
        progress: as for `verify`.

    Returns:
        A report.

    Raises:
        FileNotFoundError: there is no store at `path`.
        VersionError: the store has another version of the format.
        FileExistsError: `into` is anything but an empty directory.
        ValueError: `into` is inside `path`.
        CorruptStoreError: identity or schema cannot be read, so the records cannot be checked.
        StoreFullError: there is no space.
        OSError: the disk reported an error.

    Examples:
        >>> import stream_store
        >>> with StreamStore("run", fields={"reward": "float32"}) as store:
        ...     rows = store.extend({"reward": [1.0, 2.0]})
        >>> stream_store.repair("run", "repaired").rows
        2
    """
    records, rows, values, rows_lost, gap_count, gaps, findings = _core._repair(
        path_text(path), path_text(into), truncate_at_damage, progress
    )
    return RepairReport(
        records=records,
        rows=rows,
        values=values,
        rows_lost=rows_lost,
        gap_count=gap_count,
        gaps=tuple(Gap(*one) for one in gaps),
        findings=tuple(Finding(*one) for one in findings),
    )


def make_report(parts: tuple[Any, ...], store: _core.Store | None) -> VerifyReport:
    """The VerifyReport of a tuple that the C++ side returns, and of the store if it can be read."""
    findings, *rest = parts
    report = VerifyReport(tuple(Finding(*one) for one in findings), *rest)
    if store is None:
        return report
    try:
        return replace(
            report,
            first_row=store.first_row,
            retention=retention_of(store),
            held_bytes=held_by_readers(directory_of(store)).bytes if store.fields else 0,
        )
    except Error:
        return report


for _class in (Finding, Gap, VerifyReport, RepairReport):
    _class.__module__ = "stream_store"
del _class
