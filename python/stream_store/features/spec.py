"""FieldSpec: one field as the rest of the package sees it, and as the C++ core keeps it.

Immutable, cheap to make (a store of 65,536 fields makes as many when it opens) and safe to share
between threads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .dtypes import DTYPES, DTypeInfo, precision_and_scale, time_zone
from .nodes import RAGGED, Json, default_feature_json, innermost

_NUMPY = {name: np.dtype(info.numpy) for name, info in DTYPES.items()}


@lru_cache(maxsize=4096)
def _item_node(feature_json: str) -> Json:
    return innermost(json.loads(feature_json))


@lru_cache(maxsize=256)
def _class_ids(feature_json: str) -> dict[str, int]:
    return {str(name): place for place, name in enumerate(_item_node(feature_json)["names"])}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: a declared column, a struct's leaf, or the hidden marker of a struct.

    name          as shown; a struct's leaf as ``outer.inner``.
    path          where it lives: ``("outer", "inner")``; a column called ``a.b`` has ``("a.b",)``.
    dtype         item type, a name of `dtypes.DTYPES`.
    shape         ``()`` one item, ``(3,)``, ``(84, 84, 4)``; -1 in front: the length varies.
    packed        kept as the little-endian bytes of its items, in whole words.
    feature_json  the feature exactly as declared; "" for a field declared in C++ without one.
    hidden        marker of a struct: a field-write of length 0 where all its leaves are missing.
    """

    name: str
    path: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...] = ()
    packed: bool = False
    feature_json: str = ""
    hidden: bool = False

    @property
    def info(self) -> DTypeInfo:
        return DTYPES[self.dtype]

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Of decoded items: the field's own; uint8 for text and bytes, object for decimals."""
        return _NUMPY[self.dtype]

    @property
    def is_bytes(self) -> bool:
        """Whether it is string, binary or fixed-size binary: one value per byte."""
        return self.info.kind == "bytes"

    @property
    def is_ragged(self) -> bool:
        """Whether its length varies from step to step."""
        return self.shape[:1] == (RAGGED,) or self.dtype in ("string", "binary")

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape without the varying dimension, if there is one."""
        return self.shape[1:] if self.shape[:1] == (RAGGED,) else self.shape

    @property
    def unit_words(self) -> int:
        """Words of a field-write of fixed shape; of a ragged one, those of one more item."""
        items = prod(self.item_shape)
        if self.packed:
            return -(-items * self.info.item_bytes // 8)
        return items * self.info.item_words

    @property
    def fixed_length(self) -> int | None:
        """Values of every field-write, or None where the length varies."""
        if self.dtype == "null":
            return 0
        return None if self.is_ragged else self.unit_words

    @property
    def json(self) -> str:
        """`feature_json`, or what stands for it where nothing was declared."""
        return self.feature_json or default_feature_json(self.dtype, self.shape, self.packed)

    @property
    def unit(self) -> str | None:
        """Unit of date, time, timestamp and duration, as NumPy writes it."""
        return self.info.unit or None

    @property
    def time_zone(self) -> str | None:
        """Zone of a timestamp; its values count from the epoch in UTC whatever it says."""
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
        """Name -> number of a ClassLabel, else None. Shared: do not change it."""
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
        """The feature for messages, as it could be declared: ``packed uint8[84,84,4]``."""
        if self.hidden:
            return "struct"
        node = _item_node(self.json)
        names = self.class_ids
        item = str(node.get("dtype")) if names is None else f"ClassLabel of {len(names)} names"
        shape = () if self.is_bytes else self.shape
        dims = ",".join("None" if dim == RAGGED else str(dim) for dim in shape)
        dims = f"[{'' if shape == (RAGGED,) else dims}]" if shape else ""
        return f"{'packed ' if self.packed else ''}{item}{dims}"
