"""Rows into Parquet, Arrow and CSV files, a batch at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stream_store.store import StreamStore

from .output import plain
from .rows import check_fields

_ROWS_A_BATCH = 4096
_KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
}


def export_rows(
    store: StreamStore,
    out: Path,
    kind: str | None,
    bounds: tuple[int, int | None],
    fields: list[str] | None,
    progress: Callable[[int, int], None],
) -> int:
    """Write rows into `out`, which appears when it is complete; return how many."""
    kind = kind or _KINDS.get(out.suffix.lower())
    if kind not in {"parquet", "arrow", "csv"}:
        raise ValueError(f"{out}: the format must be parquet, arrow or csv; give --format")
    check_fields(store, fields)
    view = store.snapshot()
    start, stop, _ = slice(*bounds).indices(view.num_rows)
    stop = max(start, stop)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    write = _write_csv if kind == "csv" else _write_arrow
    try:
        write(view, partial, kind, range(start, stop), fields, progress)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return stop - start


def _write_arrow(
    view: StreamStore,
    out: Path,
    kind: str,
    rows: range,
    fields: list[str] | None,
    progress: Callable[[int, int], None],
) -> None:
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportError(
            f"exporting {kind} needs pyarrow: pip install 'stream-store[datasets]'"
        ) from None
    schema, batches = record_batches(view, rows)
    if fields:
        schema = pa.schema([schema.field(name) for name in fields])
    done = 0
    with _writer(pa, out, kind, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.select(schema.names) if fields else batch)
            done += batch.num_rows
            progress(done, len(rows))


def _writer(pa: Any, out: Path, kind: str, schema: Any) -> Any:
    if kind == "arrow":
        return pa.ipc.new_file(str(out), schema)
    import pyarrow.parquet as pq

    return pq.ParquetWriter(str(out), schema)


def record_batches(view: StreamStore, rows: range) -> tuple[Any, Iterator[Any]]:
    """Schema and batches of those rows: the one place that knows how rows become Arrow."""
    to_arrow = getattr(view, "to_arrow", None)
    if to_arrow is not None:
        reader = to_arrow(rows.start, rows.stop)
        return reader.schema, iter(reader)
    return _batches_of_rows(view, rows)


def _batches_of_rows(view: StreamStore, rows: range) -> tuple[Any, Iterator[Any]]:
    import pyarrow as pa

    features: Any = view.features
    schema = features.arrow_schema

    def batches() -> Iterator[Any]:
        for first in range(rows.start, rows.stop, _ROWS_A_BATCH):
            last = min(first + _ROWS_A_BATCH, rows.stop)
            listed = [_nested(row) for row in view.rows(first, last)]
            yield pa.RecordBatch.from_pylist(listed, schema=schema)

    return schema, batches()


def _nested(value: Any) -> Any:
    """Arrays as lists, structs as they are, times as NumPy has them."""
    if isinstance(value, dict):
        return {name: _nested(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind not in "mM" else list(value)
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":
        return value.item()
    return value


def _write_csv(
    view: StreamStore,
    out: Path,
    _kind: str,
    rows: range,
    fields: list[str] | None,
    progress: Callable[[int, int], None],
) -> None:
    """A line a row: missing is empty, lists and arrays are JSON, bytes hex, structs JSON."""
    import csv

    names = fields or list(view._tree.children)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for number, row in enumerate(view.rows(rows.start, rows.stop), start=1):
            writer.writerow([_cell(row[name]) for name in names])
            if number % _ROWS_A_BATCH == 0 or number == len(rows):
                progress(number, len(rows))


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, (dict, np.ndarray, list)):
        return json.dumps(plain(value), ensure_ascii=False)
    return plain(value)
