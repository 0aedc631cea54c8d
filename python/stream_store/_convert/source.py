"""Sources: another format as episodes, in blocks of columns that `StreamStore.extend` takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: About how many bytes of values a block has. Memory of a conversion is a few times this.
BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one episode.

    Attributes:
        columns: field name to column, in any form that `extend` takes: arrays of shape (rows, ...),
            masked arrays, Arrow arrays, or lists with None where missing. A field that is left out
            is missing in all rows. At least one column, which gives the number of rows.
        steps: int64, strictly increasing over the whole source; None if the source has no steps
            (`Source.has_steps`).
        episode: number of the episode in the source, from 0, never decreasing. Numbers may be
            skipped: an episode without rows has no block.
        ends_episode: whether the episode is complete with this block. Rows become visible, and an
            import can be resumed, after such blocks only. A format without episodes may end one at
            any block from which `Source.blocks` can start again.
    """

    columns: Mapping[str, Any]
    steps: NDArray[np.int64] | None = None
    episode: int = 0
    ends_episode: bool = True

    @property
    def rows(self) -> int:
        """The number of rows."""
        column = next(iter(self.columns.values()))
        while isinstance(column, Mapping):  # a struct, as columns of its fields
            column = next(iter(column.values()))
        return len(column)


class Source(ABC):
    """Data in another format, opened for an import.

    A subclass sets these attributes in its constructor, which reads metadata only and raises all
    errors that can be known from it: a missing package, a damaged file, a wrong `map`.

    Attributes:
        format: name of the format, as in the registry.
        path: where the data is.
        fields: field name to feature, as `define_fields` takes them, in the order to declare.
        has_steps: whether the blocks have steps of their own.
        rows: number of rows, or None if it is not known before reading.
        episodes: number of episodes, or None. With `rows`, for the progress.
        left_out: what the store cannot or should not hold -> why; for the report.
        changes: field -> how its dtype or value differs from the source, such as
            "float128 -> float64"; for the report.
        episode_field: the field with the number of the episode, if the source has one.
        episode_numbers: its least and greatest value in the source.
        episode_offset: what `blocks` adds to these numbers; the import sets it, so that they
            continue those of the store.
        options: whatever else decides what the blocks contain, as values that JSON can hold: the
            map, chosen episodes, a layout. An interrupted import continues only with equal options.
    """

    format: str
    path: Path
    fields: Mapping[str, Any]
    has_steps: bool = False
    rows: int | None = None
    episodes: int | None = None
    left_out: Mapping[str, str] = {}
    changes: Mapping[str, str] = {}
    episode_field: str | None = None
    episode_numbers: tuple[int, int] = (0, 0)
    episode_offset: int = 0
    options: Mapping[str, Any] = {}

    @abstractmethod
    def blocks(self, first_episode: int = 0) -> Iterator[Block]:
        """Read the blocks of the episodes from number `first_episode` on, in order.

        May be called several times; each call reads again. Blocks have about BLOCK_BYTES, whatever
        the size of an episode.
        """

    def close(self) -> None:
        """Release files. Called once, after the last block or an error."""
        return


def choose_fields(
    available: Iterable[str] | Mapping[str, str],
    map: Mapping[str, str] | None,
    where: object,
) -> dict[str, str]:
    """The fields to import: field name -> path in the source.

    Args:
        available: the paths that the source has; or a mapping of path to the name that its field
            has by default.
        map: the user's choice, field name -> path, or None for all paths.
        where: the source, for messages.

    Raises:
        ValueError: `map` is empty, or names a path that the source does not have.
        TypeError: `map` is not a mapping of str to str.
    """
    names = (
        dict(available) if isinstance(available, Mapping) else {path: path for path in available}
    )
    if map is None:
        return {name: path for path, name in names.items()}
    given: object = map
    if not isinstance(given, Mapping) or not all(
        isinstance(text, str) for pair in given.items() for text in pair
    ):
        raise TypeError(f"{where}: map must be a mapping of field name to path in the source")
    if not map:
        raise ValueError(f"{where}: map is empty; expected at least one field")
    for field, path in map.items():
        if path not in names:
            raise ValueError(
                f"{where}: map names {path!r} for field {field!r}, but the source has only "
                f"{', '.join(sorted(names)) or 'no paths'}"
            )
    return dict(map)
