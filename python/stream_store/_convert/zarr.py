"""Zarr groups as a source: the replay buffers of diffusion policy, and other arrays.

If an array ``episode_ends`` is in the group ``meta`` or at the top, it has the row after the last
one of each episode. The arrays of the group ``data``, or else all others, have one item per row.
Otherwise all arrays have one length and are one episode. Versions 2 and 3 of the format are read,
from directories and zip files.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from .hdf5 import FILE_ATTRIBUTES, native
from .importing import import_source
from .report import ConversionReport

_ENDS = ("meta/episode_ends", "episode_ends")
_DATA = "data/"
_TEXT_BYTES = 256  # assumed for texts, whose size is not known
_MAX_DEPTH = 32
_BLOSC_HEADER = 16


def from_zarr(
    store: StoreLife,
    src: AnyPath,
    *,
    map: Mapping[str, str] | None = None,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import a group."""
    store._require_writable("from_zarr")
    return import_source(
        store,
        ZarrSource(src, map),
        append=append,
        resume=resume,
        check=check,
        progress=progress,
    )


class ZarrSource(ArraySource):
    """A group in a directory or a zip file."""

    def __init__(self, src: AnyPath, map: Mapping[str, str] | None) -> None:
        path = Path(_arguments.path_text(src))
        zarr = require("zarr", "from_zarr", extra="zarr")
        if not path.exists():
            raise FileNotFoundError(f"{path}: from_zarr: no such file or directory")
        self._zip: Any = None
        try:
            root = self._open(zarr, path)
            super().__init__("zarr", path, _episodes(zarr, root, path), map, {})
            self.changes |= _look_at_chunks(zarr, root, path)
        except BaseException:
            self.close()
            raise

    def _open(self, zarr: Any, path: Path) -> Any:
        try:
            if path.is_file():
                archive = zarr.storage.ZipStore(path, mode="r")
                group = zarr.open_group(archive, mode="r")
                self._zip = archive  # a store that failed to open cannot be closed
                return group
            return zarr.open_group(path, mode="r")
        except Exception as error:  # of zarr, of zipfile, or of the operating system
            if type(error).__name__ == "ContainsArrayError":
                raise ValueError(
                    f"{path}: from_zarr: expected a group of arrays, found an array"
                ) from error
            raise ValueError(f"{path}: from_zarr: cannot open the group: {error}") from error

    def close(self) -> None:
        """Release the file."""
        if self._zip is not None:
            self._zip.close()
            self._zip = None


class ZarrArray(StoredArray):
    """An array of a group."""

    def __init__(self, array: Any, where: str) -> None:
        self._array = array
        self.where = where
        self.rows = int(array.shape[0])
        self.chunk_rows = int(array.chunks[0])
        shape = tuple(int(size) for size in array.shape[1:])
        self._is_text = array.dtype.kind in "OUT"
        if self._is_text and shape:
            raise ValueError(f"{where}: expected one text per row, found arrays of texts")
        if self._is_text:
            self.feature: Any = "packed string"
            self.row_bytes = _TEXT_BYTES
        else:
            self.feature = array_feature(array.dtype, shape, where)
            self.row_bytes = array.dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def read(self, start: int, stop: int) -> Any:
        """Rows [start, stop)."""
        try:
            values = self._array[start:stop]
        except Exception as error:  # of a codec or the operating system
            raise ValueError(
                f"{self.where}: from_zarr: cannot read rows [{start}, {stop}): {error}"
            ) from error
        if not self._is_text:
            return native(values)
        texts = np.asarray(values).astype(object)
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(
                    f"{self.where}: row {start + row}: expected a text, found {text!r:.60}; "
                    "leave the array out with map=…"
                )
        return texts


def _episodes(zarr: Any, root: Any, path: Path) -> list[EpisodeArrays]:
    arrays = dict(_arrays(zarr, root, path, "", 0))
    if not arrays:
        raise ValueError(f"{path}: from_zarr: expected arrays, found none")
    marker = next((name for name in _ENDS if name in arrays), None)
    facts: dict[str, Any] = {f"{FILE_ATTRIBUTES}/{name}": one for name, one in root.attrs.items()}
    chosen = {name: one for name, one in arrays.items() if name != marker}
    if marker is not None and any(name.startswith(_DATA) for name in chosen):
        for name, array in chosen.items():
            if not name.startswith(_DATA):
                facts[name] = _fact(array, f"{path}: {name}")
        chosen = {name: one for name, one in chosen.items() if name.startswith(_DATA)}
    else:
        facts |= {
            name: _fact(array, f"{path}: {name}")
            for name, array in chosen.items()
            if array.ndim == 0
        }
        chosen = {name: array for name, array in chosen.items() if array.ndim > 0}
    if not chosen:
        raise ValueError(f"{path}: from_zarr: expected arrays with one item per row, found none")
    stored = {
        name.removeprefix(_DATA) if marker else name: ZarrArray(array, f"{path}: {name}")
        for name, array in chosen.items()
    }
    first = next(iter(stored))
    rows = stored[first].rows
    same_length(
        {name: one.rows for name, one in stored.items()}, rows, f"{path}: {first} has {rows} rows"
    )
    ends = [rows] if marker is None else _checked_ends(arrays[marker], rows, f"{path}: {marker}")
    starts = [0, *ends]
    return with_facts(
        (
            EpisodeArrays(
                number, stop - start, {name: (one, start) for name, one in stored.items()}
            )
            for number, (start, stop) in enumerate(pairwise(starts))
        ),
        facts,
    )


def _arrays(
    zarr: Any, group: Any, path: Path, prefix: str, depth: int
) -> Iterator[tuple[str, Any]]:
    """The arrays of a group and of the groups within, by their paths in alphabetical order."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"{path}: {prefix}: groups are nested more than {_MAX_DEPTH} levels deep")
    try:
        members = sorted(group.members(), key=lambda pair: pair[0])
    except Exception as error:  # of zarr, for metadata that is damaged
        raise ValueError(
            f"{path}: from_zarr: cannot read the group '/{prefix}': {error}"
        ) from error
    for name, one in members:
        if isinstance(one, zarr.Group):
            yield from _arrays(zarr, one, path, f"{prefix}{name}/", depth + 1)
        else:
            yield f"{prefix}{name}", one


def _look_at_chunks(zarr: Any, root: Any, path: Path) -> dict[str, str]:
    """The arrays of which chunks are not stored: they are read as the fill value.

    `nchunks_initialized` of zarr 3.1 fails if the name of an array begins with that of another.

    Raises:
        ValueError: a chunk has another size than its header says. The library of Blosc would read
            bytes after its end instead.
    """
    found = {}
    for name, array in _arrays(zarr, root, path, "", 0):
        if getattr(array, "shards", None):
            continue
        chunks = [one for one in _files(path, name) if _is_chunk(one)]
        if path.is_dir() and any(
            "blosc" in type(one).__name__.lower() for one in array.compressors
        ):
            for chunk in chunks:
                _check_blosc(path / name / chunk)
        absent = array.nchunks - len(chunks)
        if absent > 0:
            found[name] = (
                f"{absent} of {array.nchunks} chunks are not stored and read as the fill value "
                f"{array.fill_value}"
            )
    return found


def _files(path: Path, name: str) -> Iterator[str]:
    """The files of an array, relative to its directory."""
    if path.is_dir():
        for folder, _, names in os.walk(path / name):
            yield from (os.path.relpath(f"{folder}/{one}", path / name) for one in names)
        return
    with zipfile.ZipFile(path) as archive:
        for one in archive.namelist():
            if one.startswith(f"{name}/"):
                yield one.removeprefix(f"{name}/")


def _is_chunk(name: str) -> bool:
    base = name.rpartition("/")[2]
    return not base.startswith(".") and base not in ("", "zarr.json")


def _check_blosc(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(_BLOSC_HEADER)
        size = os.fstat(file.fileno()).st_size
    stored = int.from_bytes(header[12:16], "little")
    if len(header) < _BLOSC_HEADER or stored != size:
        raise ValueError(f"{path}: from_zarr: expected a chunk of {stored} bytes, found {size}")


def _fact(array: Any, where: str) -> Any:
    try:
        value = np.asarray(array[...])
    except Exception as error:
        raise ValueError(f"{where}: from_zarr: cannot read the value: {error}") from error
    return (
        value[()]
        if value.ndim == 0 and value.dtype.kind not in "OUT"
        else (str(value[()]) if value.ndim == 0 else value)
    )


def _checked_ends(array: Any, rows: int, where: str) -> list[int]:
    """The ends of episodes, which rise up to the number of rows."""
    ends: NDArray[Any] = np.asarray(_fact(array, where))
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise ValueError(f"{where}: expected a list of ints, found {ends.dtype} {ends.shape}")
    if not len(ends) or ends[-1] != rows or (np.diff(ends.astype(np.int64), prepend=0) < 0).any():
        last = f"{ends[-1]}" if len(ends) else "no episode"
        raise ValueError(
            f"{where}: expected ends that rise to {rows} rows, found {last} at the end"
        )
    return [int(end) for end in ends]
