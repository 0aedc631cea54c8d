"""Python objects as Arrow arrays of a given type: every value is kept exactly, or refused.

`pyarrow.array` cannot be used for this: it cuts 0.5 to 0 for an integer type, turns 1e300 into inf,
rounds times, and drops the keys of a dict that a struct does not have. Here lists and structs are
converted level by level, each as one array for all rows of a batch; leaves.py converts the scalars.

With `Rule.exact`, for types that were guessed from the first rows, a value must also be of the
guessed kind and must not be rounded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_store.values.arrays import as_array

from .encode import FILE, encoded_image, encoder_of
from .leaves import ANY, Items, Rule, Unfit, leaf_array, raised, reason_of
from .optional import require


def array_of(items: Items, rule: Rule) -> Any:
    """Items as an Arrow array of the rule's type, None as null.

    Raises:
        Unfit: an item is not valid.
    """
    pyarrow = require("pyarrow", "the import of rows")
    encode = encoder_of(rule.feature)
    if encode is not None:
        items = _each(list(items), encode)
    kind, types = rule.kind, pyarrow.types
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _extension(items, rule)
    if types.is_struct(kind):
        return _structs(items, rule)
    if types.is_map(kind):
        return _maps(items, rule)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _lists(items, rule)
    return leaf_array(items, rule)


def _each(items: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    """Convert every item that is not missing; an exception becomes an Unfit."""
    converted = []
    for index, item in enumerate(items):
        try:
            converted.append(None if item is None else convert(item))
        except Unfit:
            raise
        except Exception as error:
            raise Unfit(index, f"a valid value ({type(error).__name__}: {error})", item) from error
    return converted


# --- levels ---


def _extension(items: Items, rule: Rule) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    if isinstance(items, list):
        items = [item.bytes if isinstance(item, uuid.UUID) else item for item in items]
    shape = tuple(getattr(rule.kind, "shape", ()))
    if rule.kind.extension_name == "arrow.fixed_shape_tensor":
        shape = ()
    inner = replace(rule, kind=rule.kind.storage_type, feature=None, shape=shape)
    return pyarrow.ExtensionArray.from_storage(rule.kind, array_of(items, inner))


def _structs(items: Items, rule: Rule) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    names = [part.name for part in rule.kind]
    known = set(names)
    if known == FILE:
        items = [encoded_image(item) for item in items]
    items = [_read_mapping(index, item) for index, item in enumerate(items)]
    for index, item in enumerate(items):
        if item is None:
            continue
        if not isinstance(item, Mapping):
            raise Unfit(index, f"a dict with the keys {', '.join(names)}", item)
        if not known.issuperset(item):
            key = next(key for key in item if key not in known)
            raise Unfit(index, f"one of the keys {', '.join(names)}", key)
    children = []
    for part in rule.kind:
        child = replace(
            rule,
            kind=part.type,
            feature=_child_feature(rule.feature, part.name),
            path=(*rule.path, part.name),
        )
        cells = [None if item is None else item.get(part.name) for item in items]
        try:
            children.append(array_of(cells, child))
        except Unfit as error:
            error.path = f".{part.name}{error.path}"
            raise
    missing = pyarrow.array([item is None for item in items], pyarrow.bool_())
    if not names:
        return _empty_structs(missing, rule.kind)
    return pyarrow.StructArray.from_arrays(children, fields=list(rule.kind), mask=missing)


def _read_mapping(index: int, item: Any) -> Any:
    """A mapping that computes its values as a dict. Its `get` would hide a KeyError of its own."""
    if isinstance(item, dict) or not isinstance(item, Mapping):
        return item
    try:
        return {key: item[key] for key in item}
    except Exception as error:
        raise Unfit(index, f"a mapping that can be read ({raised(error)})", item) from error


def _empty_structs(missing: Any, kind: Any) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    present = _inverted(missing)
    return pyarrow.Array.from_buffers(kind, len(missing), [present.buffers()[1]])


def _inverted(mask: Any) -> Any:
    return require("pyarrow.compute", "the import of rows").invert(mask)


def _child_feature(feature: Any, name: str) -> Any:
    """The feature of a struct's field."""
    return feature.get(name) if isinstance(feature, Mapping) else None


def _item_feature(feature: Any) -> Any:
    """The feature of a list's items."""
    if isinstance(feature, list):
        return feature[0]
    return getattr(feature, "feature", None)


def _maps(items: Items, rule: Rule) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    pairs: list[Any] = []
    ends: list[int | None] = []
    for index, given in enumerate(items):
        item = _read_mapping(index, given)
        ends.append(None if item is None else len(pairs))
        if item is None:
            continue
        try:
            pairs += [(key, value) for key, value in _pairs(item)]
        except (TypeError, ValueError):
            raise Unfit(index, "a dict, or a list of pairs of key and value", item) from None
    starts = pyarrow.array([*ends, len(pairs)], pyarrow.int32())
    plain = replace(rule, feature=None, shape=(), flat=frozenset())
    parts = []
    for place, kind in enumerate((rule.kind.key_type, rule.kind.item_type)):
        cells = [pair[place] for pair in pairs]
        try:
            if place == 0 and None in cells:
                raise Unfit(cells.index(None), "a key", None)
            parts.append(array_of(cells, replace(plain, kind=kind)))
        except Unfit as error:
            raise _outer(error, ends) from None
    return pyarrow.MapArray.from_arrays(starts, *parts, type=rule.kind)


def _pairs(item: Any) -> Any:
    return item.items() if isinstance(item, Mapping) else item


def _outer(error: Unfit, starts: Sequence[int | None]) -> Unfit:
    """The error of an item of a list, as one of the list."""
    known = [(start, index) for index, start in enumerate(starts) if start is not None]
    place = max(index for start, index in known if start <= error.index)
    first = starts[place] or 0
    error.path = f"[{error.index - first}]{error.path}"
    error.index = place
    return error


def _lists(items: Items, rule: Rule) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    types, kind = pyarrow.types, rule.kind
    fixed = kind.list_size if types.is_fixed_size_list(kind) else None
    wanted = rule.shape[0] if rule.shape else fixed
    cells = _cells(items)
    lengths = np.array([0 if cell is None else len(cell) for cell in cells], np.int64)
    missing = np.array([cell is None for cell in cells], bool)
    if wanted is not None and (lengths[~missing] != wanted).any():
        index = int(np.argmax((lengths != wanted) & ~missing))
        raise Unfit(index, f"{wanted} items", cells[index])
    if rule.path in rule.flat:
        _refuse_nulls(cells)
    if fixed is not None and missing.any():
        cells = [[None] * fixed if cell is None else cell for cell in cells]
        lengths[:] = fixed
    ends = np.concatenate([[0], np.cumsum(lengths)])
    inner = replace(
        rule, kind=kind.value_type, feature=_item_feature(rule.feature), shape=rule.shape[1:]
    )
    try:
        values = array_of(_joined(cells), inner)
    except Unfit as error:
        raise _outer(error, ends[:-1].tolist()) from None
    mask = pyarrow.array(missing) if missing.any() else None
    if fixed == 0:  # pyarrow divides by the size
        valid = None if mask is None else _inverted(mask).buffers()[1]
        return pyarrow.Array.from_buffers(kind, len(cells), [valid], children=[values])
    if fixed is not None:
        return pyarrow.FixedSizeListArray.from_arrays(values, type=kind, mask=mask)
    if types.is_list(kind) and len(values) >= 2**31:
        raise Unfit(0, "fewer than 2**31 items in a batch: declare the column as LargeList", cells)
    large = types.is_large_list(kind)
    offsets = pyarrow.array(ends, pyarrow.int64() if large else pyarrow.int32())
    made = pyarrow.LargeListArray if large else pyarrow.ListArray
    return made.from_arrays(offsets, values, type=kind, mask=mask)


def _refuse_nulls(cells: list[Any]) -> None:
    """Refuse a list with a missing item."""
    for index, cell in enumerate(cells):
        if isinstance(cell, np.ndarray) and cell.dtype != object:
            continue
        for place, item in enumerate(() if cell is None else cell):
            if item is None:
                raise Unfit(index, "an item, because a plain list has none missing", None,
                            f"[{place}]")  # fmt: skip


def _cells(items: Items) -> list[Any]:
    """Each item as a list or an array of its own items; None stays."""
    if isinstance(items, np.ndarray) and items.ndim > 1:
        return list(items)
    cells: list[Any] = []
    for index, item in enumerate(items):
        if item is None or isinstance(item, (list, tuple)):
            cells.append(item)
            continue
        cell = None
        if not isinstance(item, (str, bytes, bytearray, Mapping, set, int, float)):
            cell = _as_array(index, item)
        if cell is None or cell.ndim == 0:
            raise Unfit(index, "a list or an array", item)
        cells.append(cell)
    return cells


def _as_array(index: int, item: Any) -> np.ndarray | None:
    """An array of any library as a NumPy array; an object array for other sequences."""
    try:
        return as_array(ANY, item)
    except (TypeError, ValueError) as error:
        if isinstance(item, (np.ndarray, Sequence)):
            return np.fromiter(item, object, len(item))  # of None, or of lists of many lengths
        raise Unfit(index, f"a list or an array ({reason_of(error)})", item) from error


def _joined(cells: list[Any]) -> Items:
    """The items of all cells: as one array if all of them are arrays of one dtype and shape."""
    present = [cell for cell in cells if cell is not None]
    if (
        present
        and all(isinstance(cell, np.ndarray) and cell.dtype != object for cell in present)
        and len({(cell.dtype, cell.shape[1:]) for cell in present}) == 1
    ):
        return np.concatenate(present)
    joined: list[Any] = []
    for cell in present:
        plain = isinstance(cell, np.ndarray) and cell.ndim == 1 and cell.dtype.kind in "biu"
        joined.extend(cell.tolist() if plain else cell)
    return joined
