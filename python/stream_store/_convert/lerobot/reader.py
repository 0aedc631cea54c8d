"""LeRobotSource: a data set as a source of episodes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from stream_store._convert.file_reading import read_batches, reading
from stream_store._convert.source import BLOCK_BYTES, Block, Source, choose_fields
from stream_store._exchange.optional import require

from .columns import image_feature, store_column, store_feature
from .layout import DEFAULT_FEATURES, IMAGE, VIDEO, VIDEO_PATH, read_info
from .metadata import DataFile, Episodes, parquet, read_tasks
from .video import FORMS, EpisodeVideo, VideoReader, video_feature

_OPERATION = "from_lerobot"
_TASK = "task"
_EPISODE = "episode_index"
_FACT = "meta/episodes/"  # paths of facts about episodes in `map`


class LeRobotSource(Source):
    """The episodes of a LeRobotDataset v3.0 in a local directory.

    Paths for `map` are the names of features, "task", and "meta/episodes/NAME" for a column of the
    episodes.
    """

    format = "lerobot"

    def __init__(
        self,
        path: Path,
        map: Mapping[str, str] | None,
        episodes: Iterable[int] | None,
        videos: str,
    ) -> None:
        if videos not in FORMS:
            raise ValueError(
                f"{_OPERATION}: videos={videos!r}: expected one of {', '.join(map_repr(FORMS))}"
            )
        self.path = path
        self._videos = videos
        self._last_task: Any = None  # of the last row that was read
        self._info = read_info(path, _OPERATION)
        self._features: dict[str, dict[str, Any]] = self._info["features"]
        self._table = Episodes(path, self._info, _OPERATION)
        self._tasks = read_tasks(path, _OPERATION)
        self._files = self._table.files()
        self._chosen = self._choose_episodes(episodes)
        self.rows = sum(int(self._table.lengths[number]) for number in self._chosen)
        self.episodes = len(self._chosen)
        self._choose_fields(map)
        self.options = {
            "map": None if map is None else dict(self._paths),
            "episodes": None if episodes is None else sorted(self._chosen),
            "videos": videos,
        }

    # --- what to read ---

    def _choose_episodes(self, episodes: Iterable[int] | None) -> dict[int, None]:
        count = len(self._table.lengths)
        if episodes is None:
            return dict.fromkeys(range(count))
        try:
            chosen = sorted({operator.index(number) for number in episodes})
        except TypeError:
            raise ValueError(
                f"{self.path}: {_OPERATION}: episodes must be a list of ints, not {episodes!r:.60}"
            ) from None
        for number in chosen:
            if not 0 <= number < count:
                raise IndexError(
                    f"{self.path}: {_OPERATION}: episode {number}: expected [0, {count})"
                )
        return dict.fromkeys(chosen)

    def _choose_fields(self, map: Mapping[str, str] | None) -> None:
        # First the facts, which only first rows have; the task is also on the last row.
        facts = self._table.facts
        available = {_FACT + name: name for name in facts}
        available |= {name: name for name in self._features}
        if _TASK not in available:
            available[_TASK] = _TASK
        left_out: dict[str, str] = {}
        if map is None:
            left_out["index"] = "it is the number of the row"
            left_out["task_index"] = f"the field {_TASK!r} has the text"
            if self._videos == "skip":
                left_out |= {
                    name: "videos='skip'"
                    for name, feature in self._features.items()
                    if feature["dtype"] == VIDEO
                }
            taken = set(self._features)
            for name in facts:
                if name in taken or name == _TASK:
                    left_out[_FACT + name] = "a feature has this name; map= can rename it"
            default = {path: name for path, name in available.items() if path not in left_out}
            self._paths = choose_fields(default, None, self.path)
        else:
            self._paths = choose_fields(available, map, self.path)
            used = set(self._paths.values())
            left_out |= {path: "map= does not name it" for path in available if path not in used}
        for name, feature in self._features.items():
            if feature.get("names") and name in self._paths.values():
                left_out[f"names of {name}"] = "a field has no names for its items"
        self.left_out = {
            path: why for path, why in left_out.items() if path in available or " " in path
        }
        schema = self._schema()
        self.episode_field = next(
            (name for name, path in self._paths.items() if path == _EPISODE), None
        )
        if self._chosen:
            self.episode_numbers = (min(self._chosen), max(self._chosen))
        self.fields = {name: self._field(path, schema) for name, path in self._paths.items()}
        videos = [path for path in self._paths.values() if self._kind(path) == VIDEO]
        for path in videos:
            self._table.require_video(path)
        if videos:
            require(
                "av",
                f"{_OPERATION}: reading the video columns {self._video_names()}",
                extra="video",
            )
        self.changes = {
            name: f"frames of a video -> {self._videos}"
            for name, path in self._paths.items()
            if self._kind(path) == VIDEO
        }

    def _video_names(self) -> str:
        names = [path for path in self._paths.values() if self._kind(path) == VIDEO]
        return f"{', '.join(names)} (videos='skip' leaves them out)"

    def _schema(self) -> Any:
        if not self._files:
            return None
        path = self._files[0].path
        with reading(path, _OPERATION), parquet(_OPERATION).ParquetFile(path) as file:
            return file.schema_arrow

    def _kind(self, path: str) -> str:
        """ "image", "video", "task", "fact" or "column"."""
        if path in self._features:
            dtype = self._features[path]["dtype"]
            return dtype if dtype in (IMAGE, VIDEO) else "column"
        return "fact" if path.startswith(_FACT) else _TASK

    def _field(self, path: str, schema: Any) -> Any:
        kind = self._kind(path)
        if kind == _TASK:
            return "packed string"
        if kind == "fact":
            return self._table.facts[path.removeprefix(_FACT)]
        feature = self._features[path]
        if kind == IMAGE:
            return image_feature(_OPERATION)
        if kind == VIDEO:
            if self._videos == "skip":
                raise ValueError(
                    f"{self.path}: {_OPERATION}: map= names the video {path!r}, but videos='skip'"
                )
            return video_feature(self._videos, feature["shape"], self.path, path)
        if schema is None:
            made = store_feature(feature, None)
            return "packed string" if made is None else made
        if path not in schema.names:
            raise ValueError(
                f"{self._files[0].path}: {_OPERATION}: expected a column {path!r}, as info.json "
                f"says, but found {', '.join(schema.names)}"
            )
        return store_feature(feature, schema.field(path).type)

    # --- reading ---

    def blocks(self, first_episode: int = 0) -> Iterator[Block]:
        """Blocks of the chosen episodes whose number is at least `first_episode`."""
        with ExitStack() as stack:
            readers = {
                path: stack.enter_context(closing(VideoReader(path, self._videos)))
                for path in self._paths.values()
                if self._kind(path) == VIDEO
            }
            for file in self._files:
                wanted = [
                    part
                    for part in file.episodes
                    if part[0] >= first_episode and part[0] in self._chosen
                ]
                if wanted:
                    yield from self._file_blocks(file, wanted, readers)

    def _file_blocks(
        self,
        file: DataFile,
        wanted: list[tuple[int, int, int]],
        readers: Mapping[str, VideoReader],
    ) -> Iterator[Block]:
        """The blocks of some episodes of a data file; only their row groups are read."""
        names = [path for path in self._paths.values() if self._kind(path) in ("column", IMAGE)]
        needed = dict.fromkeys([*names, _EPISODE, "task_index", "timestamp"])
        with ExitStack() as stack:
            with reading(file.path, _OPERATION):
                module = parquet(_OPERATION)
                opened = stack.enter_context(module.ParquetFile(file.path, pre_buffer=False))
            if opened.metadata.num_rows != file.rows:
                raise ValueError(
                    f"{file.path}: {_OPERATION}: expected {file.rows:,} rows, as meta/episodes "
                    f"says, but found {opened.metadata.num_rows:,}"
                )
            lacking = [name for name in needed if name not in opened.schema_arrow.names]
            if lacking:
                raise ValueError(
                    f"{file.path}: {_OPERATION}: the columns {', '.join(lacking)} are missing"
                )
            pending = list(wanted)
            for start, batch in _batches(opened, file, wanted, list(needed), self._frame_bytes()):
                while pending and pending[0][1] < start + batch.num_rows:
                    number, first, stop = pending[0]
                    begin, end = max(first, start), min(stop, start + batch.num_rows)
                    if begin >= end:
                        break
                    part = batch.slice(begin - start, end - begin)
                    yield self._block(file, part, number, begin == first, end == stop, readers)
                    if end < stop:
                        break
                    pending.pop(0)

    def _frame_bytes(self) -> int:
        """Size of the decoded frames of one row of the videos."""
        return sum(
            int(np.prod(self._features[path]["shape"]))
            for path in self._paths.values()
            if self._kind(path) == VIDEO
        )

    def _block(
        self,
        file: DataFile,
        batch: Any,
        number: int,
        begins: bool,
        ends: bool,
        readers: Mapping[str, VideoReader],
    ) -> Block:
        found = batch.column(_EPISODE).to_numpy(zero_copy_only=False)
        if (found != number).any():
            raise ValueError(
                f"{file.path}: {_OPERATION}: expected rows of episode {number}, as meta/episodes "
                f"says, but found episode {found[found != number][0]}"
            )
        columns: dict[str, Any] = {}
        for name, path in self._paths.items():
            kind = self._kind(path)
            if kind == _TASK:
                columns[name] = self._task_texts(batch, number, begins)
                if ends and number == max(self._chosen):
                    # A row that lacks the last field could be continued, so samplers would leave
                    # it out.
                    columns[name][-1] = self._tasks[self._last_task]
            elif kind == "fact":
                facts: list[Any] = [None] * batch.num_rows
                if begins:
                    facts[0] = self._table.table.column(path.removeprefix(_FACT))[number].as_py()
                columns[name] = facts
            elif kind == VIDEO:
                times = batch.column("timestamp").to_numpy(zero_copy_only=False)
                columns[name] = readers[path].frames(self._video_of(path, number), times)
            elif kind == IMAGE:
                columns[name] = batch.column(path)
            else:
                where = f"{file.path}: {_OPERATION}: episode {number}, feature {path!r}"
                columns[name] = store_column(batch.column(path), self._features[path], where)
                if path == _EPISODE and self.episode_offset:
                    columns[name] = columns[name] + self.episode_offset
        return Block(columns, None, number, ends)

    def _task_texts(self, batch: Any, number: int, begins: bool) -> list[str | None]:
        """The task on the first row of an episode, and on rows where another one begins."""
        indices = batch.column("task_index").to_pylist()
        before = None if begins else self._last_task
        texts: list[str | None] = []
        for index in indices:
            if index == before:
                texts.append(None)
            elif index in self._tasks:
                texts.append(self._tasks[index])
            else:
                raise ValueError(
                    f"{self.path}: {_OPERATION}: episode {number} has task {index}, but "
                    f"meta/tasks.parquet has only {sorted(self._tasks)}"
                )
            before = index
        self._last_task = before
        return texts

    def _video_of(self, path: str, number: int) -> EpisodeVideo:
        def place(name: str) -> Any:
            return self._table.table.column(f"videos/{path}/{name}")[number].as_py()

        pattern = self._info.get("video_path") or VIDEO_PATH
        name = pattern.format(
            video_key=path,
            chunk_index=int(place("chunk_index")),
            file_index=int(place("file_index")),
        )
        return EpisodeVideo(self.path / name, float(place("from_timestamp")), self._info["fps"])


def map_repr(names: Iterable[str]) -> list[str]:
    return [repr(name) for name in names]


def _batches(
    opened: Any,
    file: DataFile,
    wanted: list[tuple[int, int, int]],
    names: list[str],
    frame_bytes: int,
) -> Iterator[tuple[int, Any]]:
    """(first row, batch) of the row groups that hold any of these episodes, in order."""
    first = 0
    for number in range(opened.num_row_groups):
        group = opened.metadata.row_group(number)
        stop = first + group.num_rows
        if group.num_rows and any(begin < stop and end > first for _, begin, end in wanted):
            row_bytes = max(1, group.total_byte_size // group.num_rows + frame_bytes)
            size = max(1, min(BLOCK_BYTES // row_bytes, 1 << 16))
            row = first
            with reading(file.path, _OPERATION):
                found = opened.iter_batches(
                    batch_size=size, row_groups=[number], columns=names, use_threads=False
                )
            for batch in read_batches(found, file.path, _OPERATION):
                yield row, batch
                row += batch.num_rows
        first = stop


__all__ = ["DEFAULT_FEATURES", "LeRobotSource"]
