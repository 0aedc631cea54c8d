"""Arrow types and columns compared and converted without loss.

`datasets` has no maps and no decimals of 32 or 64 bits; `converted` makes the lists and decimals
that it has instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .inspect import is_list
from .optional import require


def is_lossless(one: Any, other: Any) -> bool:
    """Whether a cast from the first Arrow type to the second keeps every value of any column."""
    pyarrow = require("pyarrow", "the comparison of types")
    types = pyarrow.types
    one, other = storage(one), storage(other)
    if types.is_dictionary(one) or types.is_run_end_encoded(one):
        one = storage(one.value_type)
    if one == other or types.is_null(one):
        return True
    if is_list(one) and is_list(other):
        sized = types.is_fixed_size_list(other)
        if sized and not (types.is_fixed_size_list(one) and one.list_size == other.list_size):
            return False
        return is_lossless(one.value_type, other.value_type)
    if types.is_struct(one) and types.is_struct(other):
        parts = {part.name: part.type for part in other}
        return len(parts) == other.num_fields == one.num_fields and all(
            part.name in parts and is_lossless(part.type, parts[part.name]) for part in one
        )
    if types.is_integer(one) and types.is_integer(other):
        signed = types.is_signed_integer
        wider = one.bit_width < other.bit_width
        return bool(wider and (signed(other) or not signed(one)))
    if types.is_floating(one) and types.is_floating(other):
        return bool(one.bit_width < other.bit_width)
    return any(one in family and other in family for family in _families())


def _families() -> list[tuple[Any, ...]]:
    """Types that differ only in the layout of their values."""
    pa = require("pyarrow", "the comparison of types")
    return [
        (pa.string(), pa.large_string(), pa.string_view()),
        (pa.binary(), pa.large_binary(), pa.binary_view()),
    ]


def storage(kind: Any) -> Any:
    """The type that an extension type is stored as; other types stay."""
    while hasattr(kind, "storage_type"):
        kind = kind.storage_type
    return kind


def same_storage(one: Any, other: Any) -> bool:
    """Whether the core exports the first type as the second, apart from extension types.

    The names of list items may differ, and a list view may become a list. pyarrow cannot do the
    latter: a list view has as many offsets as rows, a list one more.
    """
    types = require("pyarrow", "the comparison of types").types
    one, other = storage(one), storage(other)
    if one == other:
        return True
    if types.is_struct(one) and types.is_struct(other):
        return one.num_fields == other.num_fields and all(
            a.name == b.name and same_storage(a.type, b.type)
            for a, b in zip(one, other, strict=True)
        )
    if _is_viewed(types, one, other) or (one.id == other.id and is_list(one)):
        sizes = [getattr(kind, "list_size", None) for kind in (one, other)]
        return sizes[0] == sizes[1] and same_storage(one.value_type, other.value_type)
    return False


def _is_viewed(types: Any, one: Any, other: Any) -> bool:
    """Whether the first is a list view, and the second the list of the same offsets."""
    small = types.is_list_view(one) and types.is_list(other)
    return bool(small or (types.is_large_list_view(one) and types.is_large_list(other)))


def objects_of(column: Any) -> list[Any]:
    """The values of a column as Python objects, without loss."""
    types = require("pyarrow", "the conversion of a column").types
    kind = column.type
    if types.is_timestamp(kind) or types.is_duration(kind) or types.is_date(kind):
        # datetime64 has the same units; datetime has no nanoseconds.
        chunked = hasattr(column, "chunks")  # whose to_numpy() always copies
        values = column.to_numpy() if chunked else column.to_numpy(zero_copy_only=False)
        present = np.asarray(column.is_valid())
        return [value if there else None for value, there in zip(values, present, strict=True)]
    return list(column.to_pylist())


def converted(array: Any, kind: Any) -> Any:
    """An array as another type of equal values: a map as a list of structs, or a wider decimal."""
    pyarrow = require("pyarrow", "the conversion of a column")
    types = pyarrow.types
    if array.type == kind:
        return array
    if isinstance(kind, pyarrow.BaseExtensionType):
        return pyarrow.ExtensionArray.from_storage(kind, converted(array, kind.storage_type))
    if isinstance(array.type, pyarrow.BaseExtensionType):
        return converted(array.storage, kind)
    if types.is_struct(kind):
        parts = zip(array.flatten(), kind, strict=True)
        children = [converted(child, part.type) for child, part in parts]
        return pyarrow.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
    if types.is_fixed_size_list(kind):
        values = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        inner = converted(values, kind.value_type)
        return pyarrow.FixedSizeListArray.from_arrays(inner, type=kind, mask=array.is_null())
    if types.is_list(kind) or types.is_large_list(kind):
        if types.is_map(array.type):
            pairs = pyarrow.StructArray.from_arrays(
                [array.keys, array.items], names=["key", "value"]
            )
        else:
            pairs = array.values
        made = pyarrow.LargeListArray if types.is_large_list(kind) else pyarrow.ListArray
        inner = converted(pairs, kind.value_type)
        return made.from_arrays(array.offsets, inner, type=kind, mask=array.is_null())
    return array.cast(kind)
