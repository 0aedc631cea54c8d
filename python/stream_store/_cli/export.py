"""Export of rows into Parquet, Arrow and CSV files, one batch at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stream_store._fields import declared_fields
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
    """Write rows into `out`, which appears once it is complete; returns their number."""
    kind = kind or _KINDS.get(out.suffix.lower())
    if kind not in {"parquet", "arrow", "csv"}:
        raise ValueError(
            f"{out}: expected a file name that ends in .parquet, .arrow or .csv, or --format"
        )
    check_fields(store, fields)
    out = _target(out)
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


def _target(out: Path) -> Path:
    """The file that `out` names, with links resolved.

    The export replaces an existing file. Paths where that would destroy something are refused:
    devices such as /dev/stdout, and files of a store.
    """
    if out.exists() and not out.is_file():
        raise ValueError(
            f"{out}: expected a new path or a regular file to replace, found something else"
        )
    target = Path(os.path.realpath(out))
    if not target.parent.is_dir():
        raise ValueError(f"{out}: there is no directory {target.parent}")
    if (target.parent / "control").exists() and (target.parent / "records").exists():
        raise ValueError(f"{out}: {target.parent} is a store; choose a path outside of it")
    return target


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
    batches = view.to_arrow(rows.start, rows.stop)
    schema = batches.schema
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


def _write_csv(
    view: StreamStore,
    out: Path,
    _kind: str,
    rows: range,
    fields: list[str] | None,
    progress: Callable[[int, int], None],
) -> None:
    """One line per row. Missing is empty; lists, arrays and structs are JSON; bytes are hex."""
    import csv

    names = fields or declared_fields(view).outer_names
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
