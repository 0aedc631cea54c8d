"""Features as Arrow formats, the form in which the C++ side gets them: it reads no JSON.

Format strings are those of https://arrow.apache.org/docs/format/CDataInterface.html.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from stream_store.features import FieldSpec
from stream_store.features.dtypes import DTYPES, parse_value, precision_and_scale, time_zone
from stream_store.features.nodes import RAGGED, Json

#: A node of an Arrow schema: (format, name, encoded metadata, flags, children).
ArrowType = tuple[str, str, bytes, int, list["ArrowType"]]

#: (type, names of a ClassLabel or -1)
ArrowField = tuple[ArrowType, int]

NULLABLE = 2

#: Formats of the dtype names of `datasets.Value` that have no parameters.
FORMATS = {info.value: info.arrow_format for info in DTYPES.values() if info.value} | {
    "large_string": "U",
    "string_view": "vu",
    "large_binary": "Z",
    "binary_view": "vz",
}


def _value_format(dtype: str) -> str:
    """Format of a dtype name of `datasets.Value` that `parse_value` accepts."""
    if known := FORMATS.get(dtype):
        return known
    if digits := precision_and_scale(dtype):
        width = ",256" if dtype.startswith("decimal256") else ""
        return f"d:{digits[0]},{digits[1]}{width}"
    name, shape = parse_value(dtype)
    parameter = str(shape[0]) if shape else time_zone(dtype) or ""
    return DTYPES[name].arrow_format + parameter


def feature_levels(node: Json) -> tuple[str, ...]:
    """Formats of a feature other than a struct, from the outside in."""
    kind = node["_type"]
    if kind == "Value":
        return (_value_format(node["dtype"]),)
    if kind == "ClassLabel":
        return ("l",)
    if kind == "LargeList":
        return ("+L", *feature_levels(node["feature"]))
    if kind == "List":
        length = node.get("length", RAGGED)
        return ("+l" if length == RAGGED else f"+w:{length}", *feature_levels(node["feature"]))
    return (*("+l" for _ in node["shape"]), _value_format(node["dtype"]))  # Array2D to Array5D


@lru_cache(maxsize=4096)
def _field(feature_json: str) -> ArrowField:
    node = json.loads(feature_json)
    inner = node
    while "feature" in inner:
        inner = inner["feature"]
    classes = len(inner["names"]) if inner["_type"] == "ClassLabel" else -1
    return _chain(feature_levels(node)), classes


def _chain(levels: Sequence[str], name: str = "") -> ArrowType:
    """The type of formats from the outside in."""
    inner = [_chain(levels[1:], "item")] if len(levels) > 1 else []
    return levels[0], name, b"", NULLABLE, inner


def arrow_fields(specs: Sequence[FieldSpec]) -> list[ArrowField]:
    """The Arrow formats of each field, by type id. Hidden markers are null columns."""
    return [(_chain(["n"]), -1) if spec.hidden else _field(spec.json) for spec in specs]


def huggingface_metadata(features: Json) -> str:
    """The value of the schema's key "huggingface", from which `datasets` takes its features."""
    return json.dumps({"info": {"features": features}}) if features else ""
