"""WindowSource: the valid windows of a store, by number, as dicts of NumPy arrays.

It has what random-access data loaders ask of a source: `__len__`, `__getitem__`, `__getitems__`,
`__repr__` and pickling. Grain takes it as it is; `torch.WindowDataset` is one with tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._arguments import one_index
from ._types import Batch
from .group import StoreGroup
from .sampler import WindowSampler
from .store import StreamStore

if TYPE_CHECKING:
    import numpy.typing as npt

Stores = StreamStore | Sequence[StreamStore] | StoreGroup


class WindowSource:
    """The valid windows of a store, numbered from 0: a random-access data source.

    `source[i]` is one window as a dict of NumPy arrays. `grain.MapDataset.source(source)` and other
    loaders that ask for `__len__` and `__getitem__` take it without an adapter, and their worker
    processes open the store by its path.

    The number of a window stays the same while the store grows, and `len` grows with the store.
    That is not possible with `rows` that count from the end, with lanes and segments, with one of
    the arguments from `lane_by` to `whole_segments`, or with a list of stores: the windows are then
    those of the moment when the source was made, or of the last `refresh`.

    Args:
        store: a StreamStore, or a list of them whose windows are numbered together.
        length: values or rows in each window.
        unit: "value" gives windows of raw values as `windows()` reads them, "row" windows of
            decoded rows as `read_rows()` reads them.
        align: with unit "value", "row" starts windows at the first value of a row only.
        segment_by: int field, or bool field or fields, that divide the rows into segments (see
            `StreamStore.segments`). No window crosses segments.
        pad: with unit "row", "right" also gives windows that extend past the end of their segment,
            "left" windows that begin before it.
        lanes: with unit "row", the number of environments whose rows alternate.
        lane_by: see `WindowSampler`.
        where: see `WindowSampler`.
        exclude: see `WindowSampler`.
        require: see `WindowSampler`.
        offsets: see `WindowSampler`.
        outside: see `WindowSampler`.
        seconds: see `WindowSampler`.
        time_field: see `WindowSampler`.
        tolerance: see `WindowSampler`.
        whole_segments: see `WindowSampler`.
        rows: (start, stop) limits the rows in which windows start (with pad "left": end).
        columns: with unit "value", the columns of `windows()`.
        fields: with unit "row", the fields of `read_rows()`.
        max_length: with unit "row", as for `read_rows()`.

    Raises:
        ValueError: an argument is not valid; the message has the accepted values.
        TypeError: `store` is neither a StreamStore nor a list of them.

    Examples:
        >>> store = StreamStore(fields={"obs": "float32[2]"})
        >>> rows = store.extend({"obs": np.ones((10, 2))})
        >>> source = stream_store.WindowSource(store, 3, unit="row")
        >>> len(source), source[0]["obs"].shape, source[-1]["_step"]
        (8, (3, 2), array([7, 8, 9]))
    """

    def __init__(
        self,
        store: Stores,
        length: int | None = None,
        *,
        unit: Literal["value", "row"] | None = None,
        align: Literal["any", "row"] = "any",
        segment_by: str | Sequence[str] | None = None,
        pad: Literal["right", "left"] | None = None,
        lanes: int = 1,
        lane_by: str | Sequence[str] | None = None,
        where: str | None = None,
        exclude: npt.ArrayLike | None = None,
        require: str | Sequence[str] | None = None,
        offsets: Mapping[str, Iterable[int]] | None = None,
        outside: Literal["skip", "edge", "zero", "shift"] = "skip",
        seconds: Mapping[str, Iterable[float]] | None = None,
        time_field: str | None = None,
        tolerance: float = 1e-4,
        whole_segments: bool = False,
        rows: tuple[int | None, int | None] | None = None,
        columns: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        max_length: Mapping[str, Any] | None = None,
    ) -> None:
        self._store = store
        self._arguments: dict[str, Any] = {
            "length": length,
            "unit": unit,
            "align": align,
            "segment_by": segment_by,
            "pad": pad,
            "lanes": lanes,
            "lane_by": lane_by,
            "where": where,
            "exclude": exclude,
            "require": require,
            "offsets": offsets,
            "outside": outside,
            "seconds": seconds,
            "time_field": time_field,
            "tolerance": tolerance,
            "whole_segments": whole_segments,
            "rows": rows,
            "columns": columns,
            "fields": fields,
            "max_length": max_length,
        }
        self._moves = _numbers_move(store, self._arguments)
        self._snapshots: Stores | None = None
        self.refresh()

    def refresh(self) -> int:
        """Number the valid windows of the current rows.

        Returns:
            The number of windows.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[2]"})
            >>> rows = store.extend({"obs": np.ones((10, 2))})
            >>> stream_store.WindowSource(store, 1, unit="row", rows=(-4, None)).refresh()
            4
        """
        store = self._store
        if self._moves:
            store = self._snapshots = _snapshots_of(store)
        self._sampler = WindowSampler(store, **self._arguments)
        self._arguments["fields"] = chosen_fields(self._sampler)
        return self._sampler.num_starts

    def __len__(self) -> int:
        """Number of windows."""
        return self._sampler.num_starts

    def __getitem__(self, index: int) -> Batch:
        """Read one window.

        Args:
            index: number of the window, in [-len(self), len(self)).

        Returns:
            A dict of arrays of shape (length, ...), nested for structs. Text and bytes are lists.

        Raises:
            IndexError: there is no such window.
            TypeError: `index` is not an int.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[2]"})
            >>> rows = store.extend({"obs": np.ones((10, 2))})
            >>> stream_store.WindowSource(store, 3, unit="row")[-1]["_step"]
            array([7, 8, 9])
        """
        return window_of(self._read_one(index), 0)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        """Read several windows in one call; negative numbers count from the end."""
        batch = self._sampler._core.read_starts(indices)
        return [window_of(batch, i) for i in range(len(indices))]

    def __repr__(self) -> str:
        """The store and the arguments, equal for equal sources: loaders compare it."""
        given = [
            f"{name}={value!r}" for name, value in self._arguments.items() if value is not None
        ]
        return f"{type(self).__name__}({_named(self._store)}, {', '.join(given)})"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_sampler"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        store = self._store if self._snapshots is None else self._snapshots
        self._sampler = WindowSampler(store, **self._arguments)

    def _read_one(self, index: int) -> dict[str, Any]:
        """The batch of one window."""
        return self._sampler._core.read_starts([one_index(index)])


def window_of(batch: Mapping[str, Any], i: int) -> dict[str, Any]:
    """Window `i` of a batch."""
    return {name: item_of(value, i) for name, value in batch.items()}


def item_of(value: Any, i: int) -> Any:
    """Window `i` of an array, of a list, or of all items of a dict: a struct, `_mask`, `_length`.

    The values of a nested field may be dicts too, but their batch is an array or a list.
    """
    if isinstance(value, dict):
        return {name: item_of(item, i) for name, item in value.items()}
    return value[i]


def _named(store: Stores) -> str:
    """The paths of stores."""
    if isinstance(store, (StreamStore, StoreGroup)):
        return "temporary" if store.path is None else repr(str(store.path))
    return f"[{', '.join(map(_named, store))}]"


def _snapshots_of(store: Stores) -> StreamStore | list[StreamStore]:
    """A snapshot of each store."""
    if isinstance(store, StreamStore):
        return store.snapshot()
    if isinstance(store, StoreGroup):
        store.refresh()
        members = list(store.values())
        if not members:
            raise ValueError(f"{store.path}: the group has no stores whose windows can be numbered")
        store = members
    given: Any = store  # WindowSampler refuses what is no store and no list of them
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        given = [one.snapshot() if isinstance(one, StreamStore) else one for one in given]
    snapshots: list[StreamStore] = given
    return snapshots


def _numbers_move(store: Stores, arguments: Mapping[str, Any]) -> bool:
    """Whether windows get other numbers when the store grows."""
    rows = arguments["rows"]
    bounds = rows if isinstance(rows, (tuple, list)) else ()  # WindowSampler refuses others
    from_the_end = any(isinstance(one, (int, np.integer)) and one < 0 for one in bounds)
    lanes = arguments["lanes"] != 1 and arguments["segment_by"] is not None
    # The anchors are numbered by their rows, and one of an earlier row may become valid later.
    indexed = arguments["whole_segments"] or any(
        arguments[name] is not None
        for name in ("lane_by", "where", "exclude", "require", "offsets", "seconds")
    )
    return from_the_end or lanes or indexed or not isinstance(store, StreamStore)


def chosen_fields(sampler: WindowSampler) -> list[str] | None:
    """The fields that a sampler with the same arguments has to name; None with offsets."""
    fields: list[str] | None = sampler._options["fields"]
    return None if sampler._options["offsets"] else fields
