"""Batches as dicts of tensors, and as the list of samples that a DataLoader collates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data._utils.collate import default_collate_fn_map

from stream_store._arguments import one_index
from stream_store.window_source import item_of

from .travel import from_worker


def to_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch with its arrays as tensors that share their memory.

    Dates and times become int64 counts. Text, bytes, decimals and the values of nested fields
    become lists, because tensors cannot hold them. Structs stay dicts.
    """
    return {name: _to_tensor(value) for name, value in batch.items()}


def _to_tensor(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_tensor(item) for name, item in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind in "mM":
        value = value.view(np.int64)
    return torch.from_numpy(value) if value.dtype.kind in "biuf" else value.tolist()


class Sample(dict[str, Any]):
    """One window: a dict of tensors without the batch dimension."""


def sample_of(batch: dict[str, Any], i: int) -> Sample:
    return Sample((name, item_of(value, i)) for name, value in batch.items())


class LazySample(Mapping[str, Any]):
    """A Sample that takes each tensor from the batch on access."""

    def __init__(self, batch: dict[str, Any], i: int) -> None:
        self._batch = batch
        self._i = i

    def __getitem__(self, name: str) -> Any:
        return item_of(self._batch[name], self._i)

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch)

    def __len__(self) -> int:
        return len(self._batch)


class Samples(Sequence[LazySample]):
    """A batch in the form of a list of samples, for custom collate functions.

    torch's default collation looks up the type of the first sample and finds `_collate`, which
    returns the batch unchanged.
    """

    def __init__(self, batch: dict[str, Any], size: int) -> None:
        self.batch = batch
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(self._size))]
        i = one_index(i, "samples[i] is one sample")
        if not -self._size <= i < self._size:
            raise IndexError(f"sample {i} is outside [0, {self._size})")
        return LazySample(self.batch, i % self._size)


def _collate(samples: Any, *, collate_fn_map: Any = None) -> dict[str, Any]:  # noqa: ARG001
    if isinstance(samples, Samples):
        return from_worker(samples.batch)
    # Samples that were read one by one.
    return from_worker({name: _stack([sample[name] for sample in samples]) for name in samples[0]})


def _stack(items: list[Any]) -> Any:
    """One batch of tensors, by name if the items are dicts. Ragged ones are padded with zeros to
    the longest. Other items, such as lists of texts, stay a list.
    """
    if isinstance(items[0], dict):
        return {name: _stack([item[name] for item in items]) for name in items[0]}
    if not isinstance(items[0], torch.Tensor):
        return items
    longest = [max(sizes) for sizes in zip(*(item.shape for item in items), strict=True)]
    batch = items[0].new_zeros((len(items), *longest))
    for place, item in zip(batch, items, strict=True):
        place[tuple(slice(0, size) for size in item.shape)] = item
    return batch


default_collate_fn_map[Sample] = default_collate_fn_map[LazySample] = _collate
