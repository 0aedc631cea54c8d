"""store.episodes(): a table of segments with the sums of fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _core
from ._cut_fields import cut_fields_text
from ._fields import declared_fields
from ._store_life import StoreLife
from .features import FieldSpec
from .features.names import batch_key

_ROWS = 1 << 16  # rows whose fields are summed together
_SUMMED = frozenset(["bool", "int", "uint", "float"])


def episodes(
    store: StoreLife, by: str | Sequence[str] | None, sums: Sequence[str] | None
) -> NDArray[np.void]:
    """The segments of a store as a structured array; see `StreamStore.episodes`."""
    fields = declared_fields(store)
    by = _cut_fields(store, by)
    summed = _summed(fields.specs, sums)
    view = _core.Store(store, None)
    cuts = view.segments(list(by))
    dtype: list[Any] = [("first_row", np.int64), ("length", np.int64), ("complete", np.bool_)]
    dtype += [(f"sum_{spec.name}", _sum_dtype(spec)) for spec in summed]
    table = np.zeros(len(cuts), dtype)
    table["first_row"] = cuts[:, 0]
    table["length"] = cuts[:, 1] - cuts[:, 0]
    table["complete"] = True
    if len(cuts):
        table["complete"][-1] = _is_ended(store, view, by)
    for spec in summed:
        for rows, values in _columns(view, spec):
            _add(table, f"sum_{spec.name}", cuts, rows, values)
    return table


def _cut_fields(store: StoreLife, by: str | Sequence[str] | None) -> Sequence[str]:
    if by is None:
        by = store.retention.segment_by
        if not by:
            raise ValueError(
                "episodes: by= must name the field that cuts segments, because the store has no "
                f"segment_by; its int and bool fields are {cut_fields_text(store)}"
            )
    return [by] if isinstance(by, str) else by


def _summed(specs: Sequence[FieldSpec], names: Sequence[str] | None) -> list[FieldSpec]:
    scalars = {
        spec.name: spec
        for spec in specs
        if not spec.hidden and not spec.shape and spec.info.kind in _SUMMED
    }
    chosen = _arguments.names("sums", names)
    if chosen is None:
        return [spec for spec in scalars.values() if spec.info.kind == "float"]
    for name in chosen:
        if name not in scalars:
            raise ValueError(
                f"episodes: sums={name!r}: expected scalar fields of numbers or bools, which are "
                f"{', '.join(map(repr, scalars)) or 'none'}"
            )
    return [scalars[name] for name in dict.fromkeys(chosen)]


def _sum_dtype(spec: FieldSpec) -> type[Any]:
    if spec.info.kind == "float":
        return np.float64
    return np.uint64 if spec.info.kind == "uint" else np.int64


def _is_ended(store: StoreLife, view: _core.Store, by: Sequence[str]) -> bool:
    """Whether no row can be added to the last segment: a bool field that ends it is true."""
    if not store.live and not store._temporary:
        return True  # no writer has the store open
    batch = view.read_rows([-1], fields=list(by))
    return any(
        batch[batch_key(name)].dtype == bool and bool(batch[batch_key(name)][0]) for name in by
    )


def _columns(view: _core.Store, spec: FieldSpec) -> Iterator[tuple[range, NDArray[Any]]]:
    """The values of one scalar field, block by block. Missing values are 0."""
    for first in range(view.first_row, view.num_rows, _ROWS):
        rows = range(first, min(first + _ROWS, view.num_rows))
        batch = view.read_rows(slice(rows.start, rows.stop), fields=[spec.name])
        yield rows, batch[batch_key(spec.name)]


def _add(
    table: NDArray[np.void],
    column: str,
    cuts: NDArray[np.int64],
    rows: range,
    values: NDArray[Any],
) -> None:
    """Add the values of some rows to the sums of their segments."""
    first = int(np.searchsorted(cuts[:, 1], rows.start, "right"))
    last = int(np.searchsorted(cuts[:, 0], rows.stop, "left"))
    starts = np.maximum(cuts[first:last, 0] - rows.start, 0)
    sums = np.add.reduceat(values.astype(table.dtype[column]), starts)
    table[column][first:last] += sums
