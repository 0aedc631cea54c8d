"""Parquet and Arrow files: `from_arrow` and `to_arrow` of a store, with a file beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stream_store._arguments import path_text
from stream_store._exchange.arrow import from_arrow, replaces_rows, to_arrow
from stream_store._exchange.optional import require
from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress
from stream_store.errors import CheckError

from .checking import same_value
from .exporting import new_file
from .file_reading import read_batches, reading
from .report import ConversionReport

_OPERATION = "convert"
_STREAM_SUFFIX = ".arrows"  # as of `stream-store export`


def from_parquet(
    store: StoreLife,
    src: AnyPath,
    *,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import a Parquet file. All rows appear at once, so there is nothing to resume."""
    return _import(store, Path(path_text(src)), "parquet", append, resume, check, progress)


def from_arrow_file(
    store: StoreLife,
    src: AnyPath,
    *,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import an Arrow file or stream. All rows appear at once, so there is nothing to resume."""
    return _import(store, Path(path_text(src)), "arrow", append, resume, check, progress)


def to_parquet(
    store: StoreLife,
    dst: AnyPath,
    *,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Write all rows into a new Parquet file."""
    return _export(store, Path(path_text(dst)), "parquet", check, progress)


def to_arrow_file(
    store: StoreLife,
    dst: AnyPath,
    *,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Write all rows into a new Arrow file, or with the suffix .arrows into an Arrow stream."""
    return _export(store, Path(path_text(dst)), "arrow", check, progress)


def _import(
    store: StoreLife,
    path: Path,
    kind: str,
    append: bool,
    resume: bool,
    check: bool,
    progress: Progress | None,
) -> ConversionReport:
    if resume and store.fields and store.num_rows:
        raise ValueError(f"{path}: {kind}: resume: all rows of such a file appear at once")
    pa = require("pyarrow", f"reading {kind}")
    began = time.monotonic()
    replaces_rows(store, append)  # raises an error about the store, not about the file
    with _reader(path, kind) as (reader, total):
        known = set(declared_fields(store).outer_names) if store.fields else set()
        names = reader.schema.names
        stream = _counted(reader, total, progress)
        try:
            rows = from_arrow(store, stream, append)
        except (ValueError, TypeError) as error:
            if isinstance(error, pa.ArrowException) or str(error).startswith(f"{path}: "):
                raise
            raise ValueError(f"{path}: {_OPERATION}: {error}") from error
    compared = None
    if check:
        compared = _compare(store, path, kind, store.num_rows - rows)
    left_out = {
        name: "the store has no such field" for name in names if known and name not in known
    }
    return ConversionReport(
        format=kind,
        rows=rows,
        episodes=min(rows, 1),
        fields=tuple(name for name in names if name not in left_out),
        left_out=left_out,
        seconds=time.monotonic() - began,
        checked_values=compared,
    )


def _export(
    store: StoreLife, path: Path, kind: str, check: bool, progress: Progress | None
) -> ConversionReport:
    pa = require("pyarrow", f"writing {kind}")
    began = time.monotonic()
    view = store.snapshot()
    done = 0
    with new_file(path, "convert") as partial:
        reader = to_arrow(view, None, None)
        try:
            with _writer(partial, path, kind, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    done += batch.num_rows
                    if progress is not None:
                        progress(done, view.kept_rows)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{path}: convert: {kind} cannot hold the fields: {reason}") from error
    compared = _compare(view, path, kind, view.first_row) if check else None
    return ConversionReport(
        format=kind,
        rows=done,
        episodes=min(done, 1),
        fields=tuple(reader.schema.names),
        seconds=time.monotonic() - began,
        checked_values=compared,
    )


@contextmanager
def _reader(path: Path, kind: str) -> Iterator[tuple[Any, int]]:
    """The batches of a file, with their schema, and the number of rows or 0."""
    pa = require("pyarrow", f"reading {kind}")
    with ExitStack() as stack:
        with reading(path, _OPERATION):
            if kind == "parquet":
                import pyarrow.parquet as pq

                file = stack.enter_context(pq.ParquetFile(path, pre_buffer=False))
                schema, total = file.schema_arrow, file.metadata.num_rows
                batches = file.iter_batches(batch_size=1 << 14)
            else:
                file = stack.enter_context(pa.memory_map(str(path)))
                schema, batches = _arrow_batches(pa, file)
                total = 0
        batches = read_batches(batches, path, _OPERATION)
        try:
            yield pa.RecordBatchReader.from_batches(schema, batches), total
        except pa.ArrowException:  # values that are not valid, which are found after reading
            with reading(path, _OPERATION):
                raise


def _arrow_batches(pa: Any, file: Any) -> tuple[Any, Iterator[Any]]:
    """The schema and the batches of an Arrow file, or of a stream."""
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if not is_file:
        stream = pa.ipc.open_stream(file)
        return stream.schema, iter(stream)
    opened = pa.ipc.open_file(file)
    groups = (opened.get_batch(number) for number in range(opened.num_record_batches))
    return opened.schema, groups


def _counted(reader: Any, total: int, progress: Progress | None) -> Any:
    if progress is None:
        return reader
    pa = require("pyarrow", "an import")

    def batches() -> Iterator[Any]:
        done = 0
        for batch in reader:
            yield batch
            done += batch.num_rows
            progress(done, total)

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _writer(partial: Path, path: Path, kind: str, schema: Any) -> Any:
    pa = require("pyarrow", f"writing {kind}")
    if kind == "parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(partial, schema)
    if path.suffix == _STREAM_SUFFIX:
        return pa.ipc.new_stream(str(partial), schema)
    return pa.ipc.new_file(str(partial), schema)


def _compare(store: StoreLife, path: Path, kind: str, first_row: int) -> int:
    """Compare the file with rows of the store, in Arrow's form on both sides."""
    row = first_row
    compared = 0
    with _reader(path, kind) as (reader, _):
        known = declared_fields(store).outer_names
        names = [name for name in reader.schema.names if name in known]
        for batch in reader:
            mine = to_arrow(store, row, row + batch.num_rows).read_all()
            for name in names:
                pairs = zip(
                    batch.column(name).to_pylist(), mine.column(name).to_pylist(), strict=True
                )
                for place, (one, other) in enumerate(pairs):
                    if not same_value(one, other):
                        raise CheckError(
                            f"{path}: check: row {row + place}, field {name!r}: expected {one!r} "
                            f"but found {other!r}"
                        )
                compared += batch.num_rows
            row += batch.num_rows
    return compared
