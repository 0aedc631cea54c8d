"""An `IterableDataset` as a stream of Arrow batches, one of which is in memory at a time.

The rows of a generator, or of a dataset after `map`, are Python objects. If neither the dataset nor
the store declares the type of a column, the first batch decides it. exact.py converts every value
without loss, or refuses it with an error that names column, row and value, and a declaration that
would take it. A dataset over Arrow data, such as streamed Parquet, yields tables, and these pass
through; a table with other types than the first goes through the same conversion.

The features of the dataset are not applied by `datasets` itself, whose `encode_example` cuts 0.5 to
0 for an integer feature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from stream_store import _core
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec

from .arrow import c_schema
from .columns import check_class_names, choose_columns, declare
from .exact import array_of
from .inspect import NOTHING, Storage, storage_of
from .leaves import Path, Rule, Unfit
from .optional import require
from .suggest import declaration, type_text
from .tables import is_lossless, objects_of, same_storage

_ROWS_AT_ONCE = 1000
_BYTES_AT_ONCE = 32 << 20  # approximate size of the values of a batch of rows


class Stream(NamedTuple):
    """What an import reads.

    schema   of the batches.
    batches  an iterator of `pyarrow.RecordBatch`.
    specs    the fields for a store without fields; None if it has some, or if they follow from the
             schema.
    storage  the paths to store nested or packed if the fields follow from the schema.
    """

    schema: Any
    batches: Iterator[Any]
    specs: list[FieldSpec] | None
    storage: Storage


def stream_of(
    core: _core.Store, ds: Any, columns: Sequence[str] | None, step_column: str | None
) -> Stream:
    """The chosen columns of an iterable dataset."""
    given = ds.features
    bare = _without_features(ds)
    if getattr(getattr(ds, "_ex_iterable", None), "iter_arrow", None) is not None:
        blocks = (_Table(table) for table in _tables(bare))
    else:
        blocks = map(_Rows, _batches(iter(bare)))
    first = next(blocks, None)
    if first is None and given is None:
        raise ValueError("the iterable dataset has neither rows nor features")
    names = list(given) if given is not None else first.names()
    fields, wanted = choose_columns(core, names, columns, step_column)
    if core.fields and given is not None:
        check_class_names(core, {name: given[name] for name in fields})
    later: list[str] = []  # fields whose columns may come after the first batch
    if core.fields and given is None and columns is None:
        later = [name for name in declared_fields(core).outer_names if name not in names]
        if isinstance(first, _Rows):
            wanted, later = [*wanted, *later], []
    reader = _Reader(core, fields, wanted, given, first)
    if core.fields:
        reader.unexpected = frozenset(later).__contains__  # other columns are ignored
        reader.keep_flat(declared_fields(core).specs)
    elif columns is None:
        known = frozenset(names)
        reader.unexpected = lambda name: name not in known
    head = [] if first is None else [reader.read(first)]
    storage = storage_of(head[0]) if head and not core.fields else NOTHING
    specs = reader.declare(storage)
    if not core.fields:
        reader.keep_flat(specs)
    return Stream(reader.schema, chain(head, map(reader.read, blocks)), specs, storage)


# --- sources ---


def _without_features(ds: Any) -> Any:
    """The same dataset, whose rows are not converted to its features while they are read."""
    bare = ds.with_format(None)  # a new object; copy.copy() would share its attributes with `ds`
    bare._info = ds._info.copy()
    bare._info.features = None
    for name in ("_epoch", "_starting_state_dict"):  # of set_epoch and load_state_dict
        if hasattr(ds, name):
            setattr(bare, name, getattr(ds, name))
    return bare


def _tables(ds: Any) -> Iterator[Any]:
    pyarrow = require("pyarrow", "from_dataset")
    try:
        yield from ds.with_format("arrow").iter(_ROWS_AT_ONCE)
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"from_dataset: reading the iterable dataset failed: {reason}. If its files have "
            "different types, pass features= to datasets.load_dataset, or cast the dataset"
        ) from error


def _batches(rows: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
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


class _Rows:
    """A batch of Python rows."""

    def __init__(self, rows: list[Mapping[str, Any]]) -> None:
        self._rows = rows

    metadata = None  # of a schema

    def __len__(self) -> int:
        return len(self._rows)

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self._rows for name in row))

    def rows_of_names(self) -> Iterator[tuple[int, str]]:
        """The number of a row with each name."""
        for number, row in enumerate(self._rows):
            yield from ((number, name) for name in row)

    def cells(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._rows]

    def array(self, name: str, rule: Rule) -> Any:
        return array_of(self.cells(name), rule)

    def kind(self, name: str) -> tuple[Any, Any]:
        """The Arrow type and the feature that the values suggest."""
        pyarrow = require("pyarrow", "from_dataset")
        datasets = require("datasets", "from_dataset")
        sequence = datasets.arrow_writer.TypedSequence(self.cells(name))
        kind = pyarrow.array(sequence).type
        try:
            feature = sequence.get_inferred_type()
        except ValueError:  # a type without a feature, such as uuid
            return kind, None
        feature = datasets.Features({name: feature})
        return feature.arrow_schema.field(name).type, feature[name]


class _Table:
    """A batch that is an Arrow table."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.metadata = table.schema.metadata

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def names(self) -> list[str]:
        return list(self._table.column_names)

    def rows_of_names(self) -> Iterator[tuple[int, str]]:
        """The number of a row with each name."""
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


# --- conversion ---


class _Reader:
    """Converts the batches of a dataset to one schema."""

    def __init__(
        self,
        core: _core.Store,
        fields: list[str],
        wanted: list[str],
        given: Any,
        first: _Rows | _Table | None,
    ) -> None:
        self.unexpected: Callable[[str], bool] = lambda _: False
        self._fields = fields
        self._row = 0
        self._guessed_rows = 0 if first is None else len(first)
        as_declared = bool(core.fields) and not isinstance(first, _Table)
        declared = _declared_rules(core) if as_declared else {}
        self._has_fields = bool(core.fields)
        self._rules = {name: self._rule(name, declared, given, first) for name in wanted}
        pyarrow = require("pyarrow", "from_dataset")
        fields = [(name, rule.kind) for name, rule in self._rules.items()]
        self.schema = pyarrow.schema(fields, metadata=None if first is None else first.metadata)

    def _rule(self, name: str, declared: dict[str, Rule], given: Any, first: Any) -> Rule:
        if name in declared:
            return declared[name]
        if given is not None:
            kind = given.arrow_schema.field(name).type
            return Rule(kind, given[name], (name,))
        try:
            kind, feature = first.kind(name)
        except Exception as error:
            # Any library whose objects are in the rows may fail here.
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"from_dataset: column {name!r}: the first {len(first):,} rows have no common type "
                f"({reason}). Declare it, as in fields={{{name!r}: …}}, use datasets.Json() for "
                "values of mixed types, or leave the column out with columns=[…]"
            ) from error
        return Rule(kind, feature, (name,), exact=True)

    def declare(self, storage: Storage) -> list[FieldSpec] | None:
        """The fields for a store without any; None if they follow from the schema."""
        features = {name: self._rules[name].feature for name in self._fields}
        if self._has_fields or None in features.values():
            return None
        return declare(features, storage)

    def keep_flat(self, specs: list[FieldSpec] | None) -> None:
        """From now on, refuse nulls inside the lists of plain list fields."""
        flat: frozenset[Path] = frozenset(
            spec.path for spec in specs or () if spec.shape and not spec.nested
        )
        self._rules = {name: replace(rule, flat=flat) for name, rule in self._rules.items()}

    def read(self, block: _Rows | _Table) -> Any:
        """One batch as a table of the schema."""
        pyarrow = require("pyarrow", "from_dataset")
        for row, name in block.rows_of_names():
            if self.unexpected(name):
                raise ValueError(
                    f"from_dataset: row {self._row + row} has a column {name!r}, which the first "
                    f"{self._guessed_rows:,} rows do not have: they have "
                    f"{', '.join(map(repr, self._rules))}. Declare all columns with fields={{…}}, "
                    "or name those to import with columns=[…]"
                )
        arrays = [self._array(block, name, rule) for name, rule in self._rules.items()]
        self._row += len(block)
        return pyarrow.table(arrays, schema=self.schema)

    def _array(self, block: _Rows | _Table, name: str, rule: Rule) -> Any:
        try:
            return block.array(name, rule)
        except Unfit as error:
            raise ValueError(self._refusal(block, name, rule, error)) from error.__cause__

    def _refusal(self, block: _Rows | _Table, name: str, rule: Rule, error: Unfit) -> str:
        place = f", at {error.path}" if error.path else ""
        where = f"from_dataset: column {name!r}, row {self._row + error.index}{place}"
        cell = block.cells(name)[error.index]
        hint = declaration(name, rule.kind, cell, nested=error.found is None)
        if not hint and rule.exact:
            hint = f'fields={{"{name}": datasets.Json()}}'  # takes values of mixed types
        why = f"The column is {type_text(rule.kind)}"
        if rule.exact:
            why += f", as in the first {self._guessed_rows:,} rows"
        remedy = (
            f"declare {hint}"
            if hint
            else "convert such values before, or leave the column out with columns=[…]"
        )
        return f"{where}: {error.text()}. {why}: {remedy}"


class _SchemaOf:
    """The Arrow schema of a store, for `pyarrow.schema`."""

    def __init__(self, core: _core.Store) -> None:
        self._core = core

    def __arrow_c_schema__(self) -> object:
        return c_schema(self._core, declared_fields(self._core))


def _declared_rules(core: _core.Store) -> dict[str, Rule]:
    """The rules of the fields of a store, by outer name."""
    datasets = require("datasets", "from_dataset")
    fields = declared_fields(core)
    schema = require("pyarrow", "from_dataset").schema(_SchemaOf(core))
    features = datasets.Features(fields.features())
    rules = {}
    for field in schema:
        kind = features.arrow_schema.field(field.name).type
        feature = features[field.name]
        if not same_storage(kind, field.type):  # the feature is not all of the type
            kind, feature = field.type, None
        rules[field.name] = Rule(kind, feature, (field.name,))
    return rules
