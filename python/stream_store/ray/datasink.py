"""A Ray dataset as a group of stores, one for each task that writes.

A write takes these steps:

1. The driver learns the fields from the group, if it exists, or from `fields`.
2. Each task writes a store in a hidden directory of the group that is this write's own,
   ``.writing-<id>/<task>-<attempt>``. A task that Ray repeats writes another one. The store is
   closed, and therefore durable, before the task reports its name.
3. When all tasks have ended, the driver compares the fields that they found, and gives each
   reported store its name ``<id>-<task>`` in the group. On other nodes a task does it, because the
   directory may be local there.
4. On every node, the hidden directory is removed, with all that attempts have left in it. After a
   failure, the stores that were already given their names are removed, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.data.block import Block, BlockAccessor
from ray.data.datasource import Datasink, WriteResult

from stream_store import _arguments, _core
from stream_store._exchange.arrow import c_stream_of, import_stream
from stream_store._fields import declared_fields
from stream_store._types import AnyPath, Fields
from stream_store.features import FieldSpec, difference, parse_fields
from stream_store.store import StreamStore

from .columns import fields_of, plain_table
from .paths import absolute_paths, alive_nodes, is_store, open_group, run_on_nodes, this_node

_WRITE = "stream_store.ray.write"


def write(
    dataset: ray.data.Dataset,
    path: AnyPath,
    *,
    fields: Fields | None = None,
    columns: Sequence[str] | None = None,
    step_column: str | None = None,
    min_rows_per_store: int | None = None,
    concurrency: int | None = None,
    num_cpus: float | None = None,
    memory: float | None = None,
) -> list[str]:
    """Write a `ray.data.Dataset` as a group, one store per task.

    The group is made if it does not exist. If it does, the stores are added to it, and have its
    fields. On a cluster without a shared file system, each node gets the
    stores of its own tasks, under the same path.

    The new stores appear when all tasks have ended, one after the other within a moment. They hold
    each row of the dataset exactly once, also if Ray repeats tasks, and are durable. After an
    error, no store of this write is left; only if a node or the driver dies may the directory keep
    a hidden subdirectory ``.writing-…``, which readers ignore and which may be deleted.

    Rows of one task keep their order. Without `step_column`, their steps count from 0 in each
    store.

    Args:
        dataset: the dataset.
        path: directory of the group; relative to the directory of this process.
        fields: as for `StreamStore`. Without them, the fields are those of the group, or follow
            from the types of the columns, as for `from_arrow`. Texts, bytes and images (tensors of
            uint8 with two or more dimensions) are then packed.
        columns: the columns to write; None writes all. Columns without a field are ignored.
        step_column: int column with the steps.
        min_rows_per_store: blocks are joined until a task has this many rows.
        concurrency: the most tasks at a time.
        num_cpus: CPUs of each task.
        memory: bytes of heap memory of each task.

    Returns:
        The names of the new stores, sorted. There is none if the dataset has no rows.

    Raises:
        ValueError: columns cannot be stored, do not fit the fields, or differ between blocks. The
            message names the column.
        Error: a node died before its stores had their names.
        OSError: a disk is full, or the directory cannot be written.

    Examples:
        >>> import ray, stream_store.ray
        >>> names = stream_store.ray.write(ray.data.range(1000), "numbers")
        >>> stream_store.StoreGroup("numbers").kept_rows
        1000
    """
    if not isinstance(dataset, ray.data.Dataset):
        raise TypeError(f"{_WRITE}: dataset must be a ray.data.Dataset, not {dataset!r}")
    (directory,) = absolute_paths(path, _WRITE)
    if Path(directory).exists() and not Path(directory).is_dir():
        raise NotADirectoryError(f"{directory}: {_WRITE}: expected a directory or nothing")
    chosen = _arguments.names("columns", columns)
    if chosen is not None and step_column is not None and step_column not in chosen:
        chosen = [step_column, *chosen]
    if min_rows_per_store is not None:
        _arguments.integer("min_rows_per_store", min_rows_per_store, 1)
    specs = _known_fields(directory, None if fields is None else parse_fields(fields))
    sink = StoreDatasink(directory, specs, chosen, step_column, min_rows_per_store)
    resources = {"num_cpus": num_cpus, "memory": memory}
    dataset.write_datasink(
        sink,
        ray_remote_args={name: value for name, value in resources.items() if value is not None},
        concurrency=concurrency,
    )
    return sink.names


@dataclass(frozen=True)
class Written:
    """The store that a task has written.

    Attributes:
        node: where it is.
        staged: its directory within the hidden one.
        name: the name it will have.
        specs: its fields.
    """

    node: str
    staged: str
    name: str
    specs: list[FieldSpec]


class StoreDatasink(Datasink[Written | None]):
    """Writes one store per task.

    Args:
        path: directory of the stores.
        specs: their fields; None takes those that follow from the blocks.
        columns: the columns to write, or None.
        step_column: the column of steps, or None.
        min_rows: the least rows of a task, or None.
    """

    def __init__(
        self,
        path: str,
        specs: list[FieldSpec] | None,
        columns: list[str] | None,
        step_column: str | None,
        min_rows: int | None,
    ) -> None:
        self.names: list[str] = []
        self._path = path
        self._specs = specs
        self._columns = columns
        self._step_column = step_column
        self._min_rows = min_rows
        self._made = not Path(path).exists()
        self._id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"

    @property
    def min_rows_per_write(self) -> int | None:
        """The least rows of a task."""
        return self._min_rows

    def write(self, blocks: Iterable[Block], ctx: Any) -> Written | None:
        """Write the blocks of one task into a store of their own; None if they have no rows."""
        staged = f"{ctx.task_idx:06d}-{uuid.uuid4().hex[:8]}"
        target = _staging(self._path, self._id) / staged
        store: StreamStore | None = None
        try:
            for block in blocks:
                table = plain_table(
                    BlockAccessor.for_block(block).to_arrow(), self._columns, _WRITE
                )
                if table.num_rows:
                    store = store or self._new_store(target, table)
                    self._add(store, table)
            if store is None:
                return None
            specs = declared_fields(store).specs
            store.close()
        except BaseException:
            if store is not None:
                store.close()
            shutil.rmtree(target, ignore_errors=True)
            raise
        return Written(this_node(), staged, f"{self._id}-{ctx.task_idx:06d}", specs)

    def _new_store(self, target: Path, table: Any) -> StreamStore:
        target.parent.mkdir(parents=True, exist_ok=True)
        store = StreamStore(target, "x", sync_seconds=None, sync_bytes=None)
        store._define_fields(self._specs or fields_of(table, self._step_column))
        return store

    def _add(self, store: StreamStore, table: Any) -> None:
        try:
            import_stream(
                store, c_stream_of(table, []), append=True, step_column=self._step_column or ""
            )
        except ValueError as error:
            raise ValueError(f"{self._path}: {_WRITE}: {error}") from error

    def on_write_complete(self, write_result: WriteResult[Written | None]) -> None:
        """Give the stores their names."""
        written = [one for one in write_result.write_returns if one is not None]
        for other in written[1:]:
            text = difference(written[0].specs, other.specs)
            if text is not None:
                raise ValueError(
                    f"{self._path}: {_WRITE}: blocks have columns of different types, so that the "
                    f"fields differ: {text}; give fields=…"
                )
        by_node: dict[str, list[tuple[str, str]]] = {}
        for one in written:
            by_node.setdefault(one.node, []).append((one.staged, one.name))
        specs = written[0].specs if written else self._specs
        if not written and specs is not None:  # a group without stores
            by_node[this_node()] = []
        publish = {node: (self._path, self._id, specs, some) for node, some in by_node.items()}
        _on_nodes(_publish, publish)
        self.names = sorted(one.name for one in written)
        self._clean(published=True)

    def on_write_failed(self, error: Exception) -> None:
        """Remove all stores of this write."""
        del error
        self._clean(published=False)

    def _clean(self, *, published: bool) -> None:
        """Remove the remains on each node, except for nodes that have died since."""
        for node in alive_nodes():
            with contextlib.suppress(Exception):
                _on_nodes(_remove, {node: (self._path, self._id, published, self._made)})


def _known_fields(path: str, given: list[FieldSpec] | None) -> list[FieldSpec] | None:
    """The fields of a group, or those that were given if there is none yet."""
    if is_store(path):
        raise ValueError(f"{path}: {_WRITE}: expected a directory of stores, but this is a store")
    try:
        with open_group(path, "skip", _WRITE) as group:
            specs = declared_fields(group._holder).specs
    except FileNotFoundError:
        return given
    text = None if given is None else difference(specs, given)
    if text is not None:
        raise ValueError(f"{path}: {_WRITE}: the group was declared with other fields: {text}")
    return specs


def _staging(path: str, write_id: str) -> Path:
    return Path(path) / f".writing-{write_id}"


def _on_nodes(function: Any, arguments: dict[str, tuple[Any, ...]]) -> None:
    """Call a function here for this node, and in a task for each other node."""
    here = this_node()
    if here in arguments:
        function(*arguments.pop(here))
    run_on_nodes(function, arguments, _WRITE)


def _publish(
    path: str, write_id: str, specs: list[FieldSpec], stores: Sequence[tuple[str, str]]
) -> None:
    """Make the group, if it does not exist, and give stores of this node their names, durably."""
    _core.Group(path, specs, (True, False), 0.0)
    for staged, name in stores:
        (_staging(path, write_id) / staged).rename(Path(path) / name)
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove(path: str, write_id: str, published: bool, made: bool) -> None:
    """Remove the hidden directory of a write and, unless `published`, all that it has made."""
    shutil.rmtree(_staging(path, write_id), ignore_errors=True)
    if not published:
        for store in Path(path).glob(f"{write_id}-*"):
            shutil.rmtree(store, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):  # it is not empty, or was not made here
                Path(path).rmdir()
