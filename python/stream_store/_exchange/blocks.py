"""The rows of an `IterableDataset` in blocks: Python objects, or Arrow tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from .exact import array_of
from .leaves import Rule
from .optional import require
from .tables import is_lossless, objects_of

_ROWS_AT_ONCE = 1000
_BYTES_AT_ONCE = 32 << 20  # approximate size of the values of a batch of rows


class Block(ABC):
    """Some rows of a dataset.

    Attributes:
        metadata: of the Arrow schema, or None.
    """

    metadata: Any = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def names(self) -> list[str]:
        """The names of the columns, in their order."""

    @abstractmethod
    def rows_of_names(self) -> Iterator[tuple[int, str]]:
        """The number of a row with each name."""

    @abstractmethod
    def cells(self, name: str) -> list[Any]:
        """The values of a column as Python objects."""

    @abstractmethod
    def array(self, name: str, rule: Rule) -> Any:
        """A column as an Arrow array, or an Unfit."""

    @abstractmethod
    def kind(self, name: str) -> tuple[Any, Any]:
        """The Arrow type that the values of a column suggest, and its feature or None."""


def blocks_of(ds: Any) -> Iterator[Block]:
    """The rows of an iterable dataset, without its features."""
    bare = _without_features(ds)
    if getattr(getattr(ds, "_ex_iterable", None), "iter_arrow", None) is not None:
        yield from _tables_of(bare)
    else:
        yield from map(Rows, _batches_of_rows(iter(bare)))


def _without_features(ds: Any) -> Any:
    """The same dataset, whose rows are not converted to its features while they are read."""
    bare = ds.with_format(None)  # a new object; copy.copy() would share its attributes with `ds`
    bare._info = ds._info.copy()
    bare._info.features = None
    for name in ("_epoch", "_starting_state_dict"):  # of set_epoch and load_state_dict
        if hasattr(ds, name):
            setattr(bare, name, getattr(ds, name))
    return bare


def _tables_of(ds: Any) -> Iterator[Table]:
    pyarrow = require("pyarrow", "from_dataset")
    refused = require("datasets", "from_dataset").table.CastError
    try:
        yield from _merged(_pieces_of(ds))
    except (pyarrow.ArrowException, refused) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"from_dataset: reading the iterable dataset failed: {reason}. If its files have "
            "different types, pass features= to datasets.load_dataset, or cast the dataset"
        ) from error


def _pieces_of(ds: Any) -> Iterator[Any]:
    """The tables of a dataset in pieces of at most 1,000 rows.

    `iter` would join the tables of all sources first, which fails if their columns differ. A dataset
    that continues from a saved state skips rows there, so it is read through `iter`.
    """
    if getattr(ds, "_starting_state_dict", None) is None:
        source = ds._prepare_ex_iterable_for_iteration(batch_size=_ROWS_AT_ONCE)
        kinds = require("datasets", "from_dataset").iterable_dataset
        for added in (kinds.FormattedExamplesIterable, kinds.RebatchedArrowExamplesIterable):
            if type(source) is added and source is not ds._ex_iterable:
                source = source.ex_iterable
        tables = (table for _, table in source.iter_arrow())
    else:
        tables = ds.with_format("arrow").iter(_ROWS_AT_ONCE)
    table_of = require("pyarrow", "from_dataset").Table.from_batches
    for table in tables:
        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            if len(batch):
                yield table_of([batch])


def _merged(pieces: Iterator[Any]) -> Iterator[Table]:
    """Pieces joined up to 1,000 rows, as two interleaved sources alternate after every row."""
    buffer: list[Any] = []
    rows = 0
    for piece in pieces:
        if buffer and rows + len(piece) > _ROWS_AT_ONCE:
            yield from _joined(buffer)
            buffer, rows = [], 0
        buffer.append(piece)
        rows += len(piece)
    yield from _joined(buffer)


def _joined(pieces: list[Any]) -> Iterator[Table]:
    """One table, in which a column that a piece lacks is null; one for each run of equal types if
    the types of a column differ.
    """
    pyarrow = require("pyarrow", "from_dataset")
    if not pieces:
        return
    try:
        runs = [(pieces, pyarrow.concat_tables(pieces, promote_options="default"))]
    except pyarrow.ArrowException:
        groups = (list(group) for _, group in groupby(pieces, lambda piece: piece.schema))
        runs = [(group, pyarrow.concat_tables(group)) for group in groups]
    for group, table in runs:
        first_rows: dict[str, int] = {}
        row = 0
        for piece in group:
            for name in piece.column_names:
                first_rows.setdefault(name, row)
            row += len(piece)
        yield Table(table, first_rows)


def _batches_of_rows(rows: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows in batches of at most 1,000, fewer if they are large."""
    batch: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += _size(row)
        if len(batch) == _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(value: Any) -> int:
    """The approximate size of a value in bytes."""
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (bool, int, float)):
            return 8 * len(value)
        return sum(map(_size, value))
    size = getattr(value, "nbytes", None)
    if size is None and type(value).__module__.startswith("PIL"):
        size = 4 * value.width * value.height
    return size if isinstance(size, int) else 8


class Rows(Block):
    """A batch of Python rows."""

    def __init__(self, rows: list[Mapping[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self._rows for name in row))

    def rows_of_names(self) -> Iterator[tuple[int, str]]:
        for number, row in enumerate(self._rows):
            yield from ((number, name) for name in row)

    def cells(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._rows]

    def array(self, name: str, rule: Rule) -> Any:
        return array_of(self.cells(name), rule)

    def kind(self, name: str) -> tuple[Any, Any]:
        pyarrow = require("pyarrow", "from_dataset")
        datasets = require("datasets", "from_dataset")
        sequence = datasets.arrow_writer.TypedSequence(self.cells(name))
        try:
            pyarrow.array(sequence)
            feature = sequence.get_inferred_type()
        except ValueError as error:
            if isinstance(error, pyarrow.ArrowException):
                raise
            return pyarrow.array(self.cells(name)).type, None  # has no feature, such as uuid
        feature = datasets.Features({name: feature})
        return feature.arrow_schema.field(name).type, feature[name]


class Table(Block):
    """A batch that is an Arrow table."""

    def __init__(self, table: Any, first_rows: Mapping[str, int]) -> None:
        self._table = table
        self._first_rows = first_rows  # the first row that has a column, by its name
        self.metadata = table.schema.metadata

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def names(self) -> list[str]:
        return list(self._table.column_names)

    def rows_of_names(self) -> Iterator[tuple[int, str]]:
        yield from ((row, name) for name, row in self._first_rows.items())

    def cells(self, name: str) -> list[Any]:
        return objects_of(self._table[name])

    def array(self, name: str, rule: Rule) -> Any:
        pyarrow = require("pyarrow", "from_dataset")
        if name not in self._table.column_names:
            return pyarrow.nulls(len(self), rule.kind)
        column = self._table[name]
        if column.type == rule.kind:
            return column
        if not is_lossless(column.type, rule.kind):
            return array_of(objects_of(column), rule)
        if rule.feature is not None:
            table = require("datasets", "from_dataset").table
            return table.cast_array_to_feature(column, rule.feature)
        return column.cast(rule.kind)

    def kind(self, name: str) -> tuple[Any, Any]:
        return self._table.schema.field(name).type, None
