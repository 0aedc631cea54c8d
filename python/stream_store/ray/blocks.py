"""Ranges of rows as Arrow tables, in the types that Ray's own datasources make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from ray.data.block import BlockAccessor

from stream_store._exchange.arrow import Rows
from stream_store._fields import fixed_view
from stream_store.errors import DroppedError, Error
from stream_store.features import FieldSpec
from stream_store.store import StreamStore

from .plan import RowRange, content_key
from .tensors import as_tensors, fixed_lists, item_type, tensor_shapes

PATH_COLUMN = "path"  # the name that Ray's own readers give it

_DEFAULT_BLOCK_BYTES = 128 << 20


@dataclass(frozen=True)
class Columns:
    """The columns of blocks.

    Attributes:
        fields: the schema in which the fields are exported, each once, in their order.
        shapes: of the fields that become tensors.
        step, row, path: names of the columns of steps, row numbers and paths; None for no column.
        names: all columns of a block, in order.
    """

    fields: pa.Schema
    shapes: dict[str, tuple[int, ...]]
    step: str | None
    row: str | None
    path: str | None
    names: tuple[str, ...]

    def select(self, names: Sequence[str]) -> Columns:
        """Some of the columns, in another order."""
        chosen = [self.fields.field(name) for name in names if name in self.fields.names]
        return replace(
            self,
            fields=pa.schema(chosen, self.fields.metadata),
            shapes={name: shape for name, shape in self.shapes.items() if name in names},
            step=self.step if self.step in names else None,
            row=self.row if self.row in names else None,
            path=self.path if self.path in names else None,
            names=tuple(names),
        )

    def schema(self) -> pa.Schema:
        """The schema of the blocks."""
        return self.table(self._exported().empty_table(), "", 0).schema

    def read(self, ranges: Sequence[RowRange], block_bytes: int | None) -> Iterator[pa.Table]:
        """The rows of ranges as tables of about `block_bytes` each.

        Raises:
            DroppedError: rows were dropped since the ranges were planned.
            Error: a store was replaced, or its rows were truncated.
            FileNotFoundError: a store is no longer there.
        """
        for rows in ranges:
            with _opened(rows) as store:
                yield from self._tables(store, rows, block_bytes or _DEFAULT_BLOCK_BYTES)
        if not ranges:
            yield self.table(self._exported().empty_table(), "", 0)

    def _tables(self, store: StreamStore, rows: RowRange, block_bytes: int) -> Iterator[pa.Table]:
        view, fields = fixed_view(store)
        exported = Rows(
            view,
            fields,
            rows.start,
            rows.stop,
            step_column=self.step or "",
            batch_bytes=block_bytes,
            columns=self.fields.names,
        )
        first = rows.start
        for batch in pa.RecordBatchReader.from_stream(exported, schema=self._exported()):
            yield self.table(pa.Table.from_batches([batch]), rows.path, first)
            first += batch.num_rows

    def _exported(self) -> pa.Schema:
        steps = [] if self.step is None else [pa.field(self.step, pa.int64())]
        return pa.schema([*steps, *self.fields], self.fields.metadata)

    def table(self, exported: pa.Table, path: str, first_row: int) -> pa.Table:
        """A block of one exported batch."""
        count = exported.num_rows
        columns: dict[str, Any] = dict(zip(exported.column_names, exported.columns, strict=True))
        for name, shape in self.shapes.items():
            columns[name] = as_tensors(columns[name], shape)
        if self.row is not None:
            columns[self.row] = pa.array(np.arange(first_row, first_row + count))
        if self.path is not None:
            columns[self.path] = pa.repeat(pa.scalar(path), count)
        table = pa.table({name: columns[name] for name in self.names})
        if not self.names:  # Ray keeps the number of rows in a column of its own
            return BlockAccessor.for_block(exported).select([])
        return table.replace_schema_metadata(self.fields.metadata)


def columns_of(
    specs: Sequence[FieldSpec], own: pa.Schema, fields: Sequence[str], tensors: bool
) -> Columns:
    """The columns of fields, whose Arrow types are those of the schema `own`."""
    shapes = tensor_shapes(specs) if tensors else {}
    shapes = {name: shape for name, shape in shapes.items() if name in fields}
    chosen = [own.field(name) for name in fields]
    exported = [
        pa.field(one.name, fixed_lists(item_type(one.type), shapes[one.name]))
        if one.name in shapes
        else _nullable(one)
        for one in chosen
    ]
    names = tuple(one.name for one in chosen)
    return Columns(pa.schema(exported, own.metadata), shapes, None, None, None, names)


def _nullable(field: pa.Field) -> pa.Field:
    """The field with all its types nullable: rows may lack fields that are declared not null."""
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_nullable(child) for child in kind])
    elif pa.types.is_fixed_size_list(kind):
        kind = pa.list_(_nullable(kind.value_field), kind.list_size)
    elif pa.types.is_large_list(kind):
        kind = pa.large_list(_nullable(kind.value_field))
    elif pa.types.is_list(kind):
        kind = pa.list_(_nullable(kind.value_field))
    return pa.field(field.name, kind, True, field.metadata)


def _opened(rows: RowRange) -> StreamStore:
    """The store of a range, if it still has the rows that were planned."""
    store = StreamStore(rows.path, "r")
    try:
        if store.first_row > rows.start:
            raise DroppedError(
                f"{rows.path}: stream_store.ray.read: expected rows [{rows.start}, {rows.stop}), "
                f"but the store begins with row {store.first_row}: the others were dropped after "
                "the dataset was made"
            )
        kept = store.num_rows >= rows.stop and store.num_rows >= rows.complete
        if not kept or content_key(store, rows.complete) != rows.key:
            raise Error(
                f"{rows.path}: stream_store.ray.read: expected the rows that the store had when "
                "the dataset was made, but it was replaced or truncated since; make the dataset "
                "again"
            )
        return store
    except BaseException:
        store.close()
        raise
