"""Foreign Arrow schemas as features, for imports into a store without declared fields.

A schema that `datasets` wrote has its features as metadata. As in `datasets`, they are used for the
columns whose Arrow type is the one that the feature implies; all other features follow from the
Arrow type.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from stream_store import _core
from stream_store.features import FieldSpec, FromJson, parse_fields
from stream_store.features.nodes import Json, list_json, value_json

from .formats import FORMATS, feature_levels


class ArrowNode(NamedTuple):
    """One field of a foreign schema."""

    format: str
    name: str
    metadata: Mapping[bytes, bytes] | None
    children: list[ArrowNode]
    dictionary: ArrowNode | None


def describe(stream: object) -> ArrowNode:
    """The schema of a capsule "arrow_array_stream". The stream can still be imported."""
    return _node(_core.describe_arrow_stream(stream))


def _node(raw: tuple[Any, ...]) -> ArrowNode:
    form, name, metadata, children, dictionary = raw
    return ArrowNode(
        form,
        name,
        metadata,
        [_node(child) for child in children],
        None if dictionary is None else _node(dictionary),
    )


def infer_fields(
    schema: ArrowNode,
    leave_out: Collection[str] = (),
    *,
    nested: Collection[tuple[str, ...]] = (),
    packed: Collection[tuple[str, ...]] = (),
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
        ValueError: some columns cannot be stored; the message names them all.
    """
    declared = _features_of(schema)
    names = [child.name for child in schema.children if child.name not in leave_out]
    if len(set(names)) != len(names):
        raise ValueError(f"the columns have a duplicate name: {', '.join(names)}")
    features: dict[str, Any] = {}
    for column in schema.children:
        if column.name in leave_out:
            continue
        node = declared.get(column.name)
        features[column.name] = (
            FromJson(node) if node is not None and _implies(node, column) else _feature(column)
        )
    return parse_fields(features, nested=nested, packed=packed)


def _features_of(schema: ArrowNode) -> Json:
    """The features that `datasets` wrote into the metadata, outer name -> JSON."""
    try:
        metadata = json.loads((schema.metadata or {})[b"huggingface"])
        features = metadata["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _implies(node: Any, column: ArrowNode) -> bool:
    """Whether a feature, given as JSON, is a leaf with the Arrow type of this column."""
    try:
        if not isinstance(node["_type"], str):
            return False
        levels = list(feature_levels(node))
    except (KeyError, TypeError, ValueError, RecursionError):
        return False
    at: ArrowNode | None = column
    for level in levels:
        if at is None or at.dictionary is not None or at.format != level:
            return False
        at = at.children[0] if at.children else None
    return at is None


def _feature(column: ArrowNode) -> Any:
    """The feature that follows from a column's type: FromJson, or a dict of them for a struct."""
    if column.dictionary is not None:
        return _feature(column.dictionary)
    if column.format == "+s":
        return {child.name: _feature(child) for child in column.children}
    return FromJson(_leaf(column))


def _leaf(column: ArrowNode) -> Json:
    form = column.format
    if form in ("+l", "+vl", "+L", "+vL") or form.startswith("+w:"):
        return _list(column)
    name = _VALUES.get(form) or _parameter_value(form)
    return value_json(name) if name else {"_type": f"the Arrow type {_shown(form)}"}


def _list(column: ArrowNode) -> Json:
    item = column.children[0]
    if item.format == "+s":
        return {"_type": "a list of structs"}
    node = _leaf(item)
    if column.format.startswith("+w:"):
        return list_json(node, int(column.format[3:]))
    if column.format in ("+L", "+vL"):
        return {"feature": node, "_type": "LargeList"}
    return list_json(node)


_VALUES = {form: name for name, form in FORMATS.items()}
_SHOWN = {"+m": "map", "+r": "run_end_encoded", "tiM": "month_interval", "tiD": "day_time_interval"}


def _shown(form: str) -> str:
    return _SHOWN.get(form) or ("union" if form.startswith("+u") else repr(form))


def _parameter_value(form: str) -> str | None:
    """The dtype name of a format that has parameters."""
    head, _, rest = form.partition(":")
    if head == "w":
        return f"fixed_size_binary[{rest}]"
    if head == "d":
        precision, scale, *width = rest.split(",")
        return f"decimal{width[0] if width else 128}({precision}, {scale})"
    if rest and (zoneless := _VALUES.get(f"{head}:")):  # "tsu:UTC" -> "timestamp[us]"
        return f"{zoneless[:-1]}, tz={rest}]"
    return None
