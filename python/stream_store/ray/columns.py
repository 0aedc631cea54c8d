"""Blocks of any Ray dataset as Arrow data that a store can take, and the fields for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from ray.data.extensions import ArrowPythonObjectType, ArrowVariableShapedTensorType

from stream_store._exchange.schemas import describe, infer_fields
from stream_store.features import FieldSpec

from .tensors import as_lists, is_tensor, item_type


def plain_table(table: pa.Table, columns: Sequence[str] | None, operation: str) -> pa.Table:
    """Columns of a block, with tensors as lists of fixed size.

    Raises:
        ValueError: there is no such column, or a column has objects or tensors of several shapes.
    """
    names = table.column_names if columns is None else list(columns)
    for name in names:
        if name not in table.column_names:
            raise ValueError(
                f"{operation}: there is no column {name!r}; the columns are "
                f"{', '.join(table.column_names)}"
            )
    arrays = [_plain(name, table.column(name), operation) for name in names]
    return pa.table(arrays, names=names).replace_schema_metadata(table.schema.metadata)


def _plain(name: str, column: pa.ChunkedArray, operation: str) -> pa.ChunkedArray:
    if is_tensor(column.type):
        return as_lists(column)
    found = None
    if isinstance(column.type, ArrowPythonObjectType):
        found = "Python objects"
    if isinstance(column.type, ArrowVariableShapedTensorType):
        found = "tensors of different shapes"
    if found is not None:
        raise ValueError(
            f"{operation}: column {name!r}: expected numbers, texts, lists, dicts or tensors of "
            f"one shape, but found {found}; convert them first, for example to lists"
        )
    return column


def fields_of(table: pa.Table, step_column: str | None) -> list[FieldSpec]:
    """The fields for the columns of a table.

    They follow from the types alone, so that all tasks find the same ones. Texts and bytes are
    packed, and so are images, arrays of uint8 with two or more dimensions.
    """
    leave_out = () if step_column is None else (step_column,)
    packed = [(field.name,) for field in table.schema if _is_packed(field.type)]
    stream: Any = table.slice(0, 0).__arrow_c_stream__()
    return infer_fields(describe(stream), leave_out, packed=packed)


def _is_packed(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_fixed_size_list(kind):
        return bool(types.is_fixed_size_list(kind.value_type) and item_type(kind) == pa.uint8())
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)
