"""Arrow arrays as columns of extend(). Numbers and lists of numbers are taken without objects.

This module needs pyarrow, so it is imported for a column of Arrow data only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._column_parts import Column, Parts, numbers_column, takes_numbers, with_mask
from ._exchange.optional import require
from .features import FieldSpec
from .store import StreamStore
from .values.media import encodes

pa = require("pyarrow", "a column of Arrow data")
pc = require("pyarrow.compute", "a column of Arrow data")


def arrow_column(spec: FieldSpec, given: Any) -> Column:
    """An Array or ChunkedArray as a column.

    A null row is a missing value. Lists that have nulls inside become Python lists, because only a
    nested field can hold them.
    """
    column = _plain_storage(given)
    if pa.types.is_null(column.type):
        return [None] * len(column)
    if takes_numbers(spec):
        result = _lists(spec, column) if _is_list(column.type) else _scalars(spec, column)
        if result is not None:
            return result
    if spec.nested and not encodes(spec.feature_json):
        cells = _stored_cells(spec, column)
        if cells is not None:
            return cells
    return list(column.to_pylist())


def _stored_cells(spec: FieldSpec, column: Any) -> Parts | None:
    """Nested cells as the words that an import of the column stores.

    Python objects of the cells would not have the bits of every NaN, and cost more time. Returns
    None if the import refuses the column: then its rows are converted one by one, and the error
    names the row.
    """
    with StreamStore() as store:
        store._define_fields([replace(spec, path=(spec.name,))])
        try:
            store.from_arrow(pa.table([column], [spec.name]))
        except (ValueError, TypeError, NotImplementedError):
            return None
        words, writes = store[:]["values"], store.index_table()
    lengths = np.zeros(len(column), np.int64)
    lengths[writes["step"]] = np.diff(writes["start"], append=len(words))
    present = np.zeros(len(column), np.bool_)
    present[writes["step"]] = True
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return Parts(words, present.tobytes(), offsets, stored=True)


def _plain_storage(column: Any) -> Any:
    """The array without its extension type, dictionary or run ends, as a ChunkedArray."""
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    while True:
        kind = column.type
        if isinstance(kind, pa.BaseExtensionType):
            chunks = [chunk.storage for chunk in column.chunks]
            column = pa.chunked_array(chunks, kind.storage_type)
        elif pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        elif pa.types.is_run_end_encoded(kind):
            chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
            column = pa.chunked_array(chunks, kind.value_type)
        else:
            return column


def _presence(column: Any) -> NDArray[np.bool_] | None:
    """Whether each row is not null; None if no row is."""
    if column.null_count == 0:
        return None
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def _is_list(kind: Any) -> bool:
    return any(
        check(kind)
        for check in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
            pa.types.is_list_view,
            pa.types.is_large_list_view,
        )
    )


def _numbers(column: Any) -> NDArray[Any] | None:
    """The items of a column without nulls; None if they are not numbers, dates or times."""
    kind, types = column.type, pa.types
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if types.is_date32(kind):
        return _counts(column, pa.int32(), "M8[D]")
    if types.is_date64(kind):
        return _counts(column, pa.int64(), "M8[ms]")
    if types.is_timestamp(kind):
        return _counts(column, pa.int64(), f"M8[{kind.unit}]")
    if types.is_time(kind):
        return _counts(column, pa.int32() if kind.bit_width == 32 else pa.int64(),
                       f"m8[{kind.unit}]")  # fmt: skip
    if types.is_duration(kind):
        return _counts(column, pa.int64(), f"m8[{kind.unit}]")
    return None


def _counts(column: Any, storage: Any, dtype: str) -> NDArray[Any]:
    counts = column.cast(storage).to_numpy(zero_copy_only=False)
    return np.asarray(counts).astype(np.int64).view(dtype)


def _scalars(spec: FieldSpec, column: Any) -> Column | None:
    present = _presence(column)
    if present is not None:
        # Null slots of fill_null() are zeros, which every field of numbers can hold.
        column = _zeros_for_nulls(column)
    values = None if column is None else _numbers(column)
    if values is None:
        return None
    if present is not None:
        return with_mask(spec, values, present)
    return values


def _zeros_for_nulls(column: Any) -> Any:
    """The column with zeros in place of nulls; None if its type has no zero."""
    zero = _zero_of(column.type)
    return None if zero is None else column.fill_null(zero)


def _zero_of(kind: Any) -> Any:
    types = pa.types
    if types.is_boolean(kind):
        return pa.scalar(False)
    if types.is_integer(kind) or types.is_floating(kind):
        return pa.scalar(0, pa.int32()).cast(kind)
    if types.is_date32(kind) or types.is_time32(kind):
        return pa.scalar(0, pa.int32()).cast(kind)
    if types.is_date64(kind) or types.is_temporal(kind):
        return pa.scalar(0, pa.int64()).cast(kind)
    return None


def _lists(spec: FieldSpec, column: Any) -> Column | None:
    """Lists of numbers, also lists of lists, in the shape of the field; None for any others."""
    present = _presence(column)
    lengths = _lengths(column)
    items = pc.list_flatten(column)
    for size in spec.item_shape if spec.is_ragged else spec.shape[1:]:
        if not _is_list(items.type) or items.null_count or (_lengths(items) != size).any():
            return None
        items = pc.list_flatten(items)
    values = None if items.null_count else _numbers(items)
    if values is None:
        return None
    unit = int(np.prod(spec.item_shape, dtype=np.int64)) if spec.is_ragged else 1
    if spec.is_ragged:
        converted = numbers_column(_flat(spec), values)
        if converted is None:
            return None
        offsets = np.zeros(len(column) + 1, np.int64)
        np.cumsum(lengths * unit, out=offsets[1:])
        return Parts(converted.values, None if present is None else present.tobytes(), offsets)
    return _regular(spec, values, lengths, present)


def _flat(spec: FieldSpec) -> FieldSpec:
    """The field of the items of a ragged field."""
    return replace(spec, shape=(), feature_json=spec.json)


def _regular(
    spec: FieldSpec,
    values: NDArray[Any],
    lengths: NDArray[np.int64],
    present: NDArray[np.bool_] | None,
) -> Column | None:
    """Lists for a field of a fixed shape: all rows that are not null have its length."""
    if not spec.shape:
        return None
    there = np.ones(len(lengths), np.bool_) if present is None else present
    if (lengths[there] != spec.shape[0]).any():
        return None
    whole = np.zeros((len(lengths), *spec.shape), values.dtype)
    whole[there] = values.reshape(-1, *spec.shape)
    return whole if present is None else with_mask(spec, whole, present)


def _lengths(column: Any) -> NDArray[np.int64]:
    """The lengths of lists, 0 for null."""
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False)).astype(np.int64)
