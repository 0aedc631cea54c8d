"""Appending episodes to an existing data set: new files are added, and only `meta/` is rewritten.

The new files are written into a directory beside the data set first. Renames then move them, data
before what describes it, and info.json last. A crash in between leaves files that info.json does
not count; the next `to_lerobot(append=True)` refuses such a data set.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .layout import INFO, STATS, TASKS, VIDEO, following, read_info
from .metadata import Episodes, read_tasks

_OPERATION = "to_lerobot"


def read_state(target: Path) -> dict[str, Any]:
    """The state that a writer needs to continue a data set.

    Raises:
        FileNotFoundError, ValueError: it is not a complete data set of version 3.
    """
    info = read_info(target, _OPERATION)
    Episodes(target, info, _OPERATION).files()
    try:
        stats = json.loads((target / STATS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{target / STATS}: {_OPERATION}: cannot be read: {error}") from error
    tasks = sorted(read_tasks(target, _OPERATION).items())
    if [number for number, _ in tasks] != list(range(len(tasks))):
        raise ValueError(f"{target / TASKS}: {_OPERATION}: expected tasks 0, 1, … in order")
    videos = [name for name, one in info["features"].items() if one["dtype"] == VIDEO]
    return {
        "info": info,
        "episodes": info["total_episodes"],
        "frames": info["total_frames"],
        "tasks": {text: number for number, text in tasks},
        "stats": stats,
        "data": _next_file(target / "data", "parquet"),
        "meta": _next_file(target / "meta" / "episodes", "parquet"),
        "videos": {name: _next_file(target / "videos" / name, "mp4") for name in videos},
    }


def _next_file(folder: Path, suffix: str) -> tuple[int, int]:
    """The numbers after those of the last file in a folder."""
    places = [
        (int(path.parent.name.removeprefix("chunk-")), int(path.stem.removeprefix("file-")))
        for path in folder.glob(f"chunk-*/file-*.{suffix}")
    ]
    return following(*max(places)) if places else (0, 0)


def check_same(target: Path, state: dict[str, Any], info: dict[str, Any]) -> None:
    """Refuse episodes that do not fit the data set.

    Raises:
        ValueError: rate, robot or features differ; the message says how.
    """
    old = state["info"]
    pairs = [(key, old[key], info[key]) for key in ("fps", "robot_type")]
    mine = {name: _form(one) for name, one in info["features"].items()}
    given = {name: _form(one) for name, one in old["features"].items()}
    for name in dict.fromkeys([*given, *mine]):
        pairs.append((f"feature {name!r}", given.get(name), mine.get(name)))
    for what, expected, found in pairs:
        if expected != found:
            raise ValueError(
                f"{target}: {_OPERATION}: append: expected {what} {expected}, as the data set has "
                f"it, but found {found}"
            )
    if list(given) != list(mine):
        raise ValueError(
            f"{target}: {_OPERATION}: append: expected the features in the order "
            f"{', '.join(given)}, but found {', '.join(mine)}; fields= chooses it"
        )


def _form(feature: dict[str, Any]) -> str:
    return f"{feature['dtype']}{list(feature['shape'])}"


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A temporary directory for the new files, which is deleted at the end."""
    root = target.with_name(f".{target.name}.append-{os.getpid()}")
    root.mkdir()
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def link_existing(target: Path, root: Path) -> None:
    """Links to the files of the data set, so that `root` can be read as the whole."""
    for path in _files(target):
        link = root / path.relative_to(target)
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)


def merge_into(target: Path, root: Path) -> None:
    """Move the new files into the data set, info.json last."""
    last = [root / name for name in (TASKS, STATS, INFO)]
    for path in [*(one for one in _files(root) if one not in last), *last]:
        if not path.is_symlink():
            place = target / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)


def _files(root: Path) -> list[Path]:
    """The files that a data set consists of; not others that lie beside them."""
    return [
        path
        for folder in ("data", "videos", "meta")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    ]
