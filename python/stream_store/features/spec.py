"""FieldSpec: one field, with the same properties as in the C++ core.

Immutable and safe to share between threads. Making one is cheap, because a store of 65,536 fields
makes as many when it is opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .arrow_types import split_tree
from .defaults import default_feature_json
from .dtypes import DTYPES, DTypeInfo, precision_and_scale, time_zone
from .nodes import RAGGED, Json, innermost

_NUMPY = {name: np.dtype(info.numpy) for name, info in DTYPES.items()}


@lru_cache(maxsize=4096)
def _item_node(feature_json: str) -> Json:
    return innermost(split_tree(json.loads(feature_json))[0])


@lru_cache(maxsize=256)
def _class_ids(feature_json: str) -> dict[str, int]:
    return {str(name): place for place, name in enumerate(_item_node(feature_json)["names"])}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: a declared column, a struct's leaf, or the hidden marker of a struct.

    Attributes:
        name: the shown name; ``outer.inner`` for a struct's leaf.
        path: the names from the outside in, ``("outer", "inner")``; ``("a.b",)`` for a column
            called ``a.b``.
        dtype: item type, a name of `dtypes.DTYPES`.
        shape: ``()`` for one item, ``(3,)``, ``(84, 84, 4)``; the length varies if the first
            dimension is -1.
        packed: whether values are stored as the little-endian bytes of their items, in whole words.
            If their number varies, a word with it comes first.
        feature_json: the feature exactly as declared; "" for a field declared in C++ without one.
            The key "_arrow" holds the Arrow type if the feature alone implies another one.
        hidden: whether this is the marker of a struct: a field-write of length 0 in rows that have
            the struct but none of its leaves.
        nested: the type of the cells of a nested field, in Arrow's notation; else "".

    Examples:
        >>> from stream_store.features import FieldSpec
        >>> spec = FieldSpec("obs", ("obs",), "float32", (-1, 3))
        >>> spec.text, spec.is_ragged, spec.item_shape
        ('float32[None,3]', True, (3,))
    """

    name: str
    path: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...] = ()
    packed: bool = False
    feature_json: str = ""
    hidden: bool = False
    nested: str = ""

    @property
    def info(self) -> DTypeInfo:
        """The properties of its item type."""
        return DTYPES[self.dtype]

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """NumPy dtype of decoded items; uint8 for text and bytes, object for decimals.

        Those of a nested field are Python objects.
        """
        return _NUMPY[self.dtype]

    @property
    def is_bytes(self) -> bool:
        """Whether it is a string, binary or fixed-size binary.

        It has one value per byte, unless it is packed.
        """
        return self.info.kind == "bytes"

    @property
    def is_ragged(self) -> bool:
        """Whether its length varies from step to step."""
        return self.shape[:1] == (RAGGED,) or self.dtype in ("string", "binary")

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape without a varying dimension."""
        return self.shape[1:] if self.shape[:1] == (RAGGED,) else self.shape

    @property
    def unit_words(self) -> int:
        """Words of a field-write of fixed shape, or of one item of a ragged one.

        1 for nested fields and packed ones of varying length: a field-write is a word with the
        number of bytes or items, then as many words as these need.
        """
        items = prod(self.item_shape)
        if self.dtype == "nested" or (self.packed and self.is_ragged):
            return 1
        if self.packed:
            return -(-items * self.info.item_bytes // 8)
        return items * self.info.item_words

    @property
    def fixed_length(self) -> int | None:
        """Values of every field-write, or None if the length varies."""
        if self.dtype == "null":
            return 0
        return None if self.is_ragged or self.dtype == "nested" else self.unit_words

    @property
    def json(self) -> str:
        """`feature_json`, or a default for fields declared in C++."""
        return self.feature_json or default_feature_json(
            self.dtype, self.shape, self.packed, self.nested
        )

    @property
    def unit(self) -> str | None:
        """Unit of a date, time, timestamp or duration, as NumPy writes it; else None."""
        return self.info.unit or None

    @property
    def time_zone(self) -> str | None:
        """Zone of a timestamp. Values count from the epoch in UTC, whatever the zone."""
        return (
            time_zone(_item_node(self.json).get("dtype", ""))
            if self.info.kind == "timestamp"
            else None
        )

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of a ClassLabel in the order of their numbers, else None."""
        return None if self.class_ids is None else tuple(self.class_ids)

    @property
    def class_ids(self) -> dict[str, int] | None:
        """Name -> number of a ClassLabel, else None. The dict is shared; do not change it."""
        if (
            self.dtype != "int64"
            or not self.feature_json
            or _item_node(self.feature_json)["_type"] != "ClassLabel"
        ):
            return None
        return _class_ids(self.feature_json)

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Precision and scale of a decimal, else None."""
        return (
            precision_and_scale(_item_node(self.json)["dtype"])
            if self.info.kind == "decimal"
            else None
        )

    @property
    def text(self) -> str:
        """The feature for messages, as it may be declared: ``packed uint8[84,84,4]``."""
        if self.hidden:
            return "struct"
        if self.nested:
            return f"nested {self.nested}"
        node = _item_node(self.json)
        names = self.class_ids
        item = (
            str(node.get("dtype", node["_type"]))
            if names is None
            else f"ClassLabel of {len(names)} names"
        )
        shape = () if self.is_bytes else self.shape
        dims = ",".join("None" if dim == RAGGED else str(dim) for dim in shape)
        dims = f"[{'' if shape == (RAGGED,) else dims}]" if shape else ""
        return f"{'packed ' if self.packed else ''}{item}{dims}"
