"""One feature, in any form that a declaration may have, as a tree of leaves and structs.

Objects of `datasets`, Gymnasium and pyarrow are recognised by the name and module of their class,
so none of these packages is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from .dtypes import DTYPES, unknown_dtype
from .nodes import RAGGED, Json, leaf_of, list_json, shaped_json, value_json
from .numpy_dtypes import value_of_dtype
from .strings import parse_string

DEFAULT_JSON: Json = list_json(value_json("int64"))
MAX_DEPTH = 32  # of structs and lists inside each other


@dataclass(frozen=True, slots=True)
class Packed:
    """Stores a field of fixed shape as the little-endian bytes of its items.

    An 84x84x4 uint8 frame then takes 28 KB instead of 226 KB. A stored value is a word of 8 bytes;
    decoded reads give the array. The string ``"packed uint8[84,84,4]"`` means the same.

    Args:
        feature: any feature of fixed shape with items of 1, 2 or 4 bytes.

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
class FromJson:
    """A feature, other than a struct, given as `datasets` JSON.

    Args:
        node: the JSON, such as ``{"dtype": "float32", "_type": "Value"}``.

    Examples:
        >>> from stream_store.features import FromJson, parse_fields
        >>> parse_fields({"reward": FromJson({"dtype": "float32", "_type": "Value"})})[0].text
        'float32'
    """

    node: Json


@dataclass(frozen=True, slots=True)
class Leaf:
    """A feature that is one field."""

    node: Json
    dtype: str
    shape: tuple[int, ...]
    packed: bool

    @property
    def feature_json(self) -> str:
        return json.dumps(self.node)


@dataclass(frozen=True, slots=True)
class Struct:
    """A feature whose leaves are fields of their own.

    node      its own JSON without its children: ``{}`` for a dict.
    children  features by name, not parsed yet.
    """

    node: Json
    children: Mapping[Any, Any]


def declare(feature: Any) -> Leaf | Struct:
    """Recognise one feature.

    Raises:
        ValueError: `feature` cannot be stored, or is not a feature; the message suggests another.
    """
    packed = False
    while isinstance(feature, Packed):
        packed, feature = True, feature.feature
    children = _children(feature)
    if children is not None:
        if packed:
            raise ValueError("a struct cannot be packed; pack its leaves instead")
        return children
    if isinstance(feature, FromJson):
        return Leaf(feature.node, *leaf_of(feature.node), packed=False)
    node, asked = _leaf_json(feature, depth=0)
    dtype, shape = leaf_of(node)
    packed = packed or asked
    if packed:
        _check_packed(dtype, shape)
    return Leaf(node, dtype, shape, packed)


def _check_packed(dtype: str, shape: tuple[int, ...]) -> None:
    info = DTYPES[dtype]
    if info.kind not in ("bool", "int", "uint", "float") or info.item_bytes > 4:
        raise ValueError(
            f"items of type {dtype} cannot be packed; "
            "expected numbers of 1, 2 or 4 bytes such as uint8, float16 or float32"
        )
    if not shape or shape[0] == RAGGED:
        raise ValueError("a packed field needs a fixed shape, as in 'packed uint8[84,84,4]'")


def _children(feature: Any) -> Struct | None:
    """The feature as a struct, if it is one."""
    if isinstance(feature, Mapping):
        return Struct({}, feature)
    if isinstance(feature, np.dtype) and feature.names is not None:
        return Struct({}, {name: feature[name] for name in feature.names})
    library, name = _class_of(feature)
    if library == "gymnasium" and name == "Dict":
        return Struct({}, feature.spaces)
    if library == "datasets" and name == "Translation":
        languages = [str(language) for language in feature.languages]
        if len(set(languages)) != len(languages):
            raise ValueError(f"Translation has a duplicate language: {languages}")
        return Struct(
            _datasets_json(feature, 0), {language: "string" for language in sorted(languages)}
        )
    return None


def _leaf_json(feature: Any, depth: int) -> tuple[Json, bool]:
    """JSON of a feature other than a struct, and whether its string says packed."""
    if depth > MAX_DEPTH:
        raise ValueError(f"lists are nested more than {MAX_DEPTH} deep")
    if feature is None:
        return DEFAULT_JSON, False
    if isinstance(feature, str):
        return parse_string(feature)
    if isinstance(feature, list):
        return _legacy_list_json(feature, depth), False
    if isinstance(feature, np.dtype) or _is_scalar_type(feature):
        return _dtype_json(feature), False
    library, _ = _class_of(feature)
    if library == "datasets":
        return _datasets_json(feature, depth), False
    if library == "gymnasium":
        return _space_json(feature), False
    raise ValueError(_not_a_feature(feature))


def _class_of(feature: Any) -> tuple[str, str]:
    """Library and class name of a feature; for a subclass, those of its nearest known base."""
    for cls in type(feature).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in ("datasets", "gymnasium", "gym"):
            return ("gymnasium" if library == "gym" else library), cls.__name__
    return "", type(feature).__name__


def _not_a_feature(feature: Any) -> str:
    expected = (
        "a `datasets` feature, a NumPy dtype, a Gymnasium space or a string such as 'float32[3]'"
    )
    if type(feature).__module__.partition(".")[0] == "pyarrow":
        return f"the Arrow type {feature}; expected {expected}"
    if isinstance(feature, type):
        return f"the class {feature.__qualname__}; expected {expected}"
    return f"{feature!r:.80} is not a feature; expected {expected}"


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


def _legacy_list_json(feature: list[Any], depth: int) -> Json:
    if len(feature) != 1:
        raise ValueError(
            f"a list of {len(feature)} features; expected one feature, that of the items"
        )
    return list_json(_item_json(feature[0], depth))


def _item_json(item: Any, depth: int) -> Json:
    """JSON of the items of a list."""
    if isinstance(item, Packed):
        raise ValueError("list items cannot be packed; pack the whole field, with a fixed shape")
    if _children(item) is not None:
        raise ValueError(
            "a list of structs cannot be stored; declare a struct of lists instead, "
            "one list for each of its leaves"
        )
    node, packed = _leaf_json(item, depth + 1)
    if packed:
        raise ValueError("list items cannot be packed; pack the whole field, with a fixed shape")
    return node


def _datasets_json(feature: Any, depth: int) -> Json:
    """The feature in its `to_dict` form: without fields that have their default, `_type` last."""
    _, name = _class_of(feature)
    if isinstance(feature, type) or not is_dataclass(feature):
        raise ValueError(f"{feature!r:.80} of `datasets` is not a feature")
    node: Json = {}
    for item in fields(feature):
        value = getattr(feature, item.name)
        if item.name == "feature":
            node["feature"] = _item_json(value, depth)
        elif item.name == "_type":
            node["_type"] = name
        elif item.name == "shape":
            node["shape"] = [dim if dim is None else int(dim) for dim in value]
        elif value != item.default:
            node[item.name] = list(value) if isinstance(value, tuple) else value
    node["_type"] = name
    return node


def _space_json(space: Any) -> Json:
    """A Gymnasium space of fixed shape as an array feature."""
    _, name = _class_of(space)
    if name == "Discrete":
        return value_json("int64")
    if name == "MultiDiscrete":
        return shaped_json("int64", tuple(space.shape))
    if name == "MultiBinary":
        return shaped_json("int8", tuple(space.shape))
    if name == "Box":
        return shaped_json(value_of_dtype(space.dtype), tuple(space.shape))
    if name == "Text":
        return value_json("string")
    raise ValueError(
        f"the Gymnasium space {type(space).__name__}; "
        "expected Box, Dict, Discrete, MultiBinary, MultiDiscrete or Text. "
        + (
            f"Declare a list of varying length, such as {_ragged_text(space)!r}"
            if name == "Sequence"
            else "Declare its parts as fields, or as a dict (a struct)"
        )
    )


def _ragged_text(sequence: Any) -> str:
    """A declaration for the items of a Gymnasium Sequence; an example if they cannot be stored."""
    try:
        dtype, (_, *shape) = leaf_of(list_json(_space_json(sequence.feature_space)))
    except (AttributeError, ValueError):
        return "float32[]"
    return f"{dtype}[{','.join(map(str, ('None', *shape)))}]" if shape else f"{dtype}[]"
