"""Export of rows into Parquet, Arrow and CSV files, one batch at a time.

The records are verified first, so damage ends the export before anything is written. A file appears
under its name once it is complete; "-" is standard output.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stream_store._arguments import row_range
from stream_store._fields import declared_fields
from stream_store._file_errors import naming
from stream_store._outside import require_outside
from stream_store.errors import CorruptStoreError
from stream_store.store import StreamStore

from .csv_cells import csv_line, csv_rows
from .exit_codes import ArgumentError
from .rows import check_fields

STDOUT = "-"

_KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".arrows": "arrow-stream",
    ".csv": "csv",
}
_RECORD = re.compile(r"record (\d+)")  # how the subject of a finding begins
_AT_ONCE = 4096  # rows of a CSV file between two calls of the progress bar


@dataclass(frozen=True)
class Choice:
    """The rows and columns to export.

    start, stop   rows [start, stop), as Python slices count them; by default all that are there.
    fields        outer names, or None for all.
    step_column   name of a first column with the steps, or None.
    """

    start: int | None = None
    stop: int | None = None
    fields: list[str] | None = None
    step_column: str | None = None


def export_rows(
    store: StreamStore,
    out: Path,
    kind: str | None,
    choice: Choice,
    progress: Callable[[int, int], None],
) -> int:
    """Write rows into `out`, which appears once it is complete; returns their number.

    Raises:
        CorruptStoreError: a record that would be exported is damaged.
        ArgumentError: an argument is not valid.
        ValueError: the file cannot be written, or the format cannot hold a column.
    """
    kind = kind or _KINDS.get(out.suffix.lower(), "")
    if kind not in _KINDS.values():
        suffixes = ", ".join(_KINDS)
        kinds = ", ".join(dict.fromkeys(_KINDS.values()))
        raise ArgumentError(
            f"{out}: expected a file name that ends in one of {suffixes}, or --format with one of "
            f"{kinds}, found "
            f"{f'--format {kind}' if kind else repr(out.name)}"
        )
    check_fields(store, choice.fields)
    _check_step_column(store, choice)
    view = store.snapshot()
    rows = range(*row_range(view, choice.start, choice.stop))
    target = None if str(out) == STDOUT else _target(out)
    _verify(store, rows)
    write = _write_csv if kind == "csv" else _write_arrow
    with _opened(target) as file:
        write(view, file, kind, rows, choice, progress)
    return len(rows)


def _check_step_column(store: StreamStore, choice: Choice) -> None:
    name = choice.step_column
    if name is None:
        return
    if not name:
        raise ArgumentError("--step-column: the name is empty")
    if name in (choice.fields or declared_fields(store).outer_names):
        raise ArgumentError(f"--step-column: {name!r} is the name of a field; choose another name")


def _target(out: Path) -> Path:
    """The file that `out` names, with links resolved.

    The export replaces an existing file. Paths where that would destroy something are refused:
    devices such as /dev/stdout, and files of a store.
    """
    if out.exists() and not out.is_file():
        raise ValueError(
            f"{out}: expected a new path, a regular file to replace, or - for standard output, "
            "found something else"
        )
    target = Path(os.path.realpath(out))
    if not target.parent.is_dir():
        raise ValueError(f"{out}: there is no directory {target.parent}")
    require_outside(out, "export")
    return target


@contextmanager
def _opened(target: Path | None) -> Iterator[IO[bytes]]:
    """A file to write to, which replaces `target` at the end; None is standard output."""
    if target is None:
        with naming("standard output", "export"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        with naming(target, "export"), partial.open("wb") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _verify(store: StreamStore, rows: range) -> None:
    """Check the records of the rows. Damage in the records of other rows does not count."""
    if not rows:
        return
    report = store.verify()
    if report.ok:
        return
    first, last = (
        store.snapshot(row)._content_key[1] if row else 0 for row in (rows.start, rows.stop)
    )
    damages = [finding for finding in report.findings if finding.severity == "damage"]
    for finding in damages:
        record = _RECORD.match(finding.subject)
        if record is None or first <= int(record[1]) < last:
            raise CorruptStoreError(f"{store.path}: export: {finding}")
    if len(damages) < report.damages:  # the report has the first 1,000 only
        raise CorruptStoreError(
            f"{store.path}: export: expected good records but found {report.damages:,} damages, "
            f"the first of them {damages[0] if damages else 'unknown'}"
        )


# --- Parquet and Arrow ---


def _write_arrow(
    view: StreamStore,
    file: IO[bytes],
    kind: str,
    rows: range,
    choice: Choice,
    progress: Callable[[int, int], None],
) -> None:
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportError(
            f"exporting {kind} needs pyarrow: pip install 'stream-store[datasets]'"
        ) from None
    from stream_store._exchange.arrow import batches_of

    schema = whole = _schema(pa, view, choice)
    if choice.fields:
        names = [choice.step_column] if choice.step_column else []
        names += choice.fields
        schema = pa.schema([whole.field(name) for name in names], _metadata(whole, names))
    batches = batches_of(
        view, declared_fields(view), whole, rows.start, rows.stop, choice.step_column or ""
    )
    done = 0
    try:
        with _writer(pa, file, kind, schema) as writer:
            for batch in batches:
                writer.write_batch(
                    batch.select(schema.names).replace_schema_metadata(schema.metadata)
                )
                done += batch.num_rows
                progress(done, len(rows))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"export: {kind} cannot hold these columns: {reason}. Export them as arrow, or choose "
            "others with --field"
        ) from error


def _schema(pa: Any, view: StreamStore, choice: Choice) -> Any:
    """The schema that `to_dataset` has; without `datasets`, the store's own."""
    from stream_store._exchange.to_dataset import features_of

    try:
        return features_of(declared_fields(view), choice.step_column).arrow_schema
    except ImportError:
        pass
    own = pa.schema(view)
    if choice.step_column is None:
        return own
    return pa.schema([pa.field(choice.step_column, pa.int64()), *own], own.metadata)


def _metadata(schema: Any, names: list[str]) -> dict[bytes, bytes] | None:
    """The schema's metadata with the features of some columns only."""
    import json

    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return schema.metadata  # type: ignore[no-any-return]
    metadata = json.loads(text)
    features = metadata["info"]["features"]
    metadata["info"]["features"] = {name: features[name] for name in names if name in features}
    return {**schema.metadata, b"huggingface": json.dumps(metadata).encode()}


def _writer(pa: Any, file: IO[bytes], kind: str, schema: Any) -> Any:
    if kind == "arrow":
        return pa.ipc.new_file(file, schema)
    if kind == "arrow-stream":
        return pa.ipc.new_stream(file, schema)
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, schema)


# --- CSV ---


def _write_csv(
    view: StreamStore,
    file: IO[bytes],
    _kind: str,
    rows: range,
    choice: Choice,
    progress: Callable[[int, int], None],
) -> None:
    names = choice.fields or declared_fields(view).outer_names
    header = ([choice.step_column] if choice.step_column else []) + names
    file.write(csv_line(header))
    lines = csv_rows(view, rows, names, with_steps=choice.step_column is not None)
    for number, line in enumerate(lines, start=1):
        file.write(line)
        if number % _AT_ONCE == 0 or number == len(rows):
            progress(number, len(rows))
