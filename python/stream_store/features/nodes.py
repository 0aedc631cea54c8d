"""Features as plain JSON, as `datasets` writes them (`Features.to_dict`), and their meaning.

Every form of declaration is first converted to this one, so that a single function, `leaf_of`,
decides whether a feature can be stored, and with which item type and shape.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any

from .dtypes import DTYPES, parse_value

#: One node of a feature's JSON, e.g. ``{"dtype": "float32", "_type": "Value"}``.
Json = dict[str, Any]

RAGGED = -1  # as the first dimension of a shape: the length varies from step to step
MAX_DIM = 0xFFFFFFFE  # the format stores dims in 32 bits; the largest number means ragged
MAX_VALUES = 2**48 - 1  # of one field-write
MAX_DIMS = 32

_ARRAYS = {f"Array{dims}D": dims for dims in range(2, 6)}

_FILE = "store the file's bytes as 'binary', or its path as 'string'"
_REFUSED = {
    "Image": f"media: store the pixels as 'packed uint8[height,width,channels]', or {_FILE}",
    "Audio": f"media: store the samples as 'float32[]', or {_FILE}",
    "Video": f"media: store one frame a step as 'packed uint8[height,width,channels]', or {_FILE}",
    "Json": "JSON: store its text as 'string', or declare its parts as fields",
    "TranslationVariableLanguages": "lists of strings: declare a 'string' field for each language",
} | {name: f"media: {_FILE}" for name in ("Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure")}


def value_json(dtype: str) -> Json:
    return {"dtype": dtype, "_type": "Value"}


def list_json(item: Json, length: int = RAGGED) -> Json:
    if length == RAGGED:
        return {"feature": item, "_type": "List"}
    return {"feature": item, "length": length, "_type": "List"}


def shaped_json(value: str, shape: tuple[int, ...]) -> Json:
    """The feature of `datasets` for items of a shape: Value, List or Array2D to Array5D."""
    if not shape:
        return value_json(value)
    if len(shape) == 1:
        return list_json(value_json(value), shape[0])
    if len(shape) > max(_ARRAYS.values()):
        raise ValueError(
            f"a shape of {len(shape)} dimensions; expected at most 5: flatten some of them"
        )
    dims = [None if dim == RAGGED else dim for dim in shape]
    return {"shape": dims, "dtype": value, "_type": f"Array{len(shape)}D"}


def default_feature_json(dtype: str, shape: tuple[int, ...] = (), packed: bool = False) -> str:
    """JSON of the feature of a field declared in C++, which has only an item type and a shape.

    Args:
        dtype: a name of `DTYPES`.
        shape: as in FieldSpec.
        packed: without effect: a packed field has the same feature.

    Examples:
        >>> from stream_store.features import default_feature_json
        >>> default_feature_json("float32")
        '{"dtype": "float32", "_type": "Value"}'
    """
    del packed
    if dtype == "fixed_binary":
        return json.dumps(value_json(f"fixed_size_binary[{shape[0]}]"))
    value = (
        DTYPES[dtype].value
        or {"decimal128": "decimal128(38, 0)", "decimal256": "decimal256(76, 0)"}[dtype]
    )
    if DTYPES[dtype].kind == "bytes":
        shape = ()  # the item type implies a varying length
    if len(shape) <= max(_ARRAYS.values()):
        return json.dumps(shaped_json(value, shape))
    node = value_json(value)
    for dim in reversed(shape):
        node = list_json(node, dim)
    return json.dumps(node)


def innermost(node: Json) -> Json:
    """The Value, ClassLabel or Array node inside any lists."""
    while "feature" in node and node.get("_type") in ("List", "LargeList"):
        node = node["feature"]
    return node


def leaf_of(node: Json) -> tuple[str, tuple[int, ...]]:
    """Item type and shape of a field with this feature.

    Raises:
        ValueError: the feature cannot be stored; the message suggests another one.
    """
    dtype, shape = _leaf(node)
    if len(shape) > MAX_DIMS:
        raise ValueError(f"{len(shape)} dimensions; expected at most {MAX_DIMS}")
    for dim in shape[1:] if shape[:1] == (RAGGED,) else shape:
        if not 1 <= dim <= MAX_DIM:
            raise ValueError(f"a dimension of {dim} in its shape; expected 1 to {MAX_DIM}")
    if prod(abs(dim) for dim in shape) > MAX_VALUES:
        raise ValueError(
            f"{prod(abs(dim) for dim in shape)} items per step; expected at most {MAX_VALUES}"
        )
    return dtype, shape


def _leaf(node: Json) -> tuple[str, tuple[int, ...]]:
    kind = node["_type"]
    if kind == "Value":
        return parse_value(node["dtype"])
    if kind == "ClassLabel":
        return "int64", ()
    if kind in ("List", "LargeList"):
        return _list_leaf(node)
    if kind in _ARRAYS:
        return _array_leaf(node, _ARRAYS[kind])
    if kind in _REFUSED:
        raise ValueError(f"{kind} is {_REFUSED[kind]}")
    raise ValueError(f"{kind} is not a feature that can be stored; {_FILE}")


def _list_leaf(node: Json) -> tuple[str, tuple[int, ...]]:
    dtype, inner = _leaf(node["feature"])
    _check_list_item(dtype)
    if inner[:1] == (RAGGED,):
        raise ValueError(
            "a list of lists of varying length cannot be stored; declare the items as one list and "
            "their lengths as a second 'int64[]' field, or give the inner lists a fixed length"
        )
    length = node.get("length", RAGGED)
    if not isinstance(length, int) or length < RAGGED:
        raise ValueError(
            f"a list of length {length!r}; expected a positive int, or -1 for a varying one"
        )
    return dtype, (length, *inner)


def _array_leaf(node: Json, dims: int) -> tuple[str, tuple[int, ...]]:
    dtype, _ = parse_value(node["dtype"])
    _check_list_item(dtype)
    shape = tuple(node["shape"])
    if len(shape) != dims:
        raise ValueError(
            f"{node['_type']} with a shape of {len(shape)} dimensions, {shape}; expected {dims}"
        )
    for place, dim in enumerate(shape):
        if dim is None and place > 0:
            raise ValueError(
                f"{node['_type']} with None in its shape {shape}; only the first dimension may vary"
            )
        if dim is not None and (not isinstance(dim, int) or dim < 0):
            raise ValueError(f"{node['_type']} with the dimension {dim!r}; expected an int")
    return dtype, tuple(RAGGED if dim is None else dim for dim in shape)


def _check_list_item(dtype: str) -> None:
    if dtype == "string":
        raise ValueError(
            "a list of strings cannot be stored; declare one 'string' field for each, or join them "
            "into one, for example as JSON text"
        )
    if DTYPES[dtype].kind == "bytes":
        raise ValueError(
            "a list of binary values cannot be stored; declare one 'binary' field for each, "
            "or 'uint8[]' for their bytes"
        )
    if DTYPES[dtype].kind == "decimal":
        raise ValueError(
            "a list of decimals cannot be stored; declare one decimal field for each, "
            "or 'int64[]' for scaled integers"
        )
    if dtype == "null":
        raise ValueError("a list of nulls cannot be stored; declare the type of its items")
