"""DatasetWriter: writes episodes of frames as the files of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stream_store._exchange.optional import require

from .arrow_out import arrow_column, data_schema, nested_lists
from .encoding import ImageEncoder, VideoFiles
from .files import TableFiles, write_json, write_tasks
from .frames import Frames
from .layout import (
    CHUNK_FILES,
    DATA_MB,
    DATA_PATH,
    DEFAULT_FEATURES,
    EPISODES_PATH,
    INFO,
    STATS,
    VERSION,
    VIDEO_MB,
    VIDEO_PATH,
)
from .plan import Feature, Plan
from .stats import EpisodeStats, ImageStats, Stats, TotalStats

_EPISODES_AT_ONCE = 200
_DICTIONARY = ("episode_index", "task_index")  # columns with few values


class DatasetWriter:
    """Writes a data set into a directory; `start_from` continues an existing one.

    Use: for each episode `begin`, `add` once per block of frames, `end`; at last `finish`.
    """

    def __init__(
        self, root: Path, plan: Plan, fps: int, robot_type: str | None, fact_types: dict[str, Any]
    ) -> None:
        self._pa = require("pyarrow", "to_lerobot", extra="lerobot")
        self._root, self._plan, self._fps, self._robot_type = root, plan, fps, robot_type
        self.episodes = self.frames = 0
        self._tasks: dict[str, int] = {}
        self._stats = TotalStats()
        self._defaults = [
            Feature(name, "numeric", name, dtype, ()) for name, dtype in DEFAULT_FEATURES.items()
        ]
        strings = [one.name for one in plan.features if one.kind == "string"]
        self._data = TableFiles(root, DATA_PATH, DATA_MB, [*_DICTIONARY, *strings])
        self._meta = TableFiles(root, EPISODES_PATH, DATA_MB, False)
        self._fact_types = fact_types  # name of a fact -> its Arrow type
        self._images = ImageEncoder(plan.images)
        self._videos = {
            one.name: VideoFiles(root, one.name, fps, VIDEO_MB)
            for one in plan.features
            if one.video
        }
        self._rows: list[dict[str, Any]] = []  # of episodes that are not in a table yet
        self._schema: Any = None
        self._meta_place = self._meta.chunk, self._meta.file

    def start_from(self, state: dict[str, Any]) -> None:
        """Continue an existing data set, whose state `append.py` has read."""
        self.episodes, self.frames = state["episodes"], state["frames"]
        self._tasks = dict(state["tasks"])
        self._stats.load(state["stats"])
        self._data.chunk, self._data.file = state["data"]
        self._meta.chunk, self._meta.file = state["meta"]
        for name, files in self._videos.items():
            files.chunk, files.file = state["videos"][name]

    # --- one episode ---

    @property
    def has_frames(self) -> bool:
        """Whether the episode that was begun has a frame."""
        return self._length > 0

    def begin(self, rows: int) -> None:
        """Begin an episode of about `rows` frames."""
        self._place = self._data.next_episode()
        self._length = 0
        self._episode_tasks: dict[str, None] = {}
        self._numeric = {
            one.name: EpisodeStats()
            for one in [*self._plan.features, *self._defaults]
            if one.kind == "numeric"
        }
        self._pictures = {one.name: ImageStats(rows) for one in self._plan.features if one.is_image}
        for files in self._videos.values():
            files.next_episode()

    def add(self, frames: Frames) -> None:
        """Add a block of frames."""
        count, first = frames.count, self._length
        if not count:
            return
        numbers = np.arange(first, first + count)
        for task in frames.tasks:
            self._tasks.setdefault(task, len(self._tasks))
        self._episode_tasks |= dict.fromkeys(frames.tasks)
        values: dict[str, Any] = {
            "timestamp": (numbers / self._fps).astype(np.float32),
            "frame_index": numbers,
            "episode_index": np.full(count, self.episodes),
            "index": np.arange(self.frames + first, self.frames + first + count),
            "task_index": np.array([self._tasks[task] for task in frames.tasks], np.int64),
        }
        columns = {}
        for one in self._plan.features:
            given = frames.values[one.name]
            if one.is_image:
                given = self._images.encode(one, given, first, self._pictures[one.name])
                if one.video:
                    self._videos[one.name].add(given)
                    continue
            else:
                self._add_stats(one, given)
            columns[one.name] = arrow_column(self._pa, one, given)
        for one in self._defaults:
            self._add_stats(one, values[one.name])
            columns[one.name] = self._pa.array(values[one.name])
        if self._schema is None:  # the shapes are known only now
            stored = [one for one in self._plan.features if not one.video]
            self._schema = data_schema(self._pa, [*stored, *self._defaults])
        table = self._pa.table(list(columns.values()), schema=self._schema)
        self._data.add(table)
        self._length += count

    def _add_stats(self, feature: Feature, values: Any) -> None:
        if feature.kind == "numeric":
            self._numeric[feature.name].add(values)

    def end(self, facts: dict[str, Any]) -> bool:
        """End the episode, with facts about it. False if it had no frames: it is not written."""
        if not self._length:
            return False
        stats: dict[str, Stats] = {}
        for name, one in self._numeric.items():
            stats[name] = one.result()
        for name, pictures in self._pictures.items():
            stats[name] = pictures.result()
        self._stats.add(stats)
        chunk, file = self._place
        row: dict[str, Any] = {
            "episode_index": self.episodes,
            "tasks": list(self._episode_tasks),
            "length": self._length,
            "data/chunk_index": chunk,
            "data/file_index": file,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + self._length,
        }
        for files in self._videos.values():
            row |= files.end_episode()
        row |= facts
        for name, found in stats.items():
            row |= {f"stats/{name}/{key}": value for key, value in found.items()}
        if not self._rows:  # those of a table are in one file
            self._meta_place = self._meta.next_episode()
        meta_chunk, meta_file = self._meta_place
        row |= {"meta/episodes/chunk_index": meta_chunk, "meta/episodes/file_index": meta_file}
        self._rows.append(row)
        if len(self._rows) == _EPISODES_AT_ONCE:
            self._write_episodes()
        self.episodes += 1
        self.frames += self._length
        return True

    def _write_episodes(self) -> None:
        pa = self._pa
        if not self._rows:
            return
        columns = {}
        for name in self._rows[0]:
            cells = [row[name] for row in self._rows]
            if name.startswith("stats/"):
                columns[name] = nested_lists(pa, np.stack(cells))
            elif name in self._plan.facts:
                columns[name] = pa.array(cells, self._fact_types[name])
            else:
                columns[name] = pa.array(cells)
        self._meta.add(pa.table(columns))
        self._rows = []

    # --- the end ---

    def finish(self) -> None:
        """Write what describes the data set. Without episodes, there are no data files."""
        self._write_episodes()
        self.close()
        write_tasks(self._root, self._tasks)
        write_json(self._root / STATS, self._stats.result())
        write_json(self._root / INFO, self.info())

    def close(self) -> None:
        """Release files and threads; also after an error."""
        self._data.close()
        self._meta.close()
        for files in self._videos.values():
            files.close()
        self._images.close()

    def info(self) -> dict[str, Any]:
        """The content of info.json."""
        features = {one.name: one.described() for one in [*self._plan.features, *self._defaults]}
        for name, files in self._videos.items():
            features[name]["info"] = files.described()
        return {
            "codebase_version": VERSION,
            "robot_type": self._robot_type,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self._videos else None,
            "features": features,
        }
