"""check_dataset: compares a data set that was written with the frames of the store, read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_store._convert.checking import same_value
from stream_store._convert.exporting import Episode
from stream_store.errors import CheckError

from .encoding import decoded
from .frames import FrameReader
from .plan import Feature
from .reader import LeRobotSource


def check_dataset(
    root: Path, reader: FrameReader, episodes: Sequence[Episode], before: int, lossy: set[str]
) -> int:
    """Compare all frames; those of lossy features are only counted.

    Args:
        root: the data set.
        reader: reads the frames of the store.
        episodes: the episodes of the store.
        before: number of episodes that the data set had before.
        lossy: features whose values change, such as videos.

    Returns:
        The number of values compared.

    Raises:
        CheckError: a value differs, or the number of frames.
    """
    features = [one for one in reader.plan.features if one.name not in lossy]
    chosen = {one.name: one.name for one in features}
    source = LeRobotSource(root, {**chosen, "episode_index": "episode_index"}, None, "png")
    compared = 0
    found = _columns(source.blocks(before))
    expected = _expected(reader, episodes, chosen)
    for place, mine, given in _aligned(expected, found):
        for one in features:
            _compare(root, one, mine[one.name], given[one.name], place)
            compared += len(mine[one.name])
    return compared


def _columns(blocks: Any) -> Iterator[dict[str, Any]]:
    for block in blocks:
        yield dict(block.columns)


def _expected(
    reader: FrameReader, episodes: Sequence[Episode], chosen: dict[str, str]
) -> Iterator[dict[str, Any]]:
    for episode in episodes:
        for frames in reader.frames(episode):
            if frames.count:
                yield {name: frames.values[name] for name in chosen}


def _aligned(
    left: Iterator[dict[str, Any]], right: Iterator[dict[str, Any]]
) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Pairs of blocks with equally many rows, and the number of their first row."""
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    row = 0
    while True:
        one = one or next(left, {})
        other = other or next(right, {})
        if not one or not other:
            if one or other:
                raise CheckError(
                    f"to_lerobot: check: the data set has {'fewer' if one else 'more'} frames than "
                    f"expected, after {row:,}"
                )
            return
        count = min(_rows(one), _rows(other))
        yield row, _part(one, 0, count), _part(other, 0, count)
        one, other = _part(one, count, _rows(one)), _part(other, count, _rows(other))
        row += count


def _rows(columns: dict[str, Any]) -> int:
    return len(next(iter(columns.values())))


def _part(columns: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    return {name: one[start:stop] for name, one in columns.items()} if start < stop else {}


def _compare(root: Path, feature: Feature, expected: Any, found: Any, row: int) -> None:
    cells = found.to_pylist() if hasattr(found, "to_pylist") else found
    arrays = isinstance(expected, np.ndarray) and isinstance(found, np.ndarray)
    alike = arrays and (expected.dtype, expected.shape) == (found.dtype, found.shape)
    if alike and expected.tobytes() == found.tobytes():
        return
    for place, (one, cell) in enumerate(zip(expected, cells, strict=True)):
        pixels = feature.kind == "pixels"
        other = decoded(cell["bytes"], one.shape) if pixels else cell
        if not same_value(one, other):
            raise CheckError(
                f"{root}: check: frame {row + place}, feature {feature.name!r}: expected "
                f"{str(one)[:80]} but found {str(other)[:80]}"
            )
