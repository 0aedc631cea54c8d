"""The rows of an `IterableDataset` in blocks: Python objects, or Arrow tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
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
        yield from map(Table, _tables_of(bare))
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


def _tables_of(ds: Any) -> Iterator[Any]:
    pyarrow = require("pyarrow", "from_dataset")
    try:
        yield from ds.with_format("arrow").iter(_ROWS_AT_ONCE)
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"from_dataset: reading the iterable dataset failed: {reason}. If its files have "
            "different types, pass features= to datasets.load_dataset, or cast the dataset"
        ) from error


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

    def __init__(self, table: Any) -> None:
        self._table = table
        self.metadata = table.schema.metadata

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def names(self) -> list[str]:
        return list(self._table.column_names)

    def rows_of_names(self) -> Iterator[tuple[int, str]]:
        yield from ((0, name) for name in self._table.column_names)

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
