"""Files of limited size: data, episodes and videos are each spread over numbered files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream_store._exchange.optional import require

from .layout import TASKS, following

_GROUP_BYTES = 16 << 20  # size of the tables that are written at once: row groups


class TableFiles:
    """Parquet files that are filled one after another.

    A file ends between two episodes once it has about `most_mb`. Small tables are collected, so
    that a row group holds many short episodes.
    """

    def __init__(
        self,
        root: Path,
        pattern: str,
        most_mb: int,
        dictionary: Sequence[str] | bool,
        first: tuple[int, int] = (0, 0),
    ) -> None:
        self._root, self._pattern = root, pattern
        self._most = most_mb << 20
        self._dictionary = dictionary
        self.chunk, self.file = first
        self._writer: Any = None
        self._sink: Any = None
        self._pending: list[Any] = []
        self._pending_bytes = 0
        self._ratio = 1.0  # bytes in the file per byte of a table, so far
        self._written = 0

    def next_episode(self) -> tuple[int, int]:
        """Chunk and file of the next episode."""
        if self._size() >= self._most:
            self.close()
            self.chunk, self.file = following(self.chunk, self.file)
        return self.chunk, self.file

    def _size(self) -> int:
        size = int(self._pending_bytes * self._ratio)
        return size if self._sink is None else size + int(self._sink.tell())

    def add(self, table: Any) -> None:
        """Add rows of the episode."""
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        if self._pending_bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        pa = require("pyarrow", "to_lerobot", extra="lerobot")
        table = pa.concat_tables(self._pending)
        if self._writer is None:
            pq = require("pyarrow.parquet", "to_lerobot", extra="lerobot")
            path = self._root / self._pattern.format(chunk_index=self.chunk, file_index=self.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(path), "wb")
            self._writer = pq.ParquetWriter(
                self._sink, table.schema, compression="snappy", use_dictionary=self._dictionary
            )
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._written += self._pending_bytes
        self._ratio = int(self._sink.tell()) / max(self._written, 1)
        self._pending, self._pending_bytes = [], 0

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._sink.close()
        self._writer = self._sink = None
        self._written = 0


def write_tasks(root: Path, tasks: Mapping[str, int]) -> None:
    """meta/tasks.parquet: as pandas writes it, with the texts as the index."""
    pa = require("pyarrow", "to_lerobot", extra="lerobot")
    pq = require("pyarrow.parquet", "to_lerobot", extra="lerobot")
    column = {"metadata": None}
    described = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                **column,
            },
            {
                "name": "task",
                "field_name": "task",
                "pandas_type": "unicode",
                "numpy_type": "object",
                **column,
            },
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
    }
    table = pa.table(
        {
            "task_index": pa.array(list(tasks.values()), pa.int64()),
            "task": pa.array(list(tasks), pa.string()),
        }
    ).replace_schema_metadata({"pandas": json.dumps(described)})
    path = root / TASKS
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, indented as the library does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")
