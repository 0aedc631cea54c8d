"""Episodes in arrays, as HDF5 and Zarr hold them: a source that reads slices of the arrays.

A path such as ``obs/image`` becomes the leaf ``image`` of the struct ``obs``. Values that an
episode has once, such as attributes, are *facts*: they go to its first row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.optional import require

from .facts import fact_feature, fact_value
from .source import BLOCK_BYTES, Block, Source, choose_fields

#: The field with the number of the episode, on every row.
EPISODE = "episode"

_MAX_ROWS = 1 << 18  # of a block
_VALUE_BYTES = 64  # assumed for texts and lists, whose size is not known


_SHOWN = 20  # episodes without rows that a report names


class StoredArray(ABC):
    """An array of a file, one item per row.

    Attributes:
        where: the file and the path inside, for messages.
        feature: the feature of its items.
        rows: its length.
        row_bytes: about how many bytes a row has.
        chunk_rows: rows that are stored, and therefore read, together.
    """

    where: str
    feature: Any
    rows: int
    row_bytes: int
    chunk_rows: int = 1

    @abstractmethod
    def read(self, start: int, stop: int) -> Any:
        """Rows [start, stop) in a form that `extend` takes."""


@dataclass(frozen=True)
class EpisodeArrays:
    """One episode.

    Attributes:
        number: value of the field `episode`.
        rows: its length.
        arrays: path -> array, and the row of it with which the episode begins.
        lengths: path -> how many rows the array has of the episode, if fewer than `rows`; the
            field is missing in the others, at the end.
        facts: path -> value.
        ends_false: paths of bool arrays that are false instead of missing there.
    """

    number: int
    rows: int
    arrays: Mapping[str, tuple[StoredArray, int]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    ends_false: Collection[str] = ()


def with_facts(episodes: Iterable[EpisodeArrays], facts: Mapping[str, Any]) -> list[EpisodeArrays]:
    """The episodes, the first of which that has rows gets the facts of the whole file."""
    made = list(episodes)
    for number, one in enumerate(made):
        if one.rows:
            made[number] = replace(one, facts={**facts, **one.facts})
            break
    return made


class ArraySource(Source):
    """A source of episodes in arrays.

    Args:
        format: name of the format.
        path: the file.
        episodes: the episodes, in order.
        names: path -> the name of its field, for paths that do not keep theirs.
        map: field name -> path.
        options: as for `Source`.
    """

    def __init__(
        self,
        format: str,
        path: Path,
        episodes: Sequence[EpisodeArrays],
        map: Mapping[str, str] | None,
        options: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.format = format
        self.path = path
        self._list = list(episodes)
        self.rows = sum(one.rows for one in self._list)
        self.episodes = len(self._list)
        self.options = {**options, "map": None if map is None else dict(map)}
        self.left_out: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        if not self.rows:
            raise ValueError(f"{path}: from_{format}: expected rows, found none")
        self._note_empty_episodes()
        features = self._array_features()
        facts = self._fact_features()
        paths = [*facts, *features]
        if map is None:
            renamed = names or {}
            targets = {path: tuple(renamed.get(path, path).split("/")) for path in paths}
            self._targets = self._without_numbers(targets, facts)
            owners = {name for target in self._targets.values() for name in target[:1]}
        else:
            chosen = choose_fields(paths, map, path)
            by_path: dict[str, str] = {}
            for name, one in chosen.items():
                if one in by_path:
                    raise ValueError(
                        f"{path}: map has {one!r} twice, for {by_path[one]!r} and {name!r}"
                    )
                by_path[one] = name
            self._targets = {one: (name,) for one, name in by_path.items()}
            owners = set(by_path.values())
        self._numbers = EPISODE not in owners
        if self._numbers:
            numbers = [one.number for one in self._list if one.rows]
            self.episode_field = EPISODE
            self.episode_numbers = (min(numbers), max(numbers))
        self._facts = {path: feature for path, feature in facts.items() if path in self._targets}
        fields: dict[str, Any] = {EPISODE: "int64"} if self._numbers else {}
        for path_in_file, target in self._targets.items():
            try:
                insert(fields, target, {**facts, **features}[path_in_file])
            except ValueError as error:
                raise ValueError(f"{path}: {path_in_file}: {error}") from None
        self.fields = fields

    def _note_empty_episodes(self) -> None:
        empty = [str(one.number) for one in self._list if not one.rows]
        if empty:
            shown = ", ".join(empty[:_SHOWN]) + ", …" * (len(empty) > _SHOWN)
            self.left_out[f"{len(empty):,} episodes"] = f"without a row: {shown}"

    def _without_numbers(
        self, targets: Mapping[str, tuple[str, ...]], facts: Collection[str]
    ) -> dict[str, tuple[str, ...]]:
        """The targets except those that would replace the numbers of several episodes."""
        kept = {}
        for path, target in targets.items():
            if target[0] != EPISODE or (len(self._list) == 1 and path not in facts):
                kept[path] = target
            else:
                self.left_out[path] = (
                    f"the field {EPISODE!r} has the number of the episode; map= can rename it"
                )
            if path in kept and target[0] == EPISODE:
                self.changes[EPISODE] = f"the values of {path}, not the number of the episode"
        return kept

    def _array_features(self) -> dict[str, Any]:
        """The feature of each path, checked to be the same in all episodes.

        Those that the last row of an episode lacks come first: a row with the last field is
        complete, so that samplers of a store that is still open draw it.
        """
        features: dict[str, Any] = {}
        first: dict[str, str] = {}
        for episode in self._list:
            for path, (array, _) in episode.arrays.items():
                known = features.setdefault(path, array.feature)
                first.setdefault(path, array.where)
                if known != array.feature:
                    raise ValueError(
                        f"{array.where}: expected {known} as in {first[path]}, "
                        f"found {array.feature}"
                    )
        short = {
            path
            for path in features
            for one in self._list
            if path not in one.arrays
            or (one.lengths.get(path, one.rows) < one.rows and path not in one.ends_false)
        }
        return {path: features[path] for path in sorted(features, key=lambda one: one not in short)}

    def _fact_features(self) -> dict[str, Any]:
        values: dict[str, list[Any]] = {}
        for episode in self._list:
            for path, value in episode.facts.items():
                values.setdefault(path, []).append(value)
        return {path: fact_feature(found) for path, found in values.items()}

    def blocks(self, first_episode: int = 0) -> Iterator[Block]:
        """The rows of the episodes from number `first_episode` on."""
        buffers: dict[int, _Buffer] = {}
        for number in range(first_episode, len(self._list)):
            episode = self._list[number]
            rows = self._block_rows(episode)
            used: dict[int, _Buffer] = {}
            for start in range(0, episode.rows, rows):
                stop = min(start + rows, episode.rows)
                columns: dict[str, Any] = {}
                if self._numbers:
                    columns[EPISODE] = np.full(
                        stop - start, episode.number + self.episode_offset, np.int64
                    )
                if start == 0:
                    self._add_facts(columns, episode, stop)
                for path, (array, begin) in episode.arrays.items():
                    if path in self._targets:
                        buffer = used.get(id(array)) or buffers.get(id(array)) or _Buffer(array)
                        used[id(array)] = buffer
                        held = min(stop, episode.lengths.get(path, episode.rows)) - start
                        column = None
                        if held > 0:
                            column = buffer.take(begin + start, begin + start + held)
                        if path in episode.ends_false:
                            column = _with_false(column, stop - start)
                        elif column is not None:
                            column = _padded(column, stop - start)
                        if column is not None:
                            insert(columns, self._targets[path], column)
                yield Block(columns, None, number, stop == episode.rows)
            buffers = used

    def _block_rows(self, episode: EpisodeArrays) -> int:
        """How many rows a block of an episode has: whole chunks, if they are not too large."""
        arrays = [array for path, (array, _) in episode.arrays.items() if path in self._targets]
        size = sum(array.row_bytes for array in arrays)
        return max(1, min(_MAX_ROWS, BLOCK_BYTES // max(1, size)))

    def _add_facts(self, columns: dict[str, Any], episode: EpisodeArrays, rows: int) -> None:
        """Add the facts of an episode to its first block."""
        tree: dict[str, Any] = {}
        for path, feature in self._facts.items():
            value = episode.facts.get(path)
            if value is not None:
                insert(tree, self._targets[path], fact_value(value, feature))
        for name, value in tree.items():
            columns[name] = [value] + [None] * (rows - 1)


class _Buffer:
    """Serves slices of an array from whole chunks, so that none is decompressed twice."""

    def __init__(self, array: StoredArray) -> None:
        self._array = array
        self._start = self._stop = 0
        self._values: Any = None

    def take(self, start: int, stop: int) -> Any:
        """Rows [start, stop)."""
        chunk = self._array.chunk_rows
        if chunk <= 1 or self._array.rows <= stop - start:
            return self._array.read(start, stop)
        if start < self._start or stop > self._stop:
            begin = start - start % chunk
            end = min(self._array.rows, -(-stop // chunk) * chunk)
            if begin < self._stop <= end and begin >= self._start and self._values is not None:
                kept = self._values[begin - self._start :]
                fresh = self._array.read(self._stop, end)
                self._values = np.concatenate([kept, fresh])
            else:
                self._values = self._array.read(begin, end)
            self._start, self._stop = begin, end
        return self._values[start - self._start : stop - self._start]


def _padded(column: Any, rows: int) -> Any:
    """A column, missing in the rows after its end."""
    lacking = rows - len(column)
    if not lacking:
        return column
    if not isinstance(column, (list, np.ndarray)):  # an Arrow array
        pyarrow = require("pyarrow", "conversion")
        return pyarrow.concat_arrays([column, pyarrow.nulls(lacking, column.type)])
    if isinstance(column, list) or column.dtype == object:
        return list(column) + [None] * lacking
    mask = np.zeros((rows, *column.shape[1:]), np.bool_)
    mask[len(column) :] = True
    filler = np.zeros((lacking, *column.shape[1:]), column.dtype)
    return np.ma.masked_array(np.concatenate([column, filler]), mask)


def _with_false(column: Any, rows: int) -> NDArray[np.bool_]:
    """A column of bools, or None, with false in the rows after its end."""
    padded = np.zeros(rows, np.bool_)
    if column is not None:
        padded[: len(column)] = column
    return padded


def insert(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value at a path of a tree of dicts.

    Raises:
        ValueError: something is there already, or on the way.
    """
    at: Any = tree
    for name in path[:-1]:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            break
    if not isinstance(at, dict) or path[-1] in at:
        raise ValueError(f"two fields have the name {'.'.join(path)!r}; choose others with map=…")
    at[path[-1]] = value


def array_feature(dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> str:
    """The feature of the items of an array.

    Arrays of uint8 with two or more dimensions are images and therefore packed, as those of the
    spaces of Gymnasium are.

    Raises:
        ValueError: the store has no such type.
    """
    if 0 in shape:
        raise ValueError(f"{where}: expected items, found the shape {shape} without any")
    sizes = f"[{','.join(map(str, shape))}]" if shape else ""
    if dtype.kind in "mM":
        unit = np.datetime_data(dtype)
        name = "timestamp" if dtype.kind == "M" else "duration"
        if unit[0] in ("s", "ms", "us", "ns") and unit[1] == 1:
            return f"{name}[{unit[0]}]{sizes}"
    elif dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8):
        packed = "packed " if dtype == np.uint8 and len(shape) >= 2 else ""
        return f"{packed}{dtype.newbyteorder('=').name}{sizes}"
    raise ValueError(
        f"{where}: expected numbers, texts or times, found the dtype {dtype}; leave it out with "
        "map=…"
    )


def same_length(lengths: Mapping[str, int], expected: int, where: str) -> None:
    """Raise ValueError if an array has another length."""
    for path, rows in lengths.items():
        if rows != expected:
            raise ValueError(f"{where}: {path}: expected {expected} rows, found {rows}")
