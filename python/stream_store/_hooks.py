"""Conversions that the C++ side leaves to Python: values that its fast paths do not handle.

python/convert looks these functions up by name. The first argument is always the store; no function
here writes to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from . import values as _values
from ._fields import declared_fields
from .features import FieldSpec
from .features.nodes import innermost
from .values import media as _media
from .values.nested import entries as nested_entries
from .values.nested import items as nested_items
from .values.nested import leaf as nested_leaf
from .values.nested import mapping as nested_mapping
from .values.nested import require_known as nested_keys

__all__ = ["nested_entries", "nested_items", "nested_keys", "nested_leaf", "nested_mapping"]

#: Arrow types whose arrays NumPy reads unchanged if they have no nulls.
_PLAIN_ARROW = frozenset(
    ["float", "double", "halffloat"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


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


def column(core: _core.Store, type_id: int, given: Any) -> NDArray[Any] | list[Any]:
    """A column that is neither a NumPy array nor a list: Arrow, a tensor, any iterable."""
    if hasattr(given, "to_pylist"):  # Arrow
        plain = given.null_count == 0 and str(given.type) in _PLAIN_ARROW
        return (
            np.asarray(given.to_numpy(zero_copy_only=False)) if plain else list(given.to_pylist())
        )
    if isinstance(given, np.ma.MaskedArray):
        return [None if item is np.ma.masked else item for item in given]
    if isinstance(given, (str, bytes, Mapping)):
        raise _not_a_column(core, type_id, given)
    if isinstance(given, Sequence):
        return list(given)
    array = np.array(given, copy=None)
    if array.ndim == 0:
        raise _not_a_column(core, type_id, given)
    return array


def _not_a_column(core: _core.Store, type_id: int, given: Any) -> TypeError:
    spec = _spec(core, type_id)
    return TypeError(
        f"field {spec.name!r} ({spec.text}): a column must be an array or a list, one value a "
        f"row, not {type(given).__name__}"
    )


def array_column(core: _core.Store, type_id: int, given: NDArray[Any]) -> NDArray[Any] | list[Any]:
    """A NumPy column that C++ cannot read directly: dates, objects, class names."""
    if given.ndim == 0:
        raise _not_a_column(core, type_id, given)
    spec = _spec(core, type_id)
    if given.dtype.kind in "Mm" and spec.unit is not None:
        return _values.convert_array(spec, given)
    if spec.class_ids is not None and given.dtype.kind in "biu":
        _values.convert_array(spec, given)  # checks the range
        return list(given.tolist())  # ints, which C++ converts
    return list(given)


def spread_append(
    core: _core.Store, steps: Sequence[Any], names: Sequence[Any], values: Sequence[Any]
) -> tuple[list[Any], list[int], list[Any]]:
    """The arguments of append() with structs replaced by their leaves, and names by type ids."""
    tree = declared_fields(core).tree
    result: tuple[list[Any], list[int], list[Any]] = ([], [], [])
    markers: list[int] = []  # of the current step; they come after all its leaves

    def put(step: Any, type_id: int, item: Any) -> None:
        for part, value in zip(result, (step, type_id, item), strict=True):
            part.append(value)

    def finish(step: Any) -> None:
        for type_id in sorted(markers):
            put(step, type_id, True)
        markers.clear()

    last = None
    for step, name, value in zip(steps, names, values, strict=True):
        if markers and step != last:
            finish(last)
        last = step
        for type_id, item in tree.spread(name, value):
            if tree.is_marker(type_id):
                markers.append(type_id)
            else:
                put(step, type_id, item)
    finish(last)
    return result


def spread_step(core: _core.Store, values: Mapping[Any, Any]) -> dict[int, Any]:
    """The argument of append_step() by type id."""
    tree = declared_fields(core).tree
    result: dict[int, Any] = {}
    for name, value in values.items():
        for type_id, item in tree.spread(name, value):
            if type_id in result:
                raise ValueError(
                    f"duplicate field {tree.names[type_id]!r}, also given by {name!r}: expected "
                    "each field at most once, in any order"
                )
            result[type_id] = item
    return result


def spread_columns(core: _core.Store, columns: Mapping[Any, Any]) -> dict[int, Any]:
    """The argument of extend() by type id."""
    tree = declared_fields(core).tree
    pairs = tree.spread_columns(columns)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(
            "duplicate field: a struct and one of its leaves are both given; expected each field "
            "at most once, in any order"
        )
    return result
