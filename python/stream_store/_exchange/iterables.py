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

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from stream_store import _core
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec
from stream_store.values.arrays import short

from .arrow import c_schema
from .blocks import Block, Rows, Table, blocks_of
from .columns import check_class_names, choose_columns, declare
from .inspect import NOTHING, Storage, storage_of
from .leaves import Path, Rule, Unfit, raised, reason_of
from .optional import require
from .suggest import decimal_declaration, declaration, json_declaration, type_text
from .tables import same_storage


class Stream(NamedTuple):
    """The input of an import.

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
    blocks = blocks_of(ds)
    first = next(blocks, None)
    if given is not None:
        names = list(given)
    elif first is not None:
        names = first.names()
    else:
        raise ValueError("the iterable dataset has neither rows nor features")
    fields, wanted = choose_columns(core, names, columns, step_column)
    if core.fields and given is not None:
        check_class_names(core, {name: given[name] for name in fields})
    if core.fields and given is None and columns is None:
        # The columns of these fields may come after the first batch.
        later = [name for name in declared_fields(core).outer_names if name not in names]
        wanted = [*wanted, *later]
    reader = _Reader(core, fields, wanted, given, first)
    if core.fields:
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


class _Reader:
    """Converts the batches of a dataset to one schema."""

    def __init__(
        self,
        core: _core.Store,
        fields: list[str],
        wanted: list[str],
        given: Any,
        first: Block | None,
    ) -> None:
        self.unexpected: Callable[[str], bool] = lambda _: False
        self._fields = fields
        self._row = 0
        count = 0 if first is None else len(first)
        self._guessed = "first row" if count == 1 else f"first {count:,} rows"
        declared = _declared_rules(core) if core.fields else {}
        if isinstance(first, Table):  # the core converts the types of its columns
            known = frozenset(first.names() if given is None else given)
            declared = {name: rule for name, rule in declared.items() if name not in known}
        self._has_fields = bool(core.fields)
        self._rules = {name: self._rule(name, declared, given, first) for name in wanted}
        pyarrow = require("pyarrow", "from_dataset")
        columns = [(name, rule.kind) for name, rule in self._rules.items()]
        self.schema = pyarrow.schema(columns, metadata=None if first is None else first.metadata)

    def _rule(self, name: str, declared: dict[str, Rule], given: Any, first: Any) -> Rule:
        if name in declared:
            return declared[name]
        if given is not None:
            kind = given.arrow_schema.field(name).type
            return Rule(kind, given[name], (name,), cast=True)
        try:
            kind, feature = first.kind(name)
        except Exception as error:
            # Any library whose objects are in the rows may fail here.
            raise ValueError(self._no_type(name, first, error)) from error
        return Rule(kind, feature, (name,), exact=True)

    def _no_type(self, name: str, first: Block, error: Exception) -> str:
        """Why a column has no type: one of its values has none, or two have different ones."""
        column = f"from_dataset: column {name!r}"
        cells = first.cells(name)
        hint = decimal_declaration(name, cells)
        remedy = f"Declare {hint}" if hint else f"Declare it: fields={{{name!r}: …}}"
        for row, cell in enumerate(cells):
            try:
                Rows([{name: cell}]).kind(name)
            except Exception as own:
                reason = _reason(own)
                if not reason.startswith("expected"):
                    reason = f"expected a value of an Arrow type, found {short(cell)}: {reason}"
                return (
                    f"{column}, row {row}: {reason}. {remedy}, convert such values before, or "
                    "leave the column out with columns=[…]"
                )
        if not hint:
            remedy += ", with datasets.Json() for values of mixed types"
        return (
            f"{column}: the values of the {self._guessed} have no common type ({_reason(error)}). "
            f"{remedy}, or leave the column out with columns=[…]"
        )

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

    def read(self, block: Block) -> Any:
        """One batch as a table of the schema."""
        pyarrow = require("pyarrow", "from_dataset")
        for row, name in block.rows_of_names():
            if self.unexpected(name):
                raise ValueError(
                    f"from_dataset: row {self._row + row} has a column {name!r}, unlike the "
                    f"{self._guessed}, which have "
                    f"{', '.join(map(repr, self._rules))}. Declare all columns with fields={{…}}, "
                    "or name those to import with columns=[…]"
                )
        arrays = [self._array(block, name, rule) for name, rule in self._rules.items()]
        self._row += len(block)
        return pyarrow.table(arrays, schema=self.schema)

    def _array(self, block: Block, name: str, rule: Rule) -> Any:
        try:
            return block.array(name, rule)
        except Unfit as error:
            raise ValueError(self._refusal(block, name, rule, error)) from error.__cause__
        except Exception as error:
            raise ValueError(self._failure(block, name, rule, error)) from error

    def _failure(self, block: Block, name: str, rule: Rule, error: Exception) -> str:
        """The message for an exception of the code of a value, such as that of a lazy list."""
        place = column = f"column {name!r}"
        found = ""
        for row, cell in enumerate(block.cells(name)):
            try:
                Rows([{name: cell}]).array(name, rule)
            except Exception as own:
                place, found = f"{column}, row {self._row + row}", f"{short(cell)}, which "
                error = own
                break
        return (
            f"from_dataset: {place}: expected a value that can be read as {type_text(rule.kind)}, "
            f"found {found}raised {_reason(error)}. Convert such values before, or leave the "
            "column out with columns=[…]"
        )

    def _refusal(self, block: Block, name: str, rule: Rule, error: Unfit) -> str:
        place = f", at {error.path}" if error.path else ""
        where = f"from_dataset: column {name!r}, row {self._row + error.index}{place}"
        cell = block.cells(name)[error.index]
        hint = declaration(name, rule.kind, cell, nested=error.found is None)
        if not hint and rule.exact:
            hint = json_declaration(name, cell)
        why = f"The column is {type_text(rule.kind)}"
        if rule.exact:
            why += f", as in the {self._guessed}"
        if hint:
            remedy = f"declare {hint}"
        elif rule.cast:
            remedy = (
                "convert such values with ds.map, because features and casts of an IterableDataset "
                "convert no values here, or leave the column out with columns=[…]"
            )
        else:
            remedy = "convert such values before, or leave the column out with columns=[…]"
        return f"{where}: {error.text()}. {why}: {remedy}"


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it has too many levels of lists and dicts, or contains itself"
    return (reason_of(error) if isinstance(error, ValueError) else raised(error)).rstrip(".")


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
