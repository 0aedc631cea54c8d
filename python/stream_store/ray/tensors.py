"""Fields of numbers with a fixed shape as Ray's tensors, and tensors as lists."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from ray.data.extensions import ArrowTensorType, ArrowTensorTypeV2

from stream_store.features import FieldSpec

_KINDS = ("bool", "float", "int", "uint")
_TYPES = (ArrowTensorType, ArrowTensorTypeV2, pa.FixedShapeTensorType)


def tensor_shapes(specs: Sequence[FieldSpec]) -> dict[str, tuple[int, ...]]:
    """The shapes of the fields whose numbers have the same shape in every row."""
    return {
        spec.name: spec.shape
        for spec in specs
        if len(spec.path) == 1
        and not spec.hidden
        and spec.info.kind in _KINDS
        and min(spec.shape, default=0) > 0
    }


def item_type(kind: pa.DataType) -> pa.DataType:
    """The type of the innermost items of lists."""
    while hasattr(kind, "value_type"):
        kind = kind.value_type
    return kind


def fixed_lists(item: pa.DataType, shape: Sequence[int]) -> pa.DataType:
    """Lists of fixed size in each other. They have no offsets, so that the items are one array."""
    for size in reversed(shape):
        item = pa.list_(item, size)
    return item


def as_tensors(column: pa.ChunkedArray, shape: tuple[int, ...]) -> pa.ChunkedArray:
    """A column of lists of fixed size as tensors, without a copy of the items."""
    kind = ArrowTensorTypeV2(shape, item_type(column.type))
    return pa.chunked_array([_tensors(chunk, shape, kind) for chunk in column.chunks], kind)


def _tensors(array: pa.Array, shape: tuple[int, ...], kind: pa.DataType) -> pa.Array:
    items = array
    for _ in shape:
        items = items.values
    # A missing tensor keeps its place among the items, because Ray's to_numpy() counts on it.
    offsets = pa.array(np.arange(len(array) + 1, dtype=np.int64) * prod(shape))
    missing = array.is_null() if array.null_count else None
    return kind.wrap_array(pa.LargeListArray.from_arrays(offsets, items, mask=missing))


def is_tensor(kind: pa.DataType) -> bool:
    """Whether a type is one of Ray's types of tensors that all have one shape."""
    return isinstance(kind, _TYPES)


def as_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of tensors as lists of fixed size."""
    shape = tuple(column.type.shape)
    kind = fixed_lists(column.type.value_type, shape)
    return pa.chunked_array([_lists(chunk.storage, shape, kind) for chunk in column.chunks], kind)


def _lists(storage: pa.Array, shape: tuple[int, ...], kind: pa.DataType) -> pa.Array:
    items = storage.drop_null().flatten()
    missing: Any = None
    if storage.null_count:  # a missing tensor may have no items, a list of fixed size always has
        missing = storage.is_null()
        lacks = np.repeat(np.asarray(missing), prod(shape))
        items = items.take(pa.array(np.cumsum(~lacks) - 1, mask=lacks))
    for size in reversed(shape[1:]):
        items = pa.FixedSizeListArray.from_arrays(items, size)
    return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=missing)
