"""Conversions from and to other formats, as methods of StreamStore.

Each method is a few lines: the work is in `_convert`, which is imported on use, because it needs
optional packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ._file_conversions import FileConversions
from ._types import AnyPath, Progress

if TYPE_CHECKING:
    from ._convert.report import ConversionReport


class StoreConversions(FileConversions):
    """A base class of StreamStore."""

    # --- LeRobot ---

    def from_lerobot(
        self,
        src: AnyPath,
        *,
        map: Mapping[str, str] | None = None,
        episodes: Iterable[int] | None = None,
        append: bool = False,
        resume: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Import a LeRobotDataset v3.0 from a local directory.

        TODO

        Examples:
            >>> store.from_lerobot("dataset")  # doctest: +SKIP
        """
        from ._convert.lerobot.importer import from_lerobot

        return from_lerobot(
            self,
            src,
            map=map,
            episodes=episodes,
            append=append,
            resume=resume,
            check=check,
            progress=progress,
        )
