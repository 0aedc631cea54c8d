"""ViewModel: the fields of a store by kind, and its rows in blocks of bounded size.

Every view uses it, so that a field looks the same everywhere. A model reads from snapshots that
`look` makes; it never scans rows by itself. Not safe to share between threads, except for the
methods that take a snapshot.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stream_store._cut_fields import default_cut_fields
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec

from .readable import Readable

#: Rows and items that are read at once.
BLOCK_ROWS = 65_536
BLOCK_ITEMS = 1 << 20
#: A vector with more items than this is shown as one band from its lowest to its highest item.
MAX_COMPONENTS = 8
_RESULTS = ("_step", "_mask", "_length")  # keys of a batch that are not fields
_NUMBERS = {"bool", "int", "uint", "float", "decimal"}


class Kind(Enum):
    """How a field is shown."""

    NUMBER = "number"  # one number a row
    VECTOR = "vector"  # several numbers a row: lists, and arrays that are not images
    IMAGE = "image"  # uint8 with two or more dimensions, or a file of `datasets.Image`
    TEXT = "text"
    OTHER = "other"  # bytes, dates and times, nested cells


@dataclass(frozen=True)
class FieldView:
    """One field.

    Attributes:
        name: the shown name, ``outer.inner`` for a leaf of a struct.
        kind: how it is shown.
        type_id: its type id.
        components: names of its series, "" for a number or a band; empty if it has no numbers.
        items: numbers in one row, or None if that varies.
        encoded: whether it has the bytes of image files instead of pixels.
        spec: its declaration.
    """

    name: str
    kind: Kind
    type_id: int
    components: tuple[str, ...]
    items: int | None
    encoded: bool
    spec: FieldSpec

    @property
    def series(self) -> tuple[str, ...]:
        """Full names of its series, such as ``obs[2]``."""
        return tuple(self.name + component for component in self.components)


@dataclass
class Block:
    """Numbers of one field in rows [start, stop), in float64.

    Attributes:
        low, high: (rows, series) lowest and highest finite item; NaN if there is none.
        present: (rows,) whether the row has the field.
        odd: (rows, series) number of items that are NaN or infinite.
    """

    start: int
    stop: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    present: NDArray[np.bool_]
    odd: NDArray[np.int64]


class ViewModel:
    """The fields of a store by kind, and its rows in blocks.

    Args:
        store: any store that can be read; a snapshot stays as it is.
        by: fields that cut segments, as for `StreamStore.segments`. None uses those of the
            store's retention, else a field called episode, episode_index or episode_id of an int
            dtype, else blocks of rows.

    Cost:
        One look at the declaration of the fields; no row is read.

    Raises:
        ValueError: the store has no fields, or `by` names a field that it does not have or that
            is neither int nor bool.
    """

    def __init__(self, store: Readable, by: Sequence[str] | None = None) -> None:
        if not store.fields:
            raise ValueError(f"{store.path or 'temporary store'}: view: no fields are declared")
        self.store = store
        self._asked_by = by
        self._read_fields()

    def _read_fields(self) -> None:
        self._declared = declared_fields(cast("Any", self.store))
        specs = self._declared.specs
        files = {spec.path for spec in specs if spec.hidden and _is_image_struct(spec)}
        self.fields = tuple(
            _field_view(spec, type_id, (*spec.path[:-1],) in files and spec.path[-1] == "bytes")
            for type_id, spec in enumerate(specs)
            if not spec.hidden
        )
        self._by_name = {field.name: field for field in self.fields}
        self.by = self._choose_by()

    def refresh(self) -> bool:
        """Look for fields that a writer has added since. Returns whether there are any."""
        if declared_fields(cast("Any", self.store)) is self._declared:
            return False
        self._read_fields()
        return True

    def _choose_by(self) -> tuple[str, ...]:
        if self._asked_by is not None:
            for name in self._asked_by:
                if self.field(name).spec.info.kind not in ("int", "uint", "bool"):
                    text = self.field(name).spec.text
                    raise ValueError(f"view: segments by {name!r}: expected an int or bool field, "
                                     f"but found {text}")  # fmt: skip
            return tuple(self._asked_by)
        return default_cut_fields(self.store)

    def field(self, name: str) -> FieldView:
        """The field of a name; ValueError if there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(list(self._by_name)[:20])
            raise ValueError(f"view: unknown field {name!r}; the fields are {known}") from None

    def of_kind(self, *kinds: Kind) -> list[FieldView]:
        """The fields of some kinds, in declared order."""
        return [field for field in self.fields if field.kind in kinds]

    @property
    def numeric(self) -> list[FieldView]:
        """All fields that have series."""
        return [field for field in self.fields if field.components]

    # --- reading ---

    def look(self) -> Readable:
        """A snapshot of the current rows."""
        return self.store.snapshot()

    def numbers(
        self, view: Readable, fields: Iterable[FieldView], start: int, stop: int
    ) -> Iterator[list[tuple[FieldView, Block]]]:
        """Read numeric fields of rows [start, stop), in blocks of rows in order.

        Fields are read in groups, and rows in blocks, so that memory does not grow with their
        number. The blocks of one group cover all rows before the next group begins.

        Raises:
            DroppedError: rows were dropped.
        """
        for group in _groups(fields):
            items = sum(field.items or 1 for field in group)
            rows = max(1, min(BLOCK_ROWS, BLOCK_ITEMS // items))
            for first in range(start, stop, rows):
                last = min(first + rows, stop)
                yield list(zip(group, _read_numbers(view, group, first, last), strict=True))

    def presence(self, view: Readable, start: int, stop: int) -> NDArray[np.int64]:
        """Count the rows of [start, stop) that have each field, in the order of `fields`.

        Only the index is read, not the values.
        """
        count = np.zeros(len(self._declared.specs), np.int64)
        for first in range(start, stop, BLOCK_ROWS):
            types = view.index_table(first, min(first + BLOCK_ROWS, stop))["type"]
            found = np.bincount(types, minlength=len(count))
            count += found[: len(count)]  # fields that were added since are left out
        return count[[field.type_id for field in self.fields]]

    def steps(self, view: Readable, start: int, stop: int) -> NDArray[np.int64]:
        """The steps of rows [start, stop)."""
        return np.asarray(view.read_rows(slice(start, stop), fields=[])["_step"])

    def values(self, view: Readable, row: int, fields: Sequence[FieldView]) -> list[Any]:
        """The decoded values of one row, None where missing. One field at a time is in memory."""
        return [value_at(view, field, row) for field in fields]


def value_at(view: Readable, field: FieldView, row: int) -> Any:
    """The decoded value of a field in a row; None where missing."""
    batch = view.read_rows(slice(row, row + 1), fields=[field.name])
    values, present = _columns(batch)[0], _columns(batch["_mask"])[0]
    return values[0] if present[0] else None


def read_columns(
    view: Readable, fields: Sequence[FieldView], start: int, stop: int, **options: Any
) -> list[tuple[Any, NDArray[np.bool_]]]:
    """Decoded values of rows [start, stop) and where they are present, for each field."""
    batch = view.read_rows(slice(start, stop), fields=[field.name for field in fields], **options)
    return list(zip(_columns(batch), _columns(batch["_mask"]), strict=True))


def _columns(batch: dict[str, Any]) -> list[Any]:
    """The fields of a batch in the order asked. Their keys may differ from their names."""
    return [values for name, values in batch.items() if name not in _RESULTS]


def _is_image_struct(spec: FieldSpec) -> bool:
    return bool(spec.feature_json) and json.loads(spec.feature_json).get("_type") == "Image"


def _field_view(spec: FieldSpec, type_id: int, encoded: bool) -> FieldView:
    kind, items = Kind.OTHER, None
    components: tuple[str, ...] = ()
    numbers = spec.info.kind in _NUMBERS and not spec.nested
    if encoded:
        kind = Kind.IMAGE
    elif spec.dtype == "string" and not spec.item_shape:
        kind = Kind.TEXT
    elif spec.dtype == "uint8" and len(spec.shape) >= 2:
        kind = Kind.IMAGE
    elif numbers and not spec.shape:
        kind, components, items = Kind.NUMBER, ("",), 1
    elif numbers:
        kind, components = Kind.VECTOR, ("",)
        items = None if spec.is_ragged else math.prod(spec.shape)
        if items is not None and items <= MAX_COMPONENTS:
            places = np.ndindex(*spec.shape)
            components = tuple("[" + ",".join(map(str, place)) + "]" for place in places)
    return FieldView(spec.name, kind, type_id, components, items, encoded, spec)


def _groups(fields: Iterable[FieldView]) -> Iterator[list[FieldView]]:
    """Groups of fields that are read together: ragged and large ones alone."""
    group: list[FieldView] = []
    items = 0
    for field in fields:
        alone = field.items is None or field.items > 64
        if group and (alone or items + (field.items or 0) > 64):
            yield group
            group, items = [], 0
        if alone:
            yield [field]
        else:
            group.append(field)
            items += field.items or 0
    if group:
        yield group


def _read_numbers(
    view: Readable, fields: list[FieldView], start: int, stop: int
) -> Iterator[Block]:
    if len(fields) == 1 and fields[0].items is None:
        yield _read_lists(view, fields[0], start, stop)
        return
    for field, (values, present) in zip(
        fields, read_columns(view, fields, start, stop), strict=True
    ):
        yield _block(field, start, values, np.asarray(present))


def list_parts(
    view: Readable, field: FieldView, start: int, stop: int
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Parts of rows [start, stop) that can be read at once, with the lengths of their lists.

    Lists are padded to the longest that is read with them, so one long list among many rows would
    take a lot of memory.
    """
    name, inner = field.name, max(math.prod(field.spec.item_shape), 1)
    batch = view.read_rows(slice(start, stop), fields=[name], max_length={name: 0})
    lengths = np.asarray(_columns(batch["_length"])[0])
    first = start
    while first < stop:
        left = lengths[first - start :]
        padded = np.maximum.accumulate(left) * np.arange(1, len(left) + 1) * inner
        count = max(1, int(np.searchsorted(padded, BLOCK_ITEMS, side="right")))
        yield first, min(first + count, stop), left[:count]
        first += count


def _read_lists(view: Readable, field: FieldView, start: int, stop: int) -> Block:
    inner = math.prod(field.spec.item_shape)
    parts = []
    for first, last, lengths in list_parts(view, field, start, stop):
        values, present = read_columns(view, [field], first, last)[0]
        stored = np.arange(math.prod(np.shape(values)[1:])) < lengths[:, None] * inner
        parts.append(_block(field, first, values, np.asarray(present), stored))
    if len(parts) == 1:
        return parts[0]
    names = ("low", "high", "present", "odd")
    joined = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    return Block(start, stop, *joined)


def _block(
    field: FieldView,
    start: int,
    values: Any,
    present: NDArray[np.bool_],
    stored: NDArray[np.bool_] | None = None,
) -> Block:
    """The block of decoded values; `stored` is False for the padding of lists."""
    rows = len(present)
    flat = np.asarray(values).reshape(rows, -1).astype(np.float64)
    missing = ~present[:, None] if stored is None else ~(present[:, None] & stored)
    finite = np.isfinite(flat)
    odd = ~finite & ~missing
    flat[~finite | missing] = np.nan
    if len(field.components) == flat.shape[1]:
        return Block(start, start + rows, flat, flat, present, odd.astype(np.int64))
    low, high = np.full((2, rows, 1), np.nan)
    filled = ~np.isnan(flat).all(axis=1) if flat.shape[1] else np.zeros(rows, bool)
    if filled.any():
        low[filled, 0] = np.nanmin(flat[filled], axis=1)
        high[filled, 0] = np.nanmax(flat[filled], axis=1)
    return Block(start, start + rows, low, high, present, odd.sum(axis=1, keepdims=True))
