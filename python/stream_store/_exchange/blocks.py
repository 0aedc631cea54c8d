"""The rows of an `IterableDataset` in blocks: Python objects, or Arrow tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from stream_store.values.arrays import short

from .exact import array_of
from .leaves import Rule, Unfit, raised
from .optional import require
from .plain import MAX_DEPTH, beyond_int64, plain
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
    return _at_place_of(ds, bare)


def _at_place_of(ds: Any, other: Any) -> Any:
    """Another dataset at the epoch and the row of a dataset, which `with_format` does not keep."""
    for name in ("_epoch", "_starting_state_dict"):  # of set_epoch and load_state_dict
        if hasattr(ds, name):
            setattr(other, name, getattr(ds, name))
    return other


def _tables_of(ds: Any) -> Iterator[Table]:
    pyarrow = require("pyarrow", "from_dataset")
    refused = require("datasets", "from_dataset").table.CastError
    try:
        yield from _merged(_pieces_of(ds))
    except (pyarrow.ArrowException, refused) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"from_dataset: reading the iterable dataset failed: {reason}. If its files have "
            "different types, pass features= to datasets.load_dataset, or cast the dataset"
        ) from error


def _pieces_of(ds: Any) -> Iterator[Any]:
    """The tables of a dataset in pieces of at most 1,000 rows.

    `iter` would join the tables of all sources first, which fails if their columns differ. A
    dataset that continues from a saved state skips rows there, so it is read through `iter`, one
    row at a time as the iteration whose state was saved: the state counts in such steps.
    """
    if getattr(ds, "_starting_state_dict", None) is None:
        source = ds._prepare_ex_iterable_for_iteration(batch_size=_ROWS_AT_ONCE)
        kinds = require("datasets", "from_dataset").iterable_dataset
        for added in (kinds.FormattedExamplesIterable, kinds.RebatchedArrowExamplesIterable):
            if type(source) is added and source is not ds._ex_iterable:
                source = source.ex_iterable
        tables = (table for _, table in source.iter_arrow())
    else:
        tables = _at_place_of(ds, ds.with_format("arrow")).iter(1)
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


def _batches_of_rows(rows: Iterator[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in batches of at most 1,000, fewer if they are large."""
    batch: list[dict[str, Any]] = []
    size = 0
    for number, row in enumerate(rows):
        batch.append(row if type(row) is dict else _row_of(number, row))
        size += _size(row, 0, {})
        if len(batch) == _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _row_of(number: int, row: Any) -> dict[str, Any]:
    """A row that is another mapping than a dict, whose values may be computed now."""
    if not isinstance(row, Mapping):
        raise ValueError(
            f"from_dataset: row {number}: expected a dict of columns, found {short(row)}"
        )
    read: dict[str, Any] = {}
    name: Any = None
    try:
        for name in row:
            read[name] = row[name]
    except Exception as error:
        column = "" if name is None else f"column {name!r}, "
        raise ValueError(
            f"from_dataset: {column}row {number}: expected a mapping that can be read, found one "
            f"that raised {raised(error)}"
        ) from error
    return read


def _size(value: Any, depth: int, known: dict[int, int]) -> int:
    """The approximate size of a value in bytes.

    Lists that contain themselves end at a depth.

    Args:
        value: a row, or a part of one.
        depth: how many lists and dicts it is in.
        known: the sizes of lists and dicts by their ids, so that the items of one that occurs
            several times are visited once. Those of a list that contains itself twice would
            otherwise double with each level.
    """
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    if depth >= MAX_DEPTH or not isinstance(value, (dict, list, tuple)):
        return _size_of_object(value)
    if isinstance(value, dict):
        items: Iterable[Any] = value.values()
    elif value and isinstance(value[0], (bool, int, float)):
        return 8 + 8 * len(value)
    else:
        items = value
    size = known.get(id(value))
    if size is None:
        size = 8
        for item in items:
            kind = type(item)
            if kind is str:
                size += len(item)
            elif kind is int or kind is float:
                size += 8
            else:
                size += _size(item, depth + 1, known)
        known[id(value)] = size
    return size


def _size_of_object(value: Any) -> int:
    try:
        size = getattr(value, "nbytes", None)
        if size is None and type(value).__module__.startswith("PIL"):
            size = 4 * value.width * value.height
    except Exception:  # of any library, such as for the size of a sparse tensor
        return 8
    return size if isinstance(size, int) else 8


class Rows(Block):
    """A batch of Python rows."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
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
        cells = self.cells(name)
        try:
            return array_of(cells, rule)
        except Unfit as error:
            refused = error
        try:
            return array_of(_each_plain(cells), rule)
        except Unfit:
            raise refused from refused.__cause__

    def kind(self, name: str) -> tuple[Any, Any]:
        return _guessed(name, [plain(cell) for cell in self.cells(name)])


def _each_plain(cells: list[Any]) -> list[Any]:
    """The cells as plain objects; one that cannot be read is an Unfit."""
    made = []
    for index, cell in enumerate(cells):
        try:
            made.append(plain(cell))
        except Exception as error:
            raise Unfit(index, "a value that can be read", cell) from error
    return made


def _guessed(name: str, cells: list[Any]) -> tuple[Any, Any]:
    """The Arrow type and the feature that `datasets` gives to values."""
    pyarrow = require("pyarrow", "from_dataset")
    datasets = require("datasets", "from_dataset")
    try:
        sequence = datasets.arrow_writer.TypedSequence(cells)
        pyarrow.array(sequence)
    except OverflowError:
        cells = [beyond_int64(cell) for cell in cells]
        sequence = datasets.arrow_writer.TypedSequence(cells)
        pyarrow.array(sequence)
    except ValueError as error:
        if isinstance(error, pyarrow.ArrowException):
            raise
        return pyarrow.array(cells).type, None  # has no feature, such as uuid
    try:
        feature = sequence.get_inferred_type()
    except ValueError:
        return pyarrow.array(cells).type, None
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
