"""store.stats(): FieldStats for each field, collected by the core in one pass."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _arguments, _core
from ._fields import declared_fields
from ._store_life import StoreLife
from ._structs import Struct
from ._types import Progress
from .features import FieldSpec

_WITHOUT_ITEMS = frozenset(["null", "decimal", "bytes", "nested"])
_WITHOUT_MEAN = frozenset(["date", "time", "timestamp"])


@dataclass(frozen=True)
class FieldStats:
    """The statistics of one field over the rows of a store; `StreamStore.stats` returns them.

    The numbers of a field of fixed shape are arrays of that shape, one statistic for each item;
    those of a scalar field and of a list, over all of its items, are NumPy scalars. They are None
    for text, bytes, decimals and nested cells, and if no row has the field.

    Attributes:
        count: rows that have the field.
        missing: rows that lack it.
        nan: items that are NaN; they count nowhere else.
        min: the least item, in the field's own dtype.
        max: the greatest item, in the field's own dtype.
        mean: float64. None for dates, times and timestamps.
        std: float64, the square root of the mean squared distance from the mean (`ddof=0`). None
            for dates, times and timestamps.
        quantiles: {q: the item below which a share q of the items lies}, with linear interpolation.
            Exact for up to 65,536 rows, fewer if the field has more than 16 items; beyond that
            from a uniform sample of so many rows, the same in every run.
        length: (least, mean, greatest) length of a list in items, of text and bytes in bytes, and
            of a nested cell in bytes of its encoding; None for fields of fixed shape.

    Examples:
        >>> store = StreamStore(fields={"reward": "float32"})
        >>> store.extend({"reward": [1.0, None, 3.0]})
        3
        >>> stats = store.stats(quantiles=(0.5,))["reward"]
        >>> stats.count, stats.missing, stats.mean, stats.quantiles[0.5]
        (2, 1, np.float64(2.0), np.float64(2.0))
    """

    count: int
    missing: int
    nan: Any = None
    min: Any = None
    max: Any = None
    mean: Any = None
    std: Any = None
    quantiles: Mapping[float, Any] | None = None
    length: tuple[int, float, int] | None = None


class Collector:
    """The statistics of some fields of one store, kept so that each row is read once."""

    def __init__(self, store: StoreLife, types: Sequence[int]) -> None:
        self._core = _core.Statistics(store, list(types))
        self._lock = threading.Lock()

    def read(
        self, store: StoreLife, quantiles: Sequence[float], progress: Progress | None
    ) -> list[Any]:
        with self._lock:
            return self._core.read(store, list(quantiles), progress)


def collect(
    store: StoreLife,
    names: Sequence[str] | None,
    quantiles: Sequence[float],
    progress: Progress | None,
) -> dict[str, FieldStats]:
    """The statistics of fields by name; those of a struct by leaf ("obs.pos")."""
    if isinstance(quantiles, (str, bytes)) or not isinstance(quantiles, Iterable):
        raise TypeError(f"stats: quantiles must be a list of numbers in [0, 1], not {quantiles!r}")
    asked = [_quantile(quantile) for quantile in quantiles]
    _ = store.num_rows  # sees fields that a writer has added
    fields = declared_fields(store)
    chosen = _arguments.names("fields", names)
    types: dict[int, None] = {}
    for name in fields.outer_names if chosen is None else chosen:
        node = fields.tree.find(name)
        leaves = [leaf for _, leaf in node.leaves()] if isinstance(node, Struct) else [node]
        types.update(dict.fromkeys(leaves))
    if not types:
        return {}
    found = _collector(store, fields.version, tuple(types)).read(store, asked, progress)
    return {
        fields.specs[type_id].name: _made(fields.specs[type_id], asked, *one)
        for type_id, one in zip(types, found, strict=True)
    }


def _collector(store: StoreLife, version: int, types: tuple[int, ...]) -> Collector:
    """The collector of these fields, which the store keeps."""
    kept: dict[Any, Collector] = vars(store).setdefault("_collectors", {})
    key = (version, types)
    collector = kept.get(key)
    if collector is None:
        collector = Collector(store, types)
        for old in [old for old in kept if old[0] != version]:
            del kept[old]
        kept[key] = collector
    return collector


def _quantile(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"stats: quantiles must be numbers in [0, 1], not {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"stats: quantiles must be in [0, 1], not {value!r}")
    return float(value)


def _made(
    spec: FieldSpec,
    asked: Sequence[float],
    rows: int,
    missing: int,
    lengths: tuple[int, int, int],
    items: tuple[Any, ...],
) -> FieldStats:
    length = None
    if rows and (spec.is_ragged or spec.dtype == "nested"):
        length = (lengths[0], lengths[2] / rows, lengths[1])
    kind = spec.info.kind
    if kind in _WITHOUT_ITEMS or not rows or not items[0].any():
        nan = None if kind in _WITHOUT_ITEMS or not rows else _shaped(spec, items[1])
        return FieldStats(rows, missing, nan=nan, length=length)
    _, nan, least, greatest, mean, std, quantiles = items
    has_mean = kind not in _WITHOUT_MEAN
    return FieldStats(
        rows,
        missing,
        nan=_shaped(spec, nan),
        min=_shaped(spec, _own(spec, least)),
        max=_shaped(spec, _own(spec, greatest)),
        mean=_shaped(spec, mean) if has_mean else None,
        std=_shaped(spec, std) if has_mean else None,
        quantiles={
            quantile: _shaped(spec, one if has_mean else _own(spec, np.floor(one)))
            for quantile, one in zip(asked, quantiles, strict=True)
        },
        length=length,
    )


def _own(spec: FieldSpec, values: Any) -> Any:
    """Numbers of the core in the field's own dtype."""
    dtype = spec.numpy_dtype
    if dtype.kind in "mM":
        return values.astype(np.int64).astype(dtype)
    if dtype == np.uint64:
        return values.view(np.uint64)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype)


def _shaped(spec: FieldSpec, values: Any) -> Any:
    """An array of the field's shape, or a scalar."""
    return values[0] if spec.is_ragged or not spec.shape else values.reshape(spec.shape)
