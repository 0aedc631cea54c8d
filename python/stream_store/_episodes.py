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
_HALF = 32  # bits of half an int64
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
        add = _exact_sums if spec.info.kind in ("int", "uint") else _sums
        table[f"sum_{spec.name}"] = add(view, spec, cuts)
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


def _sums(view: _core.Store, spec: FieldSpec, cuts: NDArray[np.int64]) -> NDArray[Any]:
    """The sums of a field of floats or bools over the segments."""
    total = np.zeros(len(cuts), _sum_dtype(spec))
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is NaN, and a large sum is inf
        for rows, values in _columns(view, spec):
            _add(total, cuts, rows, values)
    return total


def _exact_sums(view: _core.Store, spec: FieldSpec, cuts: NDArray[np.int64]) -> NDArray[Any]:
    """The sums of a field of ints, from those of the upper and the lower halves of its values.

    Raises:
        ValueError: a sum is too large for the result.
    """
    high, low = np.zeros(len(cuts), np.int64), np.zeros(len(cuts), np.int64)
    dtype = np.dtype(_sum_dtype(spec))
    for rows, column in _columns(view, spec):
        values = column.astype(dtype)
        _add(high, cuts, rows, values >> dtype.type(_HALF))
        _add(low, cuts, rows, values & dtype.type(2**_HALF - 1))
    high += low >> _HALF
    low &= 2**_HALF - 1
    limits = np.iinfo(dtype)
    wrong = (high < limits.min >> _HALF) | (high > limits.max >> _HALF)
    if wrong.any():
        at = int(np.argmax(wrong))
        first, stop = cuts[at].tolist()
        raise ValueError(
            f"episodes: the sum of {spec.name!r} over rows [{first}, {stop}) is "
            f"{(int(high[at]) << _HALF) + int(low[at])}, which is not a valid {dtype.name}; leave "
            "the field out of sums="
        )
    total: NDArray[Any] = (high.astype(dtype) << dtype.type(_HALF)) | low.astype(dtype)
    return total


def _add(total: NDArray[Any], cuts: NDArray[np.int64], rows: range, values: NDArray[Any]) -> None:
    """Add the values of some rows to the sums of their segments."""
    first = int(np.searchsorted(cuts[:, 1], rows.start, "right"))
    last = int(np.searchsorted(cuts[:, 0], rows.stop, "left"))
    starts = np.maximum(cuts[first:last, 0] - rows.start, 0)
    total[first:last] += np.add.reduceat(values.astype(total.dtype), starts)
