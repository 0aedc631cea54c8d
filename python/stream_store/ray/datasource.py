"""Stores as a Ray datasource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
import ray.data
from ray.data import DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata

from stream_store import _arguments
from stream_store.errors import Error

from .blocks import PATH_COLUMN, Columns, columns_of
from .paths import (
    AnyPaths,
    Nodes,
    absolute_paths,
    alive_nodes,
    connect,
    find_stores,
    paths_of_nodes,
    run_on_nodes,
)
from .plan import RowRange, StoreRows, divide, examine, require_equal_fields

_READ = "stream_store.ray.read"
_NUMBER_BYTES = 8.0  # of a row number or a step
_TASK_BYTES = 32 << 20


def read(
    paths: AnyPaths,
    fields: Sequence[str] | None = None,
    *,
    nodes: Nodes = None,
    segment_by: str | Sequence[str] | None = None,
    step_column: str | None = None,
    row_column: str | None = None,
    include_paths: bool = False,
    tensors: bool = True,
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    num_cpus: float | None = None,
    memory: float | None = None,
) -> ray.data.Dataset:
    """Make a `ray.data.Dataset` of the rows that stores have now.

    The rows are fixed when the dataset is made, also while the stores grow; only the last row of a
    store may still become complete until its task reads it. Nothing is read before the dataset is
    used, and then task by task, so that the data may be larger than memory. Each task opens the
    stores itself and reads one range of rows.

    Columns have the types of `to_arrow`, except for fields of numbers with a fixed shape: they are
    Ray's tensors, which batches of NumPy and torch hold as one array. Ray fills missing tensors
    with zeros there. `Dataset.select_columns` and `limit` are passed on to the tasks, which then
    read less.

    Args:
        paths: the path of a store or of a `StoreGroup`, which is any directory of stores; or a list
            of both. A mapping of node ids to such paths names paths that are local to each node.
        fields: names of fields and structs; None reads all.
        nodes: nodes that each have stores of their own under these paths: "all", or a list of node
            ids. Only tasks on a node read its stores. None means that every task can open the
            paths, as on one machine or on a shared file system.
        segment_by: as for `StreamStore.segments`: no segment is divided between two tasks.
        step_column: name of an int64 column with the steps; None leaves the steps out.
        row_column: name of an int64 column with the row numbers; None leaves them out.
        include_paths: whether to add a column "path" with the path of the store of each row.
        tensors: False gives fields with a fixed shape as lists.
        override_num_blocks: how many tasks read the rows. By default, two for each CPU of the
            cluster, and more if each would read more than 32 MiB.
        concurrency: the most tasks at a time.
        num_cpus: CPUs of each task.
        memory: bytes of heap memory of each task.

    Returns:
        A dataset. Its tasks raise DroppedError for rows that a bounded store has dropped since,
        `stream_store.Error` if a store was replaced or truncated, and FileNotFoundError if it is
        gone; the message names the store.

    Raises:
        FileNotFoundError: there is neither a store nor a group at a path.
        ValueError: the fields of stores differ, there is no such field, or a node is not alive; the
            message names the path, field or node.
        Error: a node died.

    Examples:
        >>> import stream_store.ray
        >>> with StreamStore("run", fields={"obs": "float32[2]", "action": "int64"}) as store:
        ...     rows = store.extend({"obs": np.ones((100, 2)), "action": np.arange(100)})
        >>> dataset = stream_store.ray.read("run")
        >>> dataset.count()
        100
        >>> dataset.take_batch(4)["obs"].shape
        (4, 2)
    """
    segments = _arguments.names("segment_by", segment_by, one=True)
    if override_num_blocks is not None:
        _arguments.integer("override_num_blocks", override_num_blocks, 1)
    found = _found_stores(paths, nodes, segments)
    stores = [store for some in found.values() for store in some]
    if not stores:
        raise FileNotFoundError(
            f"{_shown(paths)}: {_READ}: expected stores on at least one of {len(found)} nodes, but "
            "none has any"
        )
    require_equal_fields(stores, _READ)
    columns = _columns(stores[0], fields, tensors)
    columns = _with_columns(columns, stores[0], step_column, row_column, include_paths)
    sources = [StoreDatasource(some, columns, node) for node, some in found.items() if some]
    sizes = [source.estimate_inmemory_data_size() for source in sources]
    tasks = override_num_blocks or _number_of_tasks(sum(sizes))
    datasets = []
    for source, size in zip(sources, sizes, strict=True):
        share = max(1, round(tasks * size / max(1, sum(sizes))))
        datasets.append(
            ray.data.read_datasource(
                source,
                # Ray divides the blocks of the tasks if there are fewer tasks than this.
                override_num_blocks=len(source.get_read_tasks(share)),
                concurrency=concurrency,
                num_cpus=num_cpus,
                memory=memory,
                label_selector=None if source.node is None else {"ray.io/node-id": source.node},
            )
        )
    return datasets[0].union(*datasets[1:]) if len(datasets) > 1 else datasets[0]


class StoreDatasource(Datasource):
    """Stores that can be opened wherever its tasks run.

    Args:
        stores: their rows.
        columns: the columns of the blocks.
        node: the node of the stores, or None.
    """

    def __init__(self, stores: Sequence[StoreRows], columns: Columns, node: str | None) -> None:
        super().__init__()
        self._projection_map: dict[str, str] | None = None
        self._stores = list(stores)
        self._columns = columns
        self.node = node

    def get_name(self) -> str:
        """The name of the tasks in messages and progress bars."""
        return "StreamStore" if self.node is None else f"StreamStore(node={self.node})"

    def estimate_inmemory_data_size(self) -> int:
        """About how many bytes the blocks take."""
        return int(sum(self._bytes_of(store) for store in self._stores))

    def supports_projection_pushdown(self) -> bool:
        """Columns that are not selected are not read."""
        return True

    def apply_projection(self, projection_map: dict[str, str] | None) -> Datasource:
        """The same stores, of which only some columns are read."""
        for name in projection_map or ():
            if name not in self._columns.names:
                raise ValueError(
                    f"{_READ}: there is no column {name!r}; the columns are "
                    f"{', '.join(self._columns.names)}"
                )
        return super().apply_projection(projection_map)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """One task for each range of rows; a single one without rows if there are none."""
        if self.node is not None and self.node not in alive_nodes():
            raise Error(
                f"{_READ}: node {self.node} with {', '.join(s.path for s in self._stores)} is not "
                "alive any more"
            )
        context = data_context or DataContext.get_current()
        names = self._get_data_columns()
        columns = self._columns if names is None else self._columns.select(names)
        sizes = [self._bytes_of(store) for store in self._stores]
        bytes_of_row = {
            store.path: size / max(1, len(store.rows))
            for store, size in zip(self._stores, sizes, strict=True)
        }
        schema = columns.schema()
        lists = divide(self._stores, sizes, parallelism) or [[]]
        tasks = []
        for ranges in lists:
            limited = _limited(ranges, per_task_row_limit)
            metadata = BlockMetadata(
                num_rows=sum(one.stop - one.start for one in limited),
                size_bytes=int(sum((r.stop - r.start) * bytes_of_row[r.path] for r in limited)),
                exec_stats=None,
                input_files=list(dict.fromkeys(one.path for one in limited)),
            )
            read_fn = _reader(columns, limited, context.target_max_block_size)
            tasks.append(ReadTask(read_fn, metadata, schema, per_task_row_limit))
        return tasks

    def _bytes_of(self, store: StoreRows) -> float:
        names = self._get_data_columns()
        columns = self._columns.names if names is None else names
        path_bytes = float(len(store.path) + 4)
        size = 0.0
        for name in columns:
            other = path_bytes if name == self._columns.path else _NUMBER_BYTES
            size += store.column_bytes.get(name, other * len(store.rows))
        return max(size, float(len(store.rows)))


def _reader(columns: Columns, ranges: list[RowRange], block_bytes: int | None) -> Any:
    """The function of a task. Ray takes its name, so it is not a `partial`."""

    def read_rows() -> Any:
        return columns.read(ranges, block_bytes)

    return read_rows


def _limited(ranges: Sequence[RowRange], limit: int | None) -> list[RowRange]:
    """The first `limit` rows of the ranges."""
    if limit is None:
        return list(ranges)
    taken: list[RowRange] = []
    for one in ranges:
        if limit <= 0:
            break
        taken.append(replace(one, stop=min(one.stop, one.start + limit)))
        limit -= taken[-1].stop - taken[-1].start
    return taken


# --- planning ---


def _number_of_tasks(size: int) -> int:
    """How many tasks read `size` bytes.

    It is Ray's own rule, but with larger tasks: the start of a task takes as long as reading some
    megabytes of a store.
    """
    connect()
    context = DataContext.get_current()
    most_bytes = context.target_max_block_size or size + 1
    usual = min(context.read_op_min_num_blocks, size // _TASK_BYTES)
    return int(max(usual, size // most_bytes, 2 * ray.cluster_resources().get("CPU", 1), 1))


def _found_stores(
    paths: AnyPaths, nodes: Nodes, segment_by: list[str] | None
) -> dict[str | None, list[StoreRows]]:
    """The stores by node id; without nodes, by None."""
    by_node = paths_of_nodes(paths, nodes, _READ)
    if by_node is None:
        return {None: _examine_all(absolute_paths(paths, _READ), segment_by)}
    may_lack = nodes is not None
    arguments = {node: (some, segment_by, may_lack) for node, some in by_node.items()}
    found: dict[str | None, list[StoreRows]] = {}
    found.update(run_on_nodes(_examine_all, arguments, _READ))
    return found


def _examine_all(
    paths: Sequence[str], segment_by: list[str] | None, may_lack: bool = False
) -> list[StoreRows]:
    """Look at all stores at the paths. With `may_lack`, a path may lead nowhere."""
    try:
        found = find_stores(paths, _READ)
    except FileNotFoundError:
        if not may_lack:
            raise
        return []
    return [examine(place, segment_by, _READ) for place in found]


def _columns(store: StoreRows, fields: Sequence[str] | None, tensors: bool) -> Columns:
    names = _arguments.names("fields", fields)
    known = list(dict.fromkeys(spec.path[0] for spec in store.specs if not spec.hidden))
    for name in names or ():
        if name not in known:
            raise ValueError(
                f"{store.path}: {_READ}: there is no field {name!r}; the fields are "
                f"{', '.join(known)}"
            )
    if names is not None and len(set(names)) != len(names):
        raise ValueError(f"{_READ}: fields has a duplicate: {names}")
    return columns_of(store.specs, store.schema, names or known, tensors)


def _with_columns(
    columns: Columns,
    store: StoreRows,
    step_column: str | None,
    row_column: str | None,
    include_paths: bool,
) -> Columns:
    """The columns, with those of steps, rows and paths around them."""
    path = PATH_COLUMN if _arguments.boolean("include_paths", include_paths) else None
    names = [name for name in (step_column, row_column, path) if name is not None]
    given: tuple[tuple[str, Any], ...] = (("step_column", step_column), ("row_column", row_column))
    for argument, name in given:
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"{_READ}: {argument} must be a name or None, not {name!r}")
    taken = [name for name in names if name in columns.names or names.count(name) > 1]
    if taken:
        raise ValueError(
            f"{store.path}: {_READ}: expected names that are not used yet for the columns of "
            f"steps, rows and paths, but there is a field or column {taken[0]!r} already"
        )
    before = [name for name in (step_column, row_column) if name is not None]
    after = [] if path is None else [path]
    return replace(
        columns,
        step=step_column,
        row=row_column,
        path=path,
        names=(*before, *columns.names, *after),
    )


def _shown(paths: AnyPaths) -> str:
    return ", ".join(map(str, paths)) if isinstance(paths, (list, tuple)) else str(paths)
