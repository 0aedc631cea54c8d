"""The files of `meta/` of an existing data set: its episodes and its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_store._convert.file_reading import reading
from stream_store._exchange.optional import require

from .layout import DATA_PATH, TASKS, VIDEO_PLACE, is_fact

_NOT_FINALIZED = "; a recording that was not finalized leaves such files"


def parquet(operation: str) -> Any:
    """The module pyarrow.parquet; an ImportError names the extra."""
    require("pyarrow", operation, extra="lerobot")
    return require("pyarrow.parquet", operation, extra="lerobot")


@dataclass(frozen=True)
class DataFile:
    """A data file, and the episodes that it holds: (number of the episode, first row, end row)."""

    path: Path
    episodes: tuple[tuple[int, int, int], ...]

    @property
    def rows(self) -> int:
        return self.episodes[-1][2]


class Episodes:
    """The table of episodes, without their statistics, in the order of their numbers."""

    def __init__(self, root: Path, info: dict[str, Any], operation: str) -> None:
        self._root, self._info, self._operation = root, info, operation
        pq = parquet(operation)
        pa = require("pyarrow", operation, extra="lerobot")
        tables = []
        for path in sorted((root / "meta" / "episodes").glob("*/*.parquet")):
            with reading(path, operation, _NOT_FINALIZED):
                file = pq.ParquetFile(path)
                names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
                tables.append(file.read(columns=names))
        with reading(root / "meta" / "episodes", operation):
            joined = pa.concat_tables(tables, promote_options="permissive") if tables else None
        self.table: Any = joined
        found = 0 if self.table is None else self.table.num_rows
        if found != info["total_episodes"]:
            raise ValueError(
                f"{root}: {operation}: expected {info['total_episodes']:,} episodes, as info.json "
                f"says, but meta/episodes has {found:,}"
            )
        if self.table is not None:
            self._require_columns(
                ("episode_index", "length", "data/chunk_index", "data/file_index")
            )
            numbers = self.table.column("episode_index").to_pylist()
            if numbers != list(range(found)):
                raise ValueError(
                    f"{root}: {operation}: expected episodes 0 to {found - 1} in order in "
                    f"meta/episodes, but found {numbers[:10]}"
                )
        self.lengths = self.column("length")

    def require_video(self, name: str) -> None:
        """Refuse a video of which no episode says where it is."""
        if self.table is not None:
            self._require_columns([f"videos/{name}/{part}" for part in VIDEO_PLACE])

    def _require_columns(self, needed: Sequence[str]) -> None:
        lacking = [name for name in needed if name not in self.table.column_names]
        if lacking:
            raise ValueError(
                f"{self._root}: {self._operation}: meta/episodes lacks the columns "
                f"{', '.join(lacking)}"
            )

    def column(self, name: str) -> list[Any]:
        """A column as Python objects, one per episode."""
        return [] if self.table is None else list(self.table.column(name).to_pylist())

    @property
    def facts(self) -> dict[str, Any]:
        """Names of the columns with facts about episodes, with their Arrow types."""
        if self.table is None:
            return {}
        return {field.name: field.type for field in self.table.schema if is_fact(field.name)}

    def files(self) -> list[DataFile]:
        """The data files in the order of their episodes."""
        pattern = self._info.get("data_path") or DATA_PATH
        places = zip(self.column("data/chunk_index"), self.column("data/file_index"), strict=True)
        files: list[tuple[Path, list[tuple[int, int, int]]]] = []
        for number, (chunk, file) in enumerate(places):
            path = self._root / pattern.format(chunk_index=int(chunk), file_index=int(file))
            if not files or files[-1][0] != path:
                files.append((path, []))
            parts = files[-1][1]
            first = parts[-1][2] if parts else 0
            parts.append((number, first, first + int(self.lengths[number])))
        for path, _ in files:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: {self._operation}: the data file is missing")
        return [DataFile(path, tuple(parts)) for path, parts in files]


def read_tasks(root: Path, operation: str) -> dict[int, str]:
    """The texts of the tasks by their numbers.

    The text is the index of a pandas table; its column has the name of the index, if it has one.
    """
    path = root / TASKS
    if not path.is_file():
        return {}
    with reading(path, operation, _NOT_FINALIZED):
        table = parquet(operation).read_table(path)
    texts = [name for name in table.column_names if name != "task_index"]
    if "task_index" not in table.column_names or len(texts) != 1:
        raise ValueError(
            f"{path}: {operation}: expected the column task_index and one with the texts, found "
            f"{', '.join(table.column_names)}"
        )
    return dict(
        zip(
            table.column("task_index").to_pylist(),
            map(str, table.column(texts[0]).to_pylist()),
            strict=True,
        )
    )
