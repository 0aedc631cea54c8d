"""Windows that several nodes have drawn, put together as batches.

The nodes draw the windows of several batches in one call. `Shares` says how many windows of each
batch come from each node, and `merge` makes one batch of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._types import Batch

_ROW_BITS = 48  # "_index" is the number of the store times 2**48, plus the row of the anchor


def with_store_numbers(windows: Batch, numbers: NDArray[np.int64]) -> Batch:
    """The windows of a node, with `numbers` in place of its own numbers of its stores."""
    if (numbers == np.arange(len(numbers))).all():
        return windows
    stores = numbers[windows["_store"]]
    rows = windows["_index"] & ((1 << _ROW_BITS) - 1)
    return windows | {"_store": stores, "_index": (stores << _ROW_BITS) | rows}


class Shares:
    """How many windows of each batch of a round come from each node, and at which places.

    A batch of uniform draws from the union has a multinomial number of windows of each node, in
    random order.

    Args:
        starts: valid starts of each node, not all 0.
        batches: batches of the round.
        batch_size: windows of a batch.
        rng: makes all choices.
    """

    def __init__(
        self, starts: Sequence[int], batches: int, batch_size: int, rng: np.random.Generator
    ) -> None:
        weights = np.asarray(starts, np.float64)
        self._counts = rng.multinomial(batch_size, weights / weights.sum(), size=batches)
        # With one node there is nothing to mix, and its windows need no copy.
        several = np.count_nonzero(weights) > 1
        self._orders = [rng.permutation(batch_size) for _ in range(batches if several else 0)]

    def of_node(self, node: int) -> int:
        """How many windows a node has to draw for the whole round."""
        return int(self._counts[:, node].sum())

    def part(self, batch: int, node: int) -> slice:
        """Which of them belong to a batch."""
        begin = int(self._counts[:batch, node].sum())
        return slice(begin, begin + int(self._counts[batch, node]))

    def places(self, batch: int) -> list[NDArray[np.int64]] | None:
        """For each node, the places of its windows in a batch; None for one node."""
        if not self._orders:
            return None
        return np.split(self._orders[batch], np.cumsum(self._counts[batch])[:-1])


def merge(parts: Sequence[Batch], places: Sequence[NDArray[np.int64]]) -> Batch:
    """One batch of windows of several nodes.

    Args:
        parts: the windows of each node.
        places: their places in the batch.
    """
    return {name: _merged([part[name] for part in parts], places) for name in parts[0]}


def _merged(values: Sequence[Any], places: Sequence[NDArray[np.int64]]) -> Any:
    first = values[0]
    if isinstance(first, dict):
        return {name: _merged([one[name] for one in values], places) for name in first}
    size = sum(map(len, places))
    if not isinstance(first, np.ndarray):
        merged: list[Any] = [None] * size
        for value, place in zip(values, places, strict=True):
            for at, one in zip(place.tolist(), value, strict=True):
                merged[at] = one
        return merged
    shape = np.max([value.shape[1:] for value in values], axis=0) if first.ndim > 1 else ()
    out = np.zeros((size, *map(int, shape)), first.dtype)
    for value, place in zip(values, places, strict=True):
        inside: tuple[Any, ...] = (place, *map(slice, value.shape[1:]))
        out[inside] = value
    return out


def cut(windows: Batch, part: slice) -> Batch:
    """Some windows, without a copy. Ragged fields are as long as the longest of these."""
    some: Batch = _sliced(windows, part)
    for name, lengths in some.get("_length", {}).items():
        some[name] = _trimmed(some[name], lengths)
    return some


def _sliced(value: Any, part: slice) -> Any:
    if isinstance(value, dict):
        return {name: _sliced(one, part) for name, one in value.items()}
    return value[part]


def _trimmed(value: Any, lengths: Any) -> Any:
    if isinstance(lengths, dict):
        return value | {name: _trimmed(value[name], one) for name, one in lengths.items()}
    if not isinstance(value, np.ndarray) or value.ndim <= lengths.ndim:
        return value
    longest = int(lengths.max(initial=0))
    return value[(slice(None),) * lengths.ndim + (slice(longest),)]
