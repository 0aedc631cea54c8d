"""Columns of the data files as columns that `extend` takes, and features as those of a store."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from stream_store._exchange.optional import require
from stream_store.features.dtypes import DTYPES

_NUMERIC = ("bool", "int", "uint", "float")


def store_feature(feature: dict[str, Any], arrow_type: Any) -> Any:
    """The feature of a field for a feature of info.json.

    Texts, and arrays of several dimensions whose items have at most 4 bytes, are packed: they take
    their own size instead of 8 bytes per item. A feature of another kind, such as those of
    language, has its Arrow type.
    """
    dtype, shape = feature["dtype"], feature["shape"]
    if dtype == "string" and shape in ((), (1,)):
        return "packed string"
    info = DTYPES.get(dtype)
    if info is None or info.kind not in _NUMERIC or 0 in shape:
        return arrow_type
    if shape in ((), (1,)):
        return dtype
    dims = ",".join(map(str, shape))
    packed = len(shape) > 1 and info.item_bytes <= 4
    return f"{'packed ' if packed else ''}{dtype}[{dims}]"


def image_feature(operation: str) -> Any:
    """The feature Image of `datasets`."""
    return require("datasets", operation, extra="lerobot").Image()


def store_column(column: Any, feature: dict[str, Any], where: str) -> Any:
    """An Arrow array of a data file for `extend`: a NumPy array where that loses nothing.

    Raises:
        ValueError: a list has another length than info.json says.
    """
    shape = feature["shape"]
    info = DTYPES.get(feature["dtype"])
    if info is None or info.kind not in _NUMERIC or 0 in shape:
        return column
    items = () if shape in ((), (1,)) else shape
    values = _storage(column)
    for size in items:
        if values.null_count:
            return _storage(column)
        _require_lengths(values, size, where)
        values = values.flatten()
    if values.null_count:
        return _storage(column)
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype != np.dtype(info.numpy):
        raise ValueError(
            f"{where}: expected {feature['dtype']}, as info.json says, but found {values.type}"
        )
    assert array.size == len(column) * prod(items)
    return array.reshape(len(column), *items)


def _storage(column: Any) -> Any:
    return column.storage if hasattr(column.type, "storage_type") else column


def _require_lengths(values: Any, size: int, where: str) -> None:
    pa = require("pyarrow", "from_lerobot", extra="lerobot")
    if pa.types.is_fixed_size_list(values.type):
        wrong = values.type.list_size != size
        found = values.type.list_size
    elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        lengths = np.diff(values.offsets.to_numpy())
        wrong = bool((lengths != size).any())
        found = lengths[lengths != size][0] if wrong else size
    else:
        raise ValueError(f"{where}: expected lists of {size} items but found {values.type}")
    if wrong:
        raise ValueError(
            f"{where}: expected lists of {size} items, as info.json says, but found {found}"
        )
