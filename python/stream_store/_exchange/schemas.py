"""Foreign Arrow schemas as features, for imports into a store without declared fields.

A schema that `datasets` wrote has its features as metadata. As in `datasets`, they are used for the
columns whose Arrow type is the one that the feature implies; all other features follow from the
Arrow type. The parts of the type that a feature does not have are kept beside it: extension types,
metadata, ``not null``, maps and the names of list items.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from stream_store import _core
from stream_store.features import FieldSpec, parse_fields
from stream_store.features.feature_types import Typed, implies
from stream_store.features.foreign import ArrowNode, node_of
from stream_store.features.nodes import Json, modern
from stream_store.features.parse import Path, arrow_feature


def describe(stream: object) -> ArrowNode:
    """The schema of a capsule "arrow_array_stream". The stream can still be imported."""
    return node_of(_core.describe_arrow_stream(stream))


def infer_fields(
    schema: ArrowNode,
    leave_out: Collection[str] = (),
    *,
    nested: Collection[Path] = (),
    packed: Collection[Path] = (),
) -> list[FieldSpec]:
    """Fields for all columns of a schema, except those named in `leave_out`.

    Args:
        schema: the schema, from `describe`.
        leave_out: names of columns that are no fields.
        nested: paths of columns, and of fields in structs, that are stored nested although their
            type is flat, because their data has nulls inside lists: ``("tokens",)``,
            ``("obs", "pos")``. `parse_fields` has the same argument.
        packed: paths of strings and binaries to store packed, in the same form.

    Raises:
        ValueError: some columns cannot be stored, because they are unions or have an empty or
            duplicate name; the message names them all.
    """
    declared = _features_of(schema)
    names = [child.name for child in schema.children if child.name not in leave_out]
    if len(set(names)) != len(names):
        raise ValueError(f"the columns have a duplicate name: {', '.join(names)}")
    features: dict[str, Any] = {}
    for column in schema.children:
        if column.name in leave_out:
            continue
        feature = arrow_feature(column)
        node = declared.get(column.name)
        if isinstance(feature, Typed) and node is not None:
            feature = _declared(node, feature)
        features[column.name] = feature
    return parse_fields(features, nested=nested, packed=packed, any_names=True)


def _features_of(schema: ArrowNode) -> Json:
    """The features that `datasets` wrote into the metadata, outer name -> JSON."""
    try:
        metadata = json.loads((schema.metadata or {})[b"huggingface"])
        features = metadata["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _declared(node: Any, column: Typed) -> Typed:
    """The column with a feature from the metadata, if that implies the type of the column."""
    try:
        node = modern(node)
    except (KeyError, TypeError, ValueError, RecursionError):
        return column
    return Typed(node, column.tree) if implies(node, column.tree) else column
