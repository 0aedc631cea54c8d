"""One episode of a Minari data set in Arrow or Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stream_store._convert.arrays import StoredArray, array_feature
from stream_store._convert.file_reading import reading
from stream_store._exchange.optional import require

from .jpeg import decoded
from .spaces import Space


def arrow_columns(
    directory: Path, form: str, spaces: Mapping[str, Space], kept: Kept, *, jpeg: bool
) -> tuple[dict[str, StoredArray], int]:
    """The arrays of the episode in a directory by path, and the number of observations.

    Only the schema and the number of rows are read here. `kept` is one object for all episodes.
    """
    file = _Episode(directory, form, kept)
    arrays: dict[str, StoredArray] = {}
    for name in ("observations", "actions", "rewards", "terminations", "truncations", "infos"):
        if name not in file.schema.names:
            if name == "infos":
                continue
            raise ValueError(f"{directory}: expected a column {name!r}, found none")
        field = file.schema.field(name)
        for path, one, space in _leaves(field, spaces.get(name), (name,)):
            arrays["/".join(path)] = ArrowArray(file, path, one, space, jpeg=jpeg)
    return arrays, file.rows


class Kept:
    """The column that was read last, of any episode: all leaves of a struct come from one."""

    def __init__(self) -> None:
        self.key: object = None
        self.array: Any = None


class _Episode:
    """The files of an episode."""

    def __init__(self, directory: Path, form: str, kept: Kept) -> None:
        self.directory = directory
        self._kept = kept
        self._pa = require("pyarrow", "from_minari", extra="minari")
        self._dataset_module = require("pyarrow.dataset", "from_minari", extra="minari")
        self._form = form
        with reading(directory, "from_minari"):
            dataset = self._open()
            self.schema = dataset.schema
            self.rows = int(dataset.count_rows())
        if not self.rows:
            raise ValueError(f"{directory}: expected observations, found none")

    def _open(self) -> Any:
        return self._dataset_module.dataset(
            self.directory, format=self._form, ignore_prefixes=["_", ".", "metadata.json"]
        )

    def _read(self, name: str) -> Any:
        with reading(self.directory, "from_minari"):
            array = self._open().to_table(columns=[name]).column(0).combine_chunks()
            array.validate()
        if isinstance(array, self._pa.ChunkedArray):
            array = self._pa.concat_arrays(array.chunks)
        return array

    def column(self, path: tuple[str, ...]) -> Any:
        """A column as one `pyarrow.Array`."""
        kept, key = self._kept, (self.directory, path[0])
        if kept.key != key:
            kept.key = kept.array = None
            kept.array = self._read(path[0])
            kept.key = key
        array = kept.array
        for name in path[1:]:
            array = array.field(name)
        return array


def _leaves(
    field: Any, space: Space | None, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any, Space | None]]:
    pa = require("pyarrow", "from_minari", extra="minari")
    if not pa.types.is_struct(field.type):
        yield path, field, space
        return
    for child in field.type:
        part = space.parts.get(child.name) if space is not None else None
        yield from _leaves(child, part, (*path, child.name))


class ArrowArray(StoredArray):
    """A column, or a part of one."""

    def __init__(
        self, file: _Episode, path: tuple[str, ...], field: Any, space: Space | None, *, jpeg: bool
    ) -> None:
        pa = require("pyarrow", "from_minari", extra="minari")
        self._file = file
        self._path = path
        self.where = f"{file.directory}: {'/'.join(path)}"
        self.rows = file.rows
        self._shape: tuple[int, ...] | None = None
        self._jpeg = jpeg and space is not None and space.is_image
        kind = field.type
        self.row_bytes = 64
        if self._jpeg and space is not None:
            self._shape = space.shape
            self.feature: Any = f"packed uint8[{','.join(map(str, space.shape))}]"
        elif pa.types.is_fixed_size_list(kind) and not pa.types.is_nested(kind.value_type):
            self._shape = _shape_of(field, space)
            dtype = np.dtype(kind.value_type.to_pandas_dtype())
            self.feature = array_feature(dtype, self._shape, self.where)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self.feature = "packed string"
        elif pa.types.is_null(kind):
            self.feature = "null"
        else:
            self.feature = kind
        if self._shape is not None:
            self.row_bytes = int(np.prod(self._shape)) * 8

    def read(self, start: int, stop: int) -> Any:
        """Rows [start, stop)."""
        array = self._file.column(self._path).slice(start, stop - start)
        if self._jpeg and self._shape is not None:
            return decoded(array.to_pylist(), self._shape, self.where, start)
        if self._shape is None:
            return array
        flat = array.flatten()
        if array.null_count or flat.null_count:
            raise ValueError(
                f"{self.where}: from_minari: expected a value in each of the rows [{start}, "
                f"{stop}), but some have none"
            )
        return flat.to_numpy(zero_copy_only=False).reshape(stop - start, *self._shape)


def _shape_of(field: Any, space: Space | None) -> tuple[int, ...]:
    """The shape of the items of a list of fixed size: that of the space, or in the metadata."""
    if space is not None and int(np.prod(space.shape)) == field.type.list_size:
        return space.shape
    text = (field.metadata or {}).get(b"shape", b"").decode()
    shape = tuple(int(part) for part in text.split(",") if part)
    if field.metadata is not None and int(np.prod(shape)) == field.type.list_size:
        return shape
    return (field.type.list_size,)
