"""The arrays that a buffer of Stable-Baselines3 has, read from the store when they are indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .index import Index


class RingColumn:
    """A read-only array of shape (buffer_size, n_envs, ...), whose items are in the store.

    `np.asarray` reads all of it, an index only what it names. Steps that have not been written are
    zeros, as in the arrays of Stable-Baselines3.

    Args:
        index: of the transitions.
        read: reads the items of slots, an int64 array of one dimension.
        shape: of one item.
        dtype: of its numbers.
    """

    def __init__(
        self,
        index: Index,
        read: Callable[[NDArray[np.int64]], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self._index, self._read = index, read
        self._item_shape = shape
        self.dtype = dtype
        self.shape = (index.steps, index.n_envs, *shape)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[step] for step in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        """Read items, with an index for an array of this shape."""
        keys = key if isinstance(key, tuple) else (key,)
        if any(one is None or one is Ellipsis for one in keys):
            return np.asarray(self)[key]
        slots = np.arange(self.shape[0] * self.shape[1]).reshape(self.shape[:2])[keys[:2]]
        items: Any = self._items(np.asarray(slots))
        rest = keys[2:]
        return items[(slice(None),) * np.ndim(slots) + rest] if rest else items

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "the items of a replay buffer in a store cannot be read without a copy"
            )
        items = self[:]
        return items if dtype is None else np.asarray(items, dtype)

    def _items(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        flat = slots.ravel()
        written = flat < self._index.size * self._index.n_envs
        items = np.zeros((len(flat), *self._item_shape), self.dtype)
        if written.any():
            items[written] = self._read(flat[written])
        return items.reshape((*slots.shape, *self._item_shape))

    def __repr__(self) -> str:
        return f"<RingColumn of shape {self.shape}, {self.dtype}, in a store>"
