"""HDF5 files as a source: robomimic and Isaac Lab, D4RL, ALOHA, and other files of arrays.

layout      where the episodes are
robomimic   one group per episode in the group ``data``, as robomimic and Isaac Lab write them
d4rl        one array per field, in which ``terminals`` and ``timeouts`` mark the last steps
episodes    one group per episode at the top
flat        arrays of equal length: one episode

A directory of files has the episodes of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stream_store import _arguments
from stream_store._exchange.optional import require
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress

from .arrays import (
    ArraySource,
    EpisodeArrays,
    StoredArray,
    array_feature,
    same_length,
    with_facts,
)
from .file_reading import HDF5_SUFFIXES, files_with, reading
from .importing import import_source
from .report import ConversionReport

Hdf5Layout = Literal["auto", "robomimic", "d4rl", "episodes", "flat"]

#: Where the attributes of episodes and files go.
EPISODE_ATTRIBUTES, FILE_ATTRIBUTES = "episode_attrs", "file_attrs"

_LAYOUTS = ("auto", "robomimic", "d4rl", "episodes", "flat")
_ENDS = ("terminals", "timeouts")
_ONCE = "initial_state"  # of Isaac Lab: arrays with one row per episode
_MAX_DEPTH = 32
_TEXT_BYTES = 256  # assumed for texts and lists, whose size is not known
_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>\d+)")


def from_hdf5(
    store: StoreLife,
    src: AnyPath,
    *,
    layout: Hdf5Layout = "auto",
    map: Mapping[str, str] | None = None,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import a file, or a directory of files."""
    store._require_writable("from_hdf5")
    source = Hdf5Source(src, layout, map)
    return import_source(
        store, source, append=append, resume=resume, check=check, progress=progress
    )


class Hdf5Source(ArraySource):
    """One HDF5 file, or the files of a directory in the order of their numbers."""

    def __init__(self, src: AnyPath, layout: Hdf5Layout, map: Mapping[str, str] | None) -> None:
        if layout not in _LAYOUTS:
            raise ValueError(f"layout {layout!r}: expected one of {', '.join(_LAYOUTS)}")
        path = Path(_arguments.path_text(src))
        files = _files_of(path)
        self._files = OpenFiles(require("h5py", "from_hdf5", extra="hdf5"))
        self._skipped: dict[str, str] = {}
        try:
            episodes: list[EpisodeArrays] = []
            for file in files:
                with reading_hdf5(file, "from_hdf5"):
                    found = _File(self._files, file, self._skipped)
                    episodes += found.episodes(layout, None if len(files) == 1 else len(episodes))
            super().__init__("hdf5", path, episodes, map, {"layout": layout})
        except BaseException:
            self._files.close()
            raise
        self.left_out |= self._skipped

    def close(self) -> None:
        """Release the file."""
        self._files.close()


def _files_of(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: from_hdf5: no such file or directory")
    if not path.is_dir():
        return [path]
    files = list(files_with(path, HDF5_SUFFIXES))
    if not files:
        suffixes = ", ".join(HDF5_SUFFIXES)
        raise ValueError(f"{path}: from_hdf5: expected files {suffixes}, found none")
    return sorted(files, key=lambda one: natural(one.name))


@contextmanager
def reading_hdf5(path: Path, operation: str) -> Iterator[None]:
    """Name the file in errors of h5py about metadata; those of this package name it already."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
        if str(error).startswith(f"{path}: "):
            raise
        with reading(path, operation):
            raise


def natural(name: str) -> tuple[Any, ...]:
    """A key that sorts ``demo_2`` before ``demo_10``."""
    parts = re.split(r"(\d+)", name)
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


class OpenFiles:
    """The one file that is open; another one takes its place."""

    def __init__(self, h5py: Any) -> None:
        self.h5py = h5py
        self._path: Path | None = None
        self._file: Any = None

    def get(self, path: Path) -> Any:
        """The file at a path, open for reading."""
        if path != self._path:
            self.close()
            try:
                self._file = self.h5py.File(path, "r")
            except OSError as error:
                if not path.exists():
                    raise FileNotFoundError(f"{path}: from_hdf5: no such file") from None
                raise ValueError(f"{path}: from_hdf5: cannot open the file: {error}") from error
            self._path = path
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._path = self._file = None


class Hdf5Array(StoredArray):
    """A dataset. The file is opened when it is read."""

    def __init__(self, files: OpenFiles, path: Path, dataset: Any) -> None:
        self._files = files
        self._path = path
        self._name = str(dataset.name)
        self.where = f"{path}: {self._name}"
        self.rows = int(dataset.shape[0])
        self.chunk_rows = int(dataset.chunks[0]) if dataset.chunks else 1
        shape = tuple(int(size) for size in dataset.shape[1:])
        self.feature, self._convert, size = _form(files.h5py, dataset.dtype, shape, self.where)
        self.row_bytes = size * int(np.prod(shape, dtype=np.int64))

    def read(self, start: int, stop: int) -> Any:
        """Rows [start, stop)."""
        try:
            dataset = self._files.get(self._path)[self._name]
            return self._convert(dataset, start, stop)
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(
                f"{self.where}: from_hdf5: cannot read rows [{start}, {stop}): {error}"
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.where}: expected UTF-8 in rows [{start}, {stop}), found {error.reason}"
            ) from None


_Read = Callable[[Any, int, int], Any]


def _form(h5py: Any, dtype: Any, shape: tuple[int, ...], where: str) -> tuple[str, _Read, int]:
    """The feature of a dataset, how its rows are read, and the size of an item in bytes."""
    if h5py.check_string_dtype(dtype) is not None:
        if shape:
            raise ValueError(f"{where}: expected one text per row, found arrays of texts")
        return "packed string", lambda data, a, b: list(data.asstr("utf-8")[a:b]), _TEXT_BYTES
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None:
        if shape or inner.kind not in "biuf":
            raise ValueError(f"{where}: expected one list of numbers per row, found {dtype}")
        if inner == np.uint8:
            return "packed binary", _read_binaries, _TEXT_BYTES
        feature = array_feature(inner, (), where)
        return f"{feature}[]", lambda data, a, b: list(data[a:b]), _TEXT_BYTES
    if dtype.kind == "b" or h5py.check_enum_dtype(dtype) is None:
        feature = array_feature(dtype, shape, where)
        return feature, lambda data, a, b: native(data[a:b]), dtype.itemsize
    base = np.dtype(dtype.str)  # an enumeration is its numbers
    return array_feature(base, shape, where), lambda data, a, b: native(data[a:b]), base.itemsize


def _read_binaries(dataset: Any, start: int, stop: int) -> list[bytes]:
    return [bytes(one) for one in dataset[start:stop]]


def native(values: Any) -> Any:
    """Values in the byte order of the machine."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


class _File:
    """One file, whose episodes are found from its metadata."""

    def __init__(self, files: OpenFiles, path: Path, skipped: dict[str, str]) -> None:
        self._files = files
        self._path = path
        self._skipped = skipped
        self._root = files.get(path)

    def episodes(self, layout: str, number: int | None) -> list[EpisodeArrays]:
        """The episodes, counted from `number`, or with the numbers that the file gives them."""
        if layout == "auto":
            layout = self._recognised()
        found = list(getattr(self, f"_{layout}")())
        file_facts = self._attributes(self._root, FILE_ATTRIBUTES)
        if layout == "robomimic":
            file_facts |= self._attributes(self._root["data"], FILE_ATTRIBUTES)
        found = with_facts(found, file_facts)
        numbers = [one.number for one in found]
        if number is None and len(set(numbers)) == len(numbers):
            return found
        return [replace(one, number=(number or 0) + i) for i, one in enumerate(found)]

    def _recognised(self) -> str:
        root = self._root
        names = set(root)
        if isinstance(root.get("data"), self._files.h5py.Group) and self._numbered(root["data"]):
            return "robomimic"
        if {"observations", "actions", "rewards", "terminals"} <= names:
            return "d4rl"
        return "episodes" if self._numbered(root) else "flat"

    def _numbered(self, group: Any) -> bool:
        """Whether a group has numbered groups of one name, and nothing else."""
        matches = [_NUMBERED.fullmatch(name) for name in group]
        stems = {match["stem"] if match else None for match in matches}
        groups = all(isinstance(group[name], self._files.h5py.Group) for name in group)
        return groups and len(stems) == 1 and None not in stems

    # --- layouts ---

    def _robomimic(self) -> Iterator[EpisodeArrays]:
        data = self._root.get("data")
        if not isinstance(data, self._files.h5py.Group) or not len(data):
            raise self._wrong("robomimic", "a group 'data' with one group per episode")
        masks = self._masks()
        for name in sorted(data, key=natural):
            group = data[name]
            if not isinstance(group, self._files.h5py.Group):
                raise ValueError(f"{self._path}: {group.name}: expected a group, found an array")
            facts = self._attributes(group, EPISODE_ATTRIBUTES)
            for mask, members in masks.items():
                facts[f"mask/{mask}"] = name in members
            yield self._episode(group, name, facts)

    def _episodes(self) -> Iterator[EpisodeArrays]:
        groups = [
            name for name in self._root if isinstance(self._root[name], self._files.h5py.Group)
        ]
        if not groups:
            raise self._wrong("episodes", "one group per episode")
        for name in self._root:
            if name not in groups:
                self._skipped[f"{self._path}: /{name}"] = "an array beside the groups of episodes"
        for name in sorted(groups, key=natural):
            group = self._root[name]
            yield self._episode(group, name, self._attributes(group, EPISODE_ATTRIBUTES))

    def _episode(self, group: Any, name: str, facts: dict[str, Any]) -> EpisodeArrays:
        """The episode that a group is."""
        arrays: dict[str, tuple[StoredArray, int]] = {}
        for path, dataset in self._datasets(group):
            if dataset.ndim == 0 or path.startswith(f"{_ONCE}/"):
                facts[path] = self._fact(dataset, path)
            else:
                arrays[path] = (Hdf5Array(self._files, self._path, dataset), 0)
        if not arrays:
            raise ValueError(f"{self._path}: {group.name}: expected arrays, found none")
        lengths = {path: array.rows for path, (array, _) in arrays.items()}
        rows = lengths.get("actions", next(iter(lengths.values())))
        if "observations" in lengths and lengths["observations"] == rows + 1:
            raise ValueError(
                f"{self._path}: {group.name}: has one observation more than actions; "
                "if this is a Minari data set, pass its directory to from_minari"
            )
        same_length(lengths, rows, f"{self._path}: {group.name}")
        match = re.search(r"(\d+)$", name)
        return EpisodeArrays(int(match[1]) if match else 0, rows, arrays, facts)

    def _flat(self) -> Iterator[EpisodeArrays]:
        arrays, facts, rows = self._columns(None)
        yield EpisodeArrays(0, rows, {path: (one, 0) for path, one in arrays.items()}, facts)

    def _d4rl(self) -> Iterator[EpisodeArrays]:
        arrays, facts, rows = self._columns("rewards")
        last = np.zeros(rows, np.bool_)
        for name in _ENDS:
            if name in arrays:
                last |= np.asarray(arrays[name].read(0, rows)).reshape(rows, -1).any(axis=1)
        stops = (np.flatnonzero(last) + 1).tolist()
        if not stops or stops[-1] < rows:
            stops.append(rows)
        start = 0
        for number, stop in enumerate(stops):
            parts = {path: (one, start) for path, one in arrays.items()}
            yield EpisodeArrays(number, stop - start, parts, {} if number else facts)
            start = stop

    def _columns(self, leader: str | None) -> tuple[dict[str, StoredArray], dict[str, Any], int]:
        """All arrays of the file, which have one length, and the facts beside them."""
        arrays: dict[str, StoredArray] = {}
        facts: dict[str, Any] = {}
        for path, dataset in self._datasets(self._root):
            if dataset.ndim == 0 or path.startswith("metadata/"):
                facts[path] = self._fact(dataset, path)
            else:
                arrays[path] = Hdf5Array(self._files, self._path, dataset)
        if not arrays or (leader is not None and leader not in arrays):
            raise self._wrong("d4rl" if leader else "flat", f"an array {leader or 'or several'}")
        first = leader or next(iter(arrays))
        same_length(
            {path: one.rows for path, one in arrays.items()},
            arrays[first].rows,
            f"{self._path}: the array {first} has {arrays[first].rows} rows",
        )
        return arrays, facts, arrays[first].rows

    def _wrong(self, layout: str, expected: str) -> ValueError:
        found = ", ".join(self._root) or "nothing"
        return ValueError(
            f"{self._path}: from_hdf5: layout {layout!r}: expected {expected}, found {found}"
        )

    # --- parts ---

    def _datasets(self, group: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
        """The datasets in a group and the groups within, with their paths."""
        if depth > _MAX_DEPTH:
            raise ValueError(
                f"{self._path}: {group.name}: groups are nested more than {_MAX_DEPTH} levels deep"
            )
        for name in group:
            try:
                one = group[name]
            except KeyError:
                raise ValueError(
                    f"{self._path}: {group.name}/{name}: the link leads nowhere"
                ) from None
            if isinstance(one, self._files.h5py.Group):
                yield from self._datasets(one, f"{prefix}{name}/", depth + 1)
            elif isinstance(one, self._files.h5py.Dataset) and one.shape is not None:
                yield f"{prefix}{name}", one
            else:
                self._skipped[f"{self._path}: {group.name}/{name}"] = "it has no data"

    def _attributes(self, group: Any, prefix: str) -> dict[str, Any]:
        """The attributes of a group as facts."""
        facts = {}
        for name, value in group.attrs.items():
            if isinstance(value, self._files.h5py.Empty):
                self._skipped[f"{self._path}: {group.name}: attribute {name}"] = "it has no data"
            else:
                facts[f"{prefix}/{name}"] = value
        return facts

    def _fact(self, dataset: Any, path: str) -> Any:
        """The value of a dataset that an episode has once."""
        try:
            if self._files.h5py.check_string_dtype(dataset.dtype) is not None:
                value = dataset.asstr("utf-8")[()]
                return value if isinstance(value, str) else np.asarray(value, object)
            value = dataset[()]
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{self._path}: {path}: cannot read the value: {error}") from error
        once = dataset.ndim > 0 and path.startswith(f"{_ONCE}/") and len(value) == 1
        return value[0] if once else value

    def _masks(self) -> dict[str, set[str]]:
        """The filter keys of robomimic: name -> the episodes it has."""
        group = self._root.get("mask")
        if not isinstance(group, self._files.h5py.Group):
            return {}
        masks = {}
        for name, dataset in self._datasets(group):
            if self._files.h5py.check_string_dtype(dataset.dtype) is None:
                raise ValueError(f"{self._path}: {dataset.name}: expected names of episodes")
            masks[name] = set(dataset.asstr("utf-8")[:].tolist())
        return masks
