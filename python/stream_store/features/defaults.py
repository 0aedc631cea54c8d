"""The features of fields that were declared in C++, which have no JSON."""

from __future__ import annotations

import json

from .dtypes import DTYPES
from .feature_types import Typed, feature_of, stored_json
from .nodes import ARRAYS, list_json, shaped_json, value_json
from .notation import parse_type


def default_feature_json(
    dtype: str, shape: tuple[int, ...] = (), packed: bool = False, nested: str = ""
) -> str:
    """JSON of the feature of a field declared in C++, which has only an item type and a shape.

    Args:
        dtype: a name of `DTYPES`.
        shape: as in FieldSpec.
        packed: without effect: a packed field has the same feature.
        nested: the type of the cells of a nested field; else "".

    Examples:
        >>> from stream_store.features import default_feature_json
        >>> default_feature_json("float32")
        '{"dtype": "float32", "_type": "Value"}'
    """
    del packed
    if nested:
        tree = parse_type(nested)
        return stored_json(Typed(feature_of(tree), tree))
    if dtype == "fixed_binary":
        return json.dumps(value_json(f"fixed_size_binary[{shape[0]}]"))
    value = (
        DTYPES[dtype].value
        or {"decimal128": "decimal128(38, 0)", "decimal256": "decimal256(76, 0)"}[dtype]
    )
    if DTYPES[dtype].kind == "bytes":
        shape = ()  # the item type implies a varying length
    if len(shape) <= max(ARRAYS.values()):
        return json.dumps(shaped_json(value, shape))
    node = value_json(value)
    for dim in reversed(shape):
        node = list_json(node, dim)
    return json.dumps(node)
