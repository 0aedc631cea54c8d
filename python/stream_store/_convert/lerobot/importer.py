"""from_lerobot: imports a data set into a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from stream_store._arguments import path_text
from stream_store._convert.importing import import_source
from stream_store._convert.report import ConversionReport
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress

from .reader import LeRobotSource


def from_lerobot(
    store: StoreLife,
    src: AnyPath,
    *,
    map: Mapping[str, str] | None = None,
    episodes: Iterable[int] | None = None,
    videos: str = "png",
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import a LeRobotDataset; `StreamStore.from_lerobot` describes the arguments."""
    store._require_writable("from_lerobot")
    source = LeRobotSource(Path(path_text(src)), map, episodes, videos)
    return import_source(
        store, source, append=append, resume=resume, check=check, progress=progress
    )
