"""Fields as Arrow types, the form in which the C++ side gets them: it reads no JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from stream_store.features import FieldSpec
from stream_store.features.arrow_types import ArrowType, split_tree
from stream_store.features.feature_types import tree_of
from stream_store.features.nodes import Json, innermost

#: (type, number of names of a flat ClassLabel or -1)
ArrowField = tuple[ArrowType, int]


@lru_cache(maxsize=4096)
def _type(feature_json: str) -> ArrowType:
    node, tree = split_tree(json.loads(feature_json))
    return tree_of(node) if tree is None else tree


@lru_cache(maxsize=4096)
def _flat_field(feature_json: str) -> ArrowField:
    node = innermost(split_tree(json.loads(feature_json))[0])
    classes = len(node["names"]) if node.get("_type") == "ClassLabel" else -1
    return _type(feature_json), classes


@lru_cache(maxsize=4096)
def _marker(feature_json: str) -> ArrowType:
    _, own = split_tree(json.loads(feature_json or "{}"))
    return own or ArrowType("+s")


def arrow_fields(specs: Sequence[FieldSpec]) -> list[ArrowField]:
    """The Arrow type of each field, by type id.

    A hidden marker has that of its struct, without children: its flags and metadata.
    """
    return [
        (_marker(spec.feature_json), -1)
        if spec.hidden
        else ((_type(spec.json), -1) if spec.nested else _flat_field(spec.json))
        for spec in specs
    ]


def huggingface_metadata(features: Json) -> str:
    """The value of the schema's key "huggingface", from which `datasets` takes its features."""
    return json.dumps({"info": {"features": features}}) if features else ""
