"""One feature, in any form that a declaration may have, as a tree of leaves and structs.

Objects of `datasets`, Gymnasium and pyarrow are recognised by the name and module of their class,
or by a method, so none of these packages is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .arrow_types import depth_of
from .dtypes import DTYPES
from .feature_types import Typed, is_flat, split_struct, stored_json, struct_json
from .forms import Nested, Packed, class_of, raw_struct, typed_feature
from .nodes import MAX_DEPTH, MEDIA, check_node, flat_of
from .notation import type_text
from .spaces import is_image


@dataclass(frozen=True, slots=True)
class Leaf:
    """A feature that is one field."""

    feature_json: str
    dtype: str
    shape: tuple[int, ...] = ()
    packed: bool = False
    nested: str = ""


@dataclass(frozen=True, slots=True)
class Struct:
    """A feature whose leaves are fields of their own.

    feature_json  its own JSON without its children: ``{}`` for a dict.
    children      features by name, not parsed yet.
    """

    feature_json: str
    children: Mapping[Any, Any]


def declare(feature: Any, *, nested: bool = False, packed: bool = False) -> Leaf | Struct:
    """Recognise one feature.

    Args:
        feature: the feature, in any form.
        nested: store it nested, even if it is flat.
        packed: store it packed.

    Raises:
        ValueError: `feature` cannot be stored, or is not a feature; the message suggests another.
    """
    if feature is None:
        feature = "int64[]"
    while isinstance(feature, (Packed, Nested)):
        packed = packed or isinstance(feature, Packed)
        nested = nested or isinstance(feature, Nested)
        feature = feature.feature
        if nested and isinstance(feature, str) and not feature.startswith(("nested ", "packed ")):
            feature = f"nested {feature}"
    if isinstance(feature, str):
        return _declare_string(feature, nested, packed)
    if not nested and (children := raw_struct(feature)):
        _refuse_packed_struct(packed)
        return Struct("{}", children)
    return _declare_typed(feature, nested, packed)


@lru_cache(maxsize=1024)
def _declare_string(feature: str, nested: bool, packed: bool) -> Leaf | Struct:
    """As `declare`; many fields of a store may have the same string."""
    return _declare_typed(feature, nested, packed)


def _declare_typed(feature: Any, nested: bool, packed: bool) -> Leaf | Struct:
    typed, word = typed_feature(feature)
    nested = nested or word == "nested"
    packed = packed or word == "packed" or (not nested and _is_image(feature))
    if not nested and typed.tree.children and (children := _split(typed)):
        _refuse_packed_struct(packed and typed.node.get("_type") not in MEDIA)
        return Struct(struct_json(typed), children)
    return _leaf(typed, nested, packed)


def _is_image(feature: Any) -> bool:
    library, name = class_of(feature)
    return library == "gymnasium" and is_image(name, feature)


def _refuse_packed_struct(packed: bool) -> None:
    if packed:
        raise ValueError("a struct cannot be packed; pack its leaves instead")


def _split(typed: Typed) -> dict[str, Any] | None:
    """The fields of a struct; those of media features are packed."""
    fields = split_struct(*typed)
    if fields is None:
        return None
    media = typed.node.get("_type") in MEDIA
    children = {name: Typed(node, tree.named("")) for name, node, tree in fields}
    return {name: Packed(child) for name, child in children.items()} if media else {**children}


def _leaf(typed: Typed, nested: bool, packed: bool) -> Leaf:
    node, tree = typed
    check_node(node)
    if depth_of(tree) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    text = stored_json(typed)
    flat = None if nested else flat_of(node)
    if flat is None or not is_flat(node, tree):
        if packed:
            raise ValueError(
                f"{type_text(tree)} cannot be packed: nested fields already share words"
            )
        return Leaf(text, "nested", nested=type_text(tree))
    if packed:
        _check_packed(*flat)
    return Leaf(text, *flat, packed=packed)


def _check_packed(dtype: str, shape: tuple[int, ...]) -> None:
    info = DTYPES[dtype]
    if dtype in ("string", "binary"):
        return
    if info.kind not in ("bool", "int", "uint", "float") or info.item_bytes > 4:
        raise ValueError(
            f"items of type {dtype} cannot be packed; "
            "expected strings, binaries or numbers of 1, 2 or 4 bytes such as uint8 or float32"
        )
    if not shape:
        raise ValueError(
            "a packed number needs a fixed shape, as in 'packed uint8[84,84,4]', "
            "or a varying one, as in 'packed uint8[]'"
        )
