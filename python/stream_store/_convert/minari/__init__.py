"""Minari data sets: import of all their layouts, and export as HDF5."""

from __future__ import annotations

from collections.abc import Mapping

from stream_store._convert.importing import import_source
from stream_store._convert.report import ConversionReport
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress

from .export import to_minari
from .source import MinariSource

__all__ = ["from_minari", "to_minari"]


def from_minari(
    store: StoreLife,
    src: AnyPath,
    *,
    map: Mapping[str, str] | None = None,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import a data set."""
    store._require_writable("from_minari")
    return import_source(
        store,
        MinariSource(src, map),
        append=append,
        resume=resume,
        check=check,
        progress=progress,
    )
