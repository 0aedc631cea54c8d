"""Values of features as Arrow arrays, with the types and metadata that the library writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plan import Feature


def arrow_type(pa: Any, feature: Feature) -> Any:
    """The type of a feature's column."""
    if feature.is_image:
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})
    item = pa.string() if feature.kind == "string" else pa.from_numpy_dtype(np.dtype(feature.dtype))
    shape = feature.shape or ()
    if len(shape) == 1:
        return pa.list_(item, shape[0])
    for _ in shape:
        item = pa.list_(item)
    return item


def arrow_column(pa: Any, feature: Feature, values: Any) -> Any:
    """Values of a feature as an Arrow array: an array of shape (rows, ...), or a list."""
    kind = arrow_type(pa, feature)
    if feature.is_image or feature.kind == "string":
        return pa.array(values, kind)
    return nested_lists(pa, values, fixed=len(values.shape) == 2)


def nested_lists(pa: Any, values: NDArray[Any], *, fixed: bool = False) -> Any:
    """An array of shape (rows, a, b, …) as lists of lists, without a Python object per item."""
    array = pa.array(np.ascontiguousarray(values).reshape(-1))
    for axis in range(values.ndim - 1, 0, -1):
        size = values.shape[axis]
        if fixed:
            array = pa.FixedSizeListArray.from_arrays(array, size)
        else:
            count = int(np.prod(values.shape[:axis]))
            offsets = np.arange(count + 1, dtype=np.int64) * size
            if offsets[-1] >= 2**31:
                raise ValueError(f"to_lerobot: a block of {offsets[-1]} items is too large")
            array = pa.ListArray.from_arrays(offsets.astype(np.int32), array)
    return array


def data_schema(pa: Any, features: Sequence[Feature]) -> Any:
    """The schema of the data files, with the features of `datasets` as metadata."""
    fields = [pa.field(one.name, arrow_type(pa, one)) for one in features]
    described = {"info": {"features": {one.name: _json(one) for one in features}}}
    return pa.schema(fields, metadata={"huggingface": json.dumps(described)})


def _json(feature: Feature) -> dict[str, Any]:
    """The feature as `datasets` writes it."""
    if feature.is_image:
        return {"_type": "Image"}
    value = {"dtype": feature.dtype, "_type": "Value"}
    shape = feature.shape or ()
    if not shape:
        return value
    if len(shape) == 1:
        return {"feature": value, "length": shape[0], "_type": "List"}
    return {"shape": list(shape), "dtype": feature.dtype, "_type": f"Array{len(shape)}D"}
