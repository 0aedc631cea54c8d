"""Features of `datasets`, as JSON, and the Arrow types that they stand for, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .arrow_types import EXTENSION_METADATA as PARAMETERS
from .arrow_types import ArrowType, decode_metadata, extension_metadata, with_tree
from .dtypes import is_zone
from .nodes import (
    ARRAYS,
    MEDIA,
    RAGGED,
    Json,
    check_node,
    flat_of,
    list_json,
    struct_children,
    value_json,
)
from .value_formats import EXTENSIONS, format_of_value, value_of_format

JSON_EXTENSION = "arrow.json"


@dataclass(frozen=True, slots=True)
class FromJson:
    """A feature given as `datasets` JSON.

    Args:
        node: the JSON, such as ``{"dtype": "float32", "_type": "Value"}``.

    Examples:
        >>> from stream_store.features import FromJson, parse_fields
        >>> parse_fields({"reward": FromJson({"dtype": "float32", "_type": "Value"})})[0].text
        'float32'
    """

    node: Json


class Typed(NamedTuple):
    """A feature as JSON, and the Arrow type of its field."""

    node: Json
    tree: ArrowType


_ARRAY_EXTENSION = "datasets.features.features."
_MEDIA_TYPE = (ArrowType("z", "bytes"), ArrowType("u", "path"))
_TEXTS = ArrowType("+l", children=(ArrowType("u", "item"),))


def tree_of(node: Json) -> ArrowType:
    """The Arrow type that a feature implies; that of an Array2D is a list of lists.

    Raises:
        ValueError: the feature is not known, or its parameters are not valid.
    """
    kind = node.get("_type")
    if not isinstance(kind, str):
        children = tuple(tree_of(child).named(name) for name, child in node.items())
        return ArrowType("+s", children=children)
    if maker := _MAKERS.get(kind):
        return maker(node)
    raise ValueError(f"{kind} is not a feature that can be stored")


def _value(node: Json) -> ArrowType:
    dtype = node["dtype"]
    extension = EXTENSIONS.get(dtype)
    metadata = extension_metadata(extension) if extension else b""
    return ArrowType(format_of_value(dtype), "", metadata)


def _list(node: Json) -> ArrowType:
    length = node.get("length", RAGGED)
    form = "+l" if length == RAGGED else f"+w:{length}"
    return ArrowType(form, children=(tree_of(node["feature"]).named("item"),))


def _array(node: Json) -> ArrowType:
    tree = ArrowType(format_of_value(node["dtype"]))
    for _ in node["shape"]:
        tree = ArrowType("+l", children=(tree.named("item"),))
    return tree


def _translation(node: Json) -> ArrowType:
    names = sorted(node["languages"])
    return ArrowType("+s", children=tuple(ArrowType("u", name) for name in names))


def _variable_languages(_: Json) -> ArrowType:
    return ArrowType("+s", children=(_TEXTS.named("language"), _TEXTS.named("translation")))


_MAKERS: dict[str, Callable[[Json], ArrowType]] = {
    "Value": _value,
    "ClassLabel": lambda _: ArrowType("l"),
    "List": _list,
    "LargeList": lambda node: _list(node)._replace(format="+L"),
    "Translation": _translation,
    "TranslationVariableLanguages": _variable_languages,
    "Json": lambda _: ArrowType("u", "", extension_metadata(JSON_EXTENSION)),
    **dict.fromkeys(ARRAYS, _array),
    **dict.fromkeys(MEDIA, lambda _: ArrowType("+s", children=_MEDIA_TYPE)),
}


def feature_of(tree: ArrowType) -> Json:
    """The feature that `datasets` has for an Arrow type, or that comes closest to it.

    A map is a list of structs of a key and a value, as in the Arrow format; a list view is a list,
    and a decimal of 32 or 64 bits one of 128. The type itself is kept beside the feature.

    Raises:
        ValueError: the type is a union or is not known, or a struct has a name twice.
    """
    if tree.metadata and (node := _extension_feature(tree)) is not None:
        return node
    form = tree.format
    if form == "+s":
        node = {child.name: feature_of(child) for child in tree.children}
        if len(node) != len(tree.children):
            raise ValueError("a struct has two fields of the same name; rename one of them")
        return node
    if form in ("+l", "+vl", "+m"):
        return list_json(feature_of(tree.children[0]))
    if form in ("+L", "+vL"):
        return {"feature": feature_of(tree.children[0]), "_type": "LargeList"}
    if form.startswith("+w:"):
        return list_json(feature_of(tree.children[0]), int(form[3:]))
    return value_json(_value_name(form))


def _extension_feature(tree: ArrowType) -> Json | None:
    """The feature of an extension type; None if that of its storage type is meant."""
    name = tree.extension
    if name == JSON_EXTENSION and tree.format in ("u", "U", "vu"):
        return {"_type": "Json"}
    for dtype, extension in EXTENSIONS.items():
        if name == extension and format_of_value(dtype) == tree.format:
            return value_json(dtype)
    if name.startswith(_ARRAY_EXTENSION) and name.endswith("DExtensionType"):
        return _array_feature(tree, name[len(_ARRAY_EXTENSION) : -len("ExtensionType")])
    return None


def _array_feature(tree: ArrowType, kind: str) -> Json | None:
    """The feature of an extension type of `datasets`, if it matches the storage type."""
    try:
        shape, dtype = json.loads(decode_metadata(tree.metadata).get(PARAMETERS, b""))
        node = {"shape": list(shape), "dtype": dtype, "_type": kind}
        return node if same_storage(tree_of(node), tree) else None
    except (KeyError, TypeError, ValueError):
        return None


def _value_name(form: str) -> str:
    name = value_of_format(form)
    if name is None:
        shown = "a union" if form.startswith("+u") else f"the Arrow type {form!r}"
        raise ValueError(f"{shown} cannot be stored; split it into a column for each of its types")
    if name.startswith(("decimal32(", "decimal64(")):
        return f"decimal128{name[len('decimal32') :]}"
    if form.startswith("ts") and form[4:] and not is_zone(form[4:]):
        return f"{name.partition(',')[0]}, tz=UTC]"  # the values are in UTC in any zone
    return {"tiM": "int32", "tiD": "month_day_nano_interval"}.get(form, name)


def same_storage(one: ArrowType, other: ArrowType) -> bool:
    """Whether two types have equal formats and names of struct fields."""
    if one.format != other.format or len(one.children) != len(other.children):
        return False
    names = one.format != "+s" or all(
        a.name == b.name for a, b in zip(one.children, other.children, strict=True)
    )
    return names and all(map(same_storage, one.children, other.children))


def implies(node: Json, tree: ArrowType) -> bool:
    """Whether a column of this type may have this feature, which need not be valid.

    As in `datasets`, the types must be equal, except that a column may also be not nullable and
    have metadata.
    """
    try:
        check_node(node)
        flat_of(node)
        implied = tree_of(node)
        json.dumps(node)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False
    return _implies(implied, tree)


def _implies(implied: ArrowType, tree: ArrowType) -> bool:
    if not same_storage(implied, tree):
        return False
    pairs = [(implied, tree)]
    while pairs:
        one, other = pairs.pop()
        array = other.extension.startswith(_ARRAY_EXTENSION)
        if one.extension != other.extension and not array:
            return False
        pairs += zip(one.children, other.children, strict=True)
    return True


def split_struct(node: Json, tree: ArrowType) -> list[tuple[str, Json, ArrowType]] | None:
    """The name, feature and type of the fields of a struct; None for any other feature."""
    if tree.format != "+s":
        return None
    features = struct_children(node)
    return [
        (child.name, features[child.name] if child.name in features else feature_of(child), child)
        for child in tree.children
    ]


def is_flat(node: Json, tree: ArrowType) -> bool:
    """Whether a field of this type holds the items of the feature: no map, no decimal32.

    REQUIRES: the feature is flat.
    """
    implied = tree_of(node)
    while _same_items(implied.format, tree.format) and len(implied.children) == len(tree.children):
        if not tree.children:
            return True
        implied, tree = implied.children[0], tree.children[0]
    return False


def _same_items(one: str, other: str) -> bool:
    zoned = one.startswith("ts") and one[:4] == other[:4]
    return one == other or zoned or any(one in forms and other in forms for forms in _FLAT_ALIKE)


#: Formats with the same flat values.
_FLAT_ALIKE = (("u", "U", "vu"), ("+l", "+vl"), ("+L", "+vL"))


def stored_json(feature: Typed) -> str:
    """The JSON of a field: the feature, and its Arrow type if the feature implies another one."""
    node, tree = feature
    try:
        implied = tree_of(node)
    except ValueError:  # a feature that a user has registered
        return json.dumps(with_tree(node, tree))
    return json.dumps(node if implied == tree.named("") else with_tree(node, tree))


def struct_json(feature: Typed) -> str:
    """The JSON of the marker of a struct: its own feature, such as Translation, or ``{}``."""
    node = feature.node if isinstance(feature.node.get("_type"), str) else {}
    own = feature.tree._replace(name="", children=())
    return json.dumps(node if own == ArrowType("+s") else with_tree(node, own))
