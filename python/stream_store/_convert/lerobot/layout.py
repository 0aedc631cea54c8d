"""Names and constants of the layout of LeRobotDataset v3.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
_NAME = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES_PATH = f"meta/episodes/{_NAME}.parquet"
DATA_PATH = f"data/{_NAME}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{_NAME}.mp4"
CHUNK_FILES = 1000  # files in a chunk, which is a folder
DATA_MB = 100  # about the size of a data file
VIDEO_MB = 200

#: Columns that every data set has, with their dtypes.
DEFAULT_FEATURES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
#: Features whose values are images: in the data files, or in videos.
IMAGE, VIDEO = "image", "video"

#: Columns of an episode that describe where it is; all others are facts about it.
EPISODE_COLUMNS = ("episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index")
VIDEO_PLACE = ("chunk_index", "file_index", "from_timestamp")  # of "videos/<name>/"
EPISODE_PREFIXES = ("data/", "meta/", "videos/", "stats/")


def is_fact(column: str) -> bool:
    """Whether a column of an episode is a fact about it, such as its success."""
    return column not in EPISODE_COLUMNS and not column.startswith(EPISODE_PREFIXES)


def following(chunk: int, file: int) -> tuple[int, int]:
    """The numbers of the next file."""
    return (chunk, file + 1) if file + 1 < CHUNK_FILES else (chunk + 1, 0)


def read_info(root: Path, operation: str) -> dict[str, Any]:
    """info.json of a data set.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is damaged, or of another version than 3.
    """
    path = root / INFO
    if not path.is_file():
        raise FileNotFoundError(
            f"{root}: {operation}: expected the directory of a LeRobotDataset, but there is no "
            f"{INFO}"
        )
    try:
        info = json.loads(path.read_text("utf-8"))
        version = str(info["codebase_version"])
        features = info["features"]
        shapes = {name: tuple(map(int, one["shape"])) for name, one in features.items()}
        dtypes = {name: str(one["dtype"]) for name, one in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {operation}: the file is damaged: {error!r}") from error
    if not version.removeprefix("v").startswith("3."):
        raise ValueError(
            f"{root}: {operation}: expected version v3.0 of the layout but found {version}; "
            "lerobot.datasets.v30.convert_dataset_v21_to_v30 converts a data set of v2.1"
        )
    for name in features:
        features[name] = {**features[name], "dtype": dtypes[name], "shape": shapes[name]}
    return dict(info)
