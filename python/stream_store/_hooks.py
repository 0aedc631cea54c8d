"""Conversions that the C++ side leaves to Python: values that its fast paths do not handle.

python/convert looks these functions up by name. The first argument is always the store; no function
here writes to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _batches, _columns, _core, _spread
from . import values as _values
from ._fields import declared_fields
from .features import FieldSpec
from .features import names as _names
from .features.nodes import innermost
from .values import media as _media
from .values.arrays import short as short_text
from .values.arrays import user_code
from .values.nested import entries as nested_entries
from .values.nested import items as nested_items
from .values.nested import leaf as nested_leaf
from .values.nested import mapping as nested_mapping
from .values.nested import require_known as nested_keys

__all__ = [
    "nested_entries",
    "nested_items",
    "nested_keys",
    "nested_leaf",
    "nested_mapping",
    "short_text",
]


def batch_key(name: str) -> str:
    """The key of a field in batches."""
    return _names.batch_key(name)


def class_count(feature_json: str) -> int:
    """Number of names of a ClassLabel; -1 for any other feature."""
    node = innermost(json.loads(feature_json))
    return len(node["names"]) if node["_type"] == "ClassLabel" else -1


def feature_encodes(feature_json: str) -> bool:
    """Whether values of a feature must be encoded before they are stored."""
    return _media.encodes(feature_json)


def encode_feature(core: _core.Store, type_id: int, value: Any) -> Any:
    """A value of a nested field in the form in which its feature is stored."""
    spec = _spec(core, type_id)
    place = f"field {spec.name!r} ({spec.text}): {spec.name}"
    return _media.encode(spec.feature_json, value, place)


def _spec(core: _core.Store, type_id: int) -> FieldSpec:
    return declared_fields(core).specs[type_id]


def encode(core: _core.Store, type_id: int, value: Any) -> NDArray[Any] | bytes:
    """One value as an array of numbers or words, or as bytes."""
    return _values.encode(_spec(core, type_id), value)


def decode(core: _core.Store, type_id: int, words: NDArray[np.int64]) -> Any:
    """The value that row() returns for the words of one field-write."""
    return _values.decode(_spec(core, type_id), words)


def decode_decimals(core: _core.Store, type_id: int, words: NDArray[np.int64]) -> NDArray[Any]:
    """Words of decimals as an array of Decimal; the last axis holds the words of one decimal."""
    spec = _spec(core, type_id)
    flat = words.reshape(-1, words.shape[-1])
    result = np.empty(len(flat), dtype=object)
    item = replace(spec, shape=(), feature_json=spec.json)
    for place, one in enumerate(flat):
        result[place] = _values.decode(item, one)
    return result.reshape(words.shape[:-1])


def column(core: _core.Store, type_id: int, given: Any) -> Any:
    """A column that is neither a NumPy array nor a list: an array, a list or a tuple of parts."""
    return _columns.as_column(_spec(core, type_id), given)


def array_column(core: _core.Store, type_id: int, given: NDArray[Any]) -> Any:
    """A NumPy column that C++ cannot read directly, as a list or a tuple of parts."""
    return _columns.array_column(_spec(core, type_id), given)


def spread_append(
    core: _core.Store, steps: Sequence[Any], names: Sequence[Any], values: Sequence[Any]
) -> tuple[list[Any], list[int], list[Any]]:
    """The arguments of append() with structs replaced by their leaves, and names by type ids."""
    tree = declared_fields(core).tree
    result: tuple[list[Any], list[int], list[Any]] = ([], [], [])
    markers: list[int] = []  # of the current step; they come before leaves with higher type ids

    def put(step: Any, type_id: int, item: Any) -> None:
        for part, value in zip(result, (step, type_id, item), strict=True):
            part.append(value)

    def finish(step: Any, before: float = math.inf) -> None:
        markers.sort()
        while markers and markers[0] < before:
            put(step, markers.pop(0), True)

    last = None
    for step, name, value in zip(steps, names, values, strict=True):
        if markers and step != last:
            finish(last)
        last = step
        for type_id, item in tree.spread(name, value):
            if tree.is_marker(type_id):
                markers.append(type_id)
            else:
                finish(step, before=type_id)
                put(step, type_id, item)
    finish(last)
    return result


def spread_step(core: _core.Store, values: Mapping[Any, Any]) -> dict[int, Any]:
    """The argument of append_step() by type id."""
    tree = declared_fields(core).tree
    result: dict[int, Any] = {}
    for name, value in user_code(lambda: list(values.items()), values, "append_step"):
        for type_id, item in tree.spread(name, value):
            if type_id in result:
                raise ValueError(
                    f"duplicate field {tree.names[type_id]!r}, also given by {name!r}: expected "
                    "each field at most once, in any order"
                )
            result[type_id] = item
    return result


def spread_columns(core: _core.Store, columns: Any) -> dict[int, Any]:
    """The argument of extend() by type id."""
    declared = declared_fields(core)
    return _spread.spread_columns(declared.tree, declared.specs, columns)


def batch_plan(core: _core.Store, names: list[Any] | None) -> _batches.BatchPlan:
    """The plan of a read of rows that was asked for structs."""
    declared = declared_fields(core)
    return _batches.find_plan(declared.tree, declared.specs, names)
