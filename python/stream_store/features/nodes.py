"""Features as plain JSON, as `datasets` writes them (`Features.to_dict`), and their meaning.

Every form of declaration is first converted to this one, so that a single function, `flat_of`,
decides whether a feature is stored flat, and with which item type and shape.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .dtypes import DTYPES, parse_value

#: One node of a feature's JSON, e.g. ``{"dtype": "float32", "_type": "Value"}``.
Json = dict[str, Any]

RAGGED = -1  # as the first dimension of a shape: the length varies from step to step
MAX_DIM = 0xFFFFFFFE  # the format stores dims in 32 bits; the largest number means ragged
MAX_VALUES = 2**48 - 1  # of one field-write
MAX_DIMS = 32

MAX_DEPTH = 64  # nodes of a type, from the column to the deepest leaf, both included

ARRAYS = {f"Array{dims}D": dims for dims in range(2, 6)}

#: Features that are files: structs of their bytes and their path.
MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure")


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
    if len(shape) > max(ARRAYS.values()):
        raise ValueError(
            f"a shape of {len(shape)} dimensions; expected at most 5: flatten some of them"
        )
    dims = [None if dim == RAGGED else dim for dim in shape]
    return {"shape": dims, "dtype": value, "_type": f"Array{len(shape)}D"}


def innermost(node: Json) -> Json:
    """The Value, ClassLabel or Array node inside any lists; of a struct, the struct itself."""
    while node.get("_type") in ("List", "LargeList"):
        node = node["feature"]
    return node


def struct_children(node: Json) -> dict[str, Json]:
    """The features of a plain struct by name; none for any other feature."""
    return {} if isinstance(node.get("_type"), str) else node


def modern(node: Any) -> Json:
    """The same feature as `datasets` writes it today: List instead of Sequence or ``[feature]``.

    Raises:
        ValueError: `node` is not the JSON of a feature.
    """
    if isinstance(node, list) and len(node) == 1:
        return list_json(modern(node[0]))
    if not isinstance(node, dict):
        raise ValueError(f"{node!r:.80} is not the JSON of a feature")
    if "_type" not in node or isinstance(node["_type"], dict):
        return {name: modern(child) for name, child in node.items()}
    if node["_type"] not in ("List", "LargeList", "Sequence"):
        return node
    item = modern(node["feature"])
    if node["_type"] == "Sequence":
        children = struct_children(item)
        rest = {key: value for key, value in node.items() if key not in ("feature", "_type")}
        if any(child.get("_type") != "List" for child in children.values()):
            return {
                name: {"feature": child, **rest, "_type": "List"}
                for name, child in children.items()
            }
        return {"feature": item, **rest, "_type": "List"}
    return {**node, "feature": item}


def check_node(node: Json) -> None:
    """Check the parameters of a feature and of those inside.

    Raises:
        ValueError: some are not valid.
    """
    kind = node.get("_type")
    if not isinstance(kind, str):
        for child in node.values():
            check_node(child)
    elif kind in ("List", "LargeList"):
        length = node.get("length", RAGGED)
        if not isinstance(length, int) or not RAGGED <= length < 2**31:
            raise ValueError(
                f"a list of length {length!r}; expected 0 to {2**31 - 1}, or -1 for a varying one"
            )
        check_node(node["feature"])
    elif kind in ARRAYS:
        _check_array(node, ARRAYS[kind])
    elif kind == "ClassLabel":
        names = node.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("ClassLabel without names; give it names or num_classes")
    elif kind == "Translation":
        languages = list(node["languages"])
        if len(set(languages)) != len(languages):
            raise ValueError(f"Translation has a duplicate language: {languages}")


def _check_array(node: Json, dims: int) -> None:
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


def flat_of(node: Json) -> tuple[str, tuple[int, ...]] | None:
    """Item type and shape of a field with this feature; None if it must be nested.

    REQUIRES: check_node(node) passes.

    Raises:
        ValueError: a value has too many items.
    """
    flat = _flat(node)
    if flat is None or flat[0] == "nested":
        return None
    shape = flat[1]
    dims = shape[1:] if shape[:1] == (RAGGED,) else shape
    if len(shape) > MAX_DIMS or not all(1 <= dim <= MAX_DIM for dim in dims):
        return None
    if prod(abs(dim) for dim in shape) > MAX_VALUES:
        raise ValueError(
            f"{prod(abs(dim) for dim in shape)} items per step; expected at most {MAX_VALUES}"
        )
    return flat


def _flat(node: Json) -> tuple[str, tuple[int, ...]] | None:
    kind = node.get("_type")
    if kind == "Value":
        return parse_value(node["dtype"])
    if kind == "ClassLabel":
        return "int64", ()
    if kind == "Json":
        return "string", ()
    if kind in ("List", "LargeList"):
        item = _flat(node["feature"])
        if item is None or not _is_list_item(item[0]) or item[1][:1] == (RAGGED,):
            return None
        return item[0], (node.get("length", RAGGED), *item[1])
    if kind in ARRAYS:
        dtype, _ = parse_value(node["dtype"])
        shape = tuple(RAGGED if dim is None else dim for dim in node["shape"])
        return (dtype, shape) if _is_list_item(dtype) else None
    return None


def _is_list_item(dtype: str) -> bool:
    return DTYPES[dtype].kind not in ("null", "bytes", "decimal", "nested")
