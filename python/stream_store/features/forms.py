"""The forms of a declaration, other than plain dicts, as a feature and its Arrow type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from .arrow_types import ArrowType
from .dtypes import unknown_dtype
from .feature_types import FromJson, Typed, feature_of, tree_of
from .foreign import declared_type, is_arrow
from .nodes import MAX_DEPTH, Json, list_json, modern, shaped_json, value_json
from .numpy_dtypes import value_of_dtype
from .spaces import Rows, refused_space, rows_json, space_json, space_struct
from .strings import parse_string

DEFAULT_JSON: Json = list_json(value_json("int64"))


@dataclass(frozen=True, slots=True)
class Packed:
    """Stores a field as the little-endian bytes of its items, eight bytes to a word.

    An 84x84x4 uint8 frame then takes 28 KB instead of 226 KB, and a text its own size instead of
    eight times that. A stored value is a word of 8 bytes; decoded reads give the array or the text.
    The strings ``"packed uint8[84,84,4]"``, ``"packed int32[]"`` and ``"packed string"`` mean the
    same. Items of varying number are preceded by a word with their number.

    Args:
        feature: a string, a binary, or an array or list of items of 1, 2 or 4 bytes.

    Examples:
        >>> from stream_store.features import Packed
        >>> store = StreamStore(fields={"frame": Packed(np.dtype(("uint8", (2, 2))))})
        >>> store.append_step({"frame": [[1, 2], [3, 4]]})
        0
        >>> len(store), store.row(0)["frame"].shape
        (1, (2, 2))
    """

    feature: Any


@dataclass(frozen=True, slots=True)
class Nested:
    """Stores a field as one block of bytes for each cell, which may hold any Arrow type.

    Features that are not flat, such as lists of strings or of dicts, are nested without this. It is
    for flat ones that need it: lists with nulls inside, and structs that are read as a whole. The
    string ``"nested list<string>"`` means the same.

    Args:
        feature: a feature, a pyarrow type, or a type in Arrow's notation such as
            ``"list<struct<role: string, content: string>>"``.

    Examples:
        >>> from stream_store.features import Nested, parse_fields
        >>> parse_fields({"scores": Nested("list<float32>")})[0].text
        'nested list<float32>'
    """

    feature: Any


def class_of(feature: Any) -> tuple[str, str]:
    """Library and class name of a feature; for a subclass, those of its nearest known base."""
    for cls in type(feature).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in ("datasets", "gymnasium", "gym"):
            return ("gymnasium" if library == "gym" else library), cls.__name__
    return "", type(feature).__name__


def raw_struct(feature: Any) -> Mapping[Any, Any] | None:
    """The fields of a struct whose features may be in any form, else None."""
    if isinstance(feature, Mapping):
        return feature
    if isinstance(feature, np.dtype) and feature.names is not None:
        return {name: feature[name] for name in feature.names}
    library, name = class_of(feature)
    return space_struct(name, feature) if library == "gymnasium" else None


def typed_feature(feature: Any) -> tuple[Typed, str]:
    """A feature with its Arrow type, and its first word if that is "packed" or "nested".

    Raises:
        ValueError: `feature` cannot be stored, or is not a feature; the message suggests another.
    """
    if isinstance(feature, str):
        return parse_string(feature)
    return _typed(feature, 1), ""


def _implied(node: Json) -> Typed:
    return Typed(node, tree_of(node))


def _typed(feature: Any, depth: int) -> Typed:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(feature, Nested):
        return _typed(feature.feature, depth)
    if isinstance(feature, Packed):
        raise _packed_inside()
    if isinstance(feature, str):
        typed, word = parse_string(feature)
        if word == "packed":
            raise _packed_inside()
        return typed
    if (children := raw_struct(feature)) is not None:
        return _struct(children, depth)
    if isinstance(feature, FromJson):
        return _implied(modern(feature.node))
    if isinstance(feature, Typed):
        return feature
    if feature is None:
        return _implied(DEFAULT_JSON)
    if isinstance(feature, list):
        if len(feature) != 1:
            raise ValueError(
                f"a list of {len(feature)} features; expected one feature, that of the items"
            )
        return list_of(_typed(feature[0], depth + 1), {"_type": "List"})
    if isinstance(feature, np.dtype) or _is_scalar_type(feature):
        return _implied(_dtype_json(feature))
    if isinstance(feature, Rows):
        return _implied(rows_json(feature.space))
    return _of_library(feature, depth)


def _packed_inside() -> ValueError:
    return ValueError("list items cannot be packed; pack the whole field")


def _of_library(feature: Any, depth: int) -> Typed:
    if is_arrow(feature):
        tree = declared_type(feature).named("")
        return Typed(feature_of(tree), tree)
    library, name = class_of(feature)
    if library == "datasets":
        return _of_datasets(feature, name, depth)
    if library == "gymnasium":
        if name == "Sequence":
            return list_of(_typed(feature.feature_space, depth + 1), {"_type": "List"})
        node = space_json(name, feature)
        if node is None:
            raise refused_space(feature)
        return _implied(node)
    if _is_registered(feature):
        return _registered(feature)
    raise ValueError(_not_a_feature(feature))


def list_of(item: Typed, rest: Json) -> Typed:
    """A list with items of a feature. `rest` has the other keys of its JSON."""
    node = {"feature": item.node, **rest}
    length = rest.get("length", -1)
    form = "+L" if rest["_type"] == "LargeList" else "+l" if length == -1 else f"+w:{length}"
    name = item.tree.name or "item"
    return Typed(node, ArrowType(form, children=(item.tree.named(name),)))


def _struct(children: Mapping[Any, Any], depth: int) -> Typed:
    for name in children:
        if not isinstance(name, str):
            raise TypeError(f"field name {name!r}: expected str, found {type(name).__name__}")
    typed = {str(name): _typed(child, depth + 1) for name, child in children.items()}
    trees = tuple(child.tree.named(name) for name, child in typed.items())
    node = {name: child.node for name, child in typed.items()}
    return Typed(node, ArrowType("+s", children=trees))


def _of_datasets(feature: Any, name: str, depth: int) -> Typed:
    """The feature in its `to_dict` form: without fields that have their default, `_type` last."""
    if isinstance(feature, type) or not is_dataclass(feature):
        raise ValueError(f"{feature!r:.80} of `datasets` is not a feature")
    node = _dataclass_json(feature, name)
    if name in ("List", "LargeList"):
        item: Any = getattr(feature, "feature")  # noqa: B009 - mypy knows a dataclass only
        return list_of(_typed(item, depth + 1), node)
    return _implied(node)


def _dataclass_json(feature: Any, name: str) -> Json:
    node: Json = {}
    for item in fields(feature):
        value = getattr(feature, item.name)
        if item.name == "shape":
            node["shape"] = [dim if dim is None else int(dim) for dim in value]
        elif item.name not in ("feature", "_type") and value != item.default:
            node[item.name] = list(value) if isinstance(value, tuple) else value
    node["_type"] = name
    return node


def _is_registered(feature: Any) -> bool:
    known = not isinstance(feature, type) and is_dataclass(feature)
    return known and hasattr(feature, "_type") and callable(feature)


def _registered(feature: Any) -> Typed:
    """A feature that a user has registered with `datasets`; it knows its type of pyarrow."""
    return Typed(_dataclass_json(feature, feature._type), declared_type(feature()).named(""))


def _is_scalar_type(feature: Any) -> bool:
    return isinstance(feature, type) and (
        issubclass(feature, np.generic) or feature in (bool, str, bytes, int, float)
    )


def _dtype_json(feature: Any) -> Json:
    if feature is int or feature is float:
        raise unknown_dtype(feature.__name__)
    if (
        isinstance(feature, type)
        and issubclass(feature, np.generic)
        and feature not in np.sctypeDict.values()
    ):
        raise ValueError(f"np.{feature.__name__} has no size; write a type such as np.float32")
    dtype = np.dtype(feature)
    base, shape = dtype.subdtype or (dtype, ())
    return shaped_json(value_of_dtype(base), tuple(shape))


def _not_a_feature(feature: Any) -> str:
    expected = (
        "a `datasets` feature, a type of pyarrow or NumPy, a Gymnasium space or a string such as "
        "'float32[3]'"
    )
    if isinstance(feature, type):
        return f"the class {feature.__qualname__}; expected {expected}"
    return f"{feature!r:.80} is not a feature; expected {expected}"
