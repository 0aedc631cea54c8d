"""Batches on their way from a DataLoader's worker: one piece of shared memory instead of many.

Each tensor that leaves a process goes through a file descriptor of its own, which costs some
0.2 ms on both sides together, more than reading the whole batch. So a batch of a worker is packed
into one tensor when it is pickled, and taken apart into views of it where it arrives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree
from torch.utils.data import get_worker_info

_ALIGNMENT = 64  # bytes; of every tensor in the packed one


class Travelling(dict[str, Any]):
    """A batch in a worker, for whose own code it is a dict; it arrives as a plain one."""

    def __copy__(self) -> Travelling:  # torch's default_convert copies what it converts
        return Travelling(self)

    def __reduce__(self) -> Any:  # for files: what torch.load() takes without more
        return OrderedDict, (), None, None, iter(self.items())


class _Place(NamedTuple):
    """Where a tensor lies in the packed one."""

    offset: int
    dtype: str
    shape: tuple[int, ...]


def from_worker(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch, made ready to travel where this process is a worker."""
    return batch if get_worker_info() is None else Travelling(batch)


def _map(kind: type, value: Any, change: Callable[[Any], Any]) -> Any:
    """The same nested dicts with `change` of every leaf of that kind."""
    if type(value) is dict:
        return {name: _map(kind, item, change) for name, item in value.items()}
    return change(value) if type(value) is kind else value


def _pack(batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    arrays: list[tuple[_Place, np.ndarray[Any, Any]]] = []
    size = 0

    def place(tensor: torch.Tensor) -> _Place | torch.Tensor:
        nonlocal size
        try:
            array = tensor.numpy()
        except (
            RuntimeError,
            TypeError,
        ):  # not ours: with a gradient, on a device, of another dtype
            return tensor
        arrays.append((_Place(size, array.dtype.str, array.shape), array))
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
        return arrays[-1][0]

    places = _map(torch.Tensor, dict(batch), place)
    packed = torch.empty(size, dtype=torch.uint8)
    memory = packed.numpy()
    for (offset, dtype, shape), array in arrays:
        np.ndarray(shape, dtype, memory, offset)[...] = array
    return packed, places


def _unpack(packed: torch.Tensor, places: dict[str, Any]) -> Any:
    memory = packed.numpy()
    return _map(
        _Place,
        places,
        lambda place: torch.from_numpy(np.ndarray(place.shape, place.dtype, memory, place.offset)),
    )


def _flatten(batch: Travelling) -> tuple[list[Any], list[str]]:
    return list(batch.values()), list(batch)


def _unflatten(values: Iterable[Any], names: list[str]) -> Travelling:
    return Travelling(zip(names, values, strict=True))


ForkingPickler.register(Travelling, lambda batch: (_unpack, _pack(batch)))
_pytree.register_pytree_node(Travelling, _flatten, _unflatten)
