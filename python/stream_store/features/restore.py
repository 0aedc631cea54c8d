"""The declared features of a list of FieldSpec."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from .arrow_types import split_tree
from .nodes import Json
from .spec import FieldSpec


def features_json(specs: Iterable[FieldSpec]) -> Json:
    """The declared features in the form of `datasets.Features.to_dict`: outer name -> JSON.

    Arrow types that `datasets` does not have are left out: a map is a list of structs here.

    Args:
        specs: the fields, with the hidden markers of structs.

    Examples:
        >>> from stream_store.features import features_json, parse_fields
        >>> features_json(parse_fields({"reward": "float32"}))
        {'reward': {'dtype': 'float32', '_type': 'Value'}}
    """
    specs = list(specs)
    owned = {spec.path: _plain(spec.feature_json or "{}") for spec in specs if spec.hidden}
    root: Json = {}
    for spec in specs:
        if spec.hidden:
            continue
        node = root
        for depth in range(1, len(spec.path)):
            node = node.setdefault(spec.path[depth - 1], {})
        node[spec.path[-1]] = _plain(spec.json)
    for path, own in owned.items():
        if own:  # a struct with a feature of its own, such as Translation
            _at(root, path[:-1])[path[-1]] = own
    return root


def _plain(feature_json: str) -> Json:
    """The feature without the Arrow type of its field, which `datasets` does not know."""
    return split_tree(json.loads(feature_json))[0]


def _at(root: Json, path: tuple[str, ...]) -> Json:
    for part in path:
        root = root[part]
    return root


def build_features(specs: Iterable[FieldSpec]) -> dict[str, Any]:
    """The declared features as `datasets` objects; a struct has its outer name.

    Args:
        specs: the fields, with the hidden markers of structs.

    Returns:
        A `datasets.Features`, equal to the declaration; a packed field has its plain feature.

    Raises:
        ImportError: `datasets` is not installed.

    Examples:
        >>> from stream_store.features import build_features, parse_fields
        >>> build_features(parse_fields({"reward": "float32"}))
        {'reward': Value('float32')}
    """
    try:
        features = importlib.import_module("datasets").Features
    except ImportError as error:
        raise ImportError(
            "features are objects of the `datasets` package, which is not installed: "
            "pip install 'stream-store[datasets]'"
        ) from error
    built: dict[str, Any] = features.from_dict(features_json(specs))
    return built


def same_features(a: Sequence[FieldSpec], b: Sequence[FieldSpec]) -> bool:
    """Whether two declarations have the same names, order and features.

    The Arrow type of a field that was declared from an Arrow schema is compared only if both sides
    have one. So a store that was filled from Arrow can be opened with its `features`, which do not
    say ``not null`` or ``map``. A feature does not say either that its texts are packed, or that it
    is nested because its lists have nulls inside: a store that chose this for its data can be
    opened with the plain feature.

    Args:
        a: the fields that a store has.
        b: the fields that are given.

    Examples:
        >>> from stream_store.features import parse_fields, same_features
        >>> same_features(parse_fields({"a": "float32"}), parse_fields({"a": np.float32}))
        True
    """
    a, b = _markers_last(a), _markers_last(b)
    return len(a) == len(b) and all(_same(one, other) for one, other in zip(a, b, strict=True))


def _markers_last(specs: Sequence[FieldSpec]) -> list[FieldSpec]:
    """The fields as a single declaration has them; fields that were added come after markers."""
    return sorted(specs, key=lambda spec: spec.hidden)


def _same(a: FieldSpec, b: FieldSpec) -> bool:
    if (a.path, a.hidden) != (b.path, b.hidden):
        return False
    if a.feature_json == b.feature_json:
        return _same_storage(a, b)
    (node, tree), (other, other_tree) = (split_tree(json.loads(spec.json)) for spec in (a, b))
    if node != other:
        return False
    if (tree is None) != (other_tree is None):
        return a.packed == b.packed
    return tree == other_tree and (a.dtype, a.shape, a.packed) == (b.dtype, b.shape, b.packed)


def _same_storage(a: FieldSpec, b: FieldSpec) -> bool:
    if (a.dtype, a.shape, a.packed, a.nested) == (b.dtype, b.shape, b.packed, b.nested):
        return True
    is_plain = not b.packed and not b.nested
    return is_plain and (bool(a.nested) or (a.packed and a.is_bytes))


def difference(a: Sequence[FieldSpec], b: Sequence[FieldSpec]) -> str | None:
    """The first difference between two declarations, as text for a message, or None.

    Args:
        a: the fields that were declared.
        b: the fields that were given now.

    Examples:
        >>> from stream_store.features import difference, parse_fields
        >>> difference(parse_fields({"a": "float32"}), parse_fields({"a": "float64"}))
        "field 'a': float32, not float64"
    """
    a, b = _markers_last(a), _markers_last(b)
    for one, other in zip(a, b, strict=False):
        if not _same(one, other):
            if one.path != other.path:
                return f"field {one.name!r}, not {other.name!r} (fields are compared in order)"
            here, there = one.text, other.text
            return (
                f"field {one.name!r}: {here}, not {there}"
                if here != there
                else f"field {one.name!r}: {one.json}, not {other.json}"
            )
    if len(a) != len(b):
        longer = a if len(a) > len(b) else b
        return f"{len(a)} fields, not {len(b)}: {longer[min(len(a), len(b))].name!r} is in one only"
    return None
