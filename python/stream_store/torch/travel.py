"""Transfer of batches from a DataLoader's worker: one block of shared memory per batch.

torch sends each tensor through a file descriptor of its own, which costs about 0.2 ms in the two
processes together, more than reading the whole batch. So a worker packs a batch into one shared
tensor, and the receiver makes views of it. The packing happens before the batch is put into the
worker's queue: the thread of the queue may be terminated at any time, and must not be inside a call
of torch that has released the GIL then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree
from torch.utils.data import get_worker_info

_ALIGNMENT = 64  # of every tensor inside the packed one, in bytes


class _Place(NamedTuple):
    """Position of a tensor inside the packed one."""

    offset: int
    dtype: str
    shape: tuple[int, ...]


class Travelling(dict[str, Any]):
    """A batch in a worker. It is a dict for the worker's code, and arrives as a plain dict.

    Items that the worker's code adds are sent as in any other dict.
    """

    packed: torch.Tensor | None = None
    places: Mapping[int, tuple[torch.Tensor, _Place]] = {}  # key: id of a tensor that is a view

    def __copy__(self) -> Travelling:  # torch's default_convert copies its argument
        copy = Travelling(self)
        copy.packed, copy.places = self.packed, self.places
        return copy

    def __reduce__(self) -> Any:  # in files: a form that torch.load() accepts by default
        return OrderedDict, (), None, None, iter(self.items())


def from_worker(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch, packed for sending if this process is a worker."""
    return batch if get_worker_info() is None else pack(batch)


def pack(batch: dict[str, Any]) -> Travelling:
    """The same batch, its tensors views of one shared tensor."""
    places: list[tuple[_Place, np.ndarray[Any, Any]]] = []
    size = 0

    def place(tensor: torch.Tensor) -> _Place:
        nonlocal size
        array = tensor.numpy()
        places.append((_Place(size, array.dtype.str, array.shape), array))
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
        return places[-1][0]

    skeleton = _map(torch.Tensor, batch, place)
    packed = torch.empty(max(size, 1), dtype=torch.uint8).share_memory_()
    memory = packed.numpy()
    views = {one: _view(memory, one) for one, _ in places}
    for one, array in places:
        views[one].numpy()[...] = array
    travelling = Travelling(_map(_Place, skeleton, views.__getitem__))
    travelling.packed = packed
    travelling.places = {id(view): (view, one) for one, view in views.items()}
    return travelling


def _view(memory: np.ndarray[Any, Any], place: _Place) -> torch.Tensor:
    return torch.from_numpy(np.ndarray(place.shape, place.dtype, memory, place.offset))


def _map(kind: type, value: Any, change: Callable[[Any], Any]) -> Any:
    """Nested dicts with `change` applied to every leaf of type `kind`."""
    if type(value) is dict or type(value) is Travelling:
        return {name: _map(kind, item, change) for name, item in value.items()}
    return change(value) if type(value) is kind else value


def _reduce(batch: Travelling) -> Any:
    def place(tensor: torch.Tensor) -> _Place | torch.Tensor:
        known = batch.places.get(id(tensor))
        return known[1] if known and _is_as_packed(tensor, batch.packed, known[1]) else tensor

    return _unpack, (batch.packed, _map(torch.Tensor, batch, place))


def _is_as_packed(tensor: torch.Tensor, packed: torch.Tensor | None, place: _Place) -> bool:
    """Whether a view still matches its place; the worker may have changed it in place."""
    return (
        packed is not None
        and tuple(tensor.shape) == place.shape
        and tensor.is_contiguous()
        and not tensor.requires_grad
        and (tensor.numel() == 0 or tensor.data_ptr() == packed.data_ptr() + place.offset)
    )


def _unpack(packed: torch.Tensor | None, places: dict[str, Any]) -> Any:
    if packed is None:
        return places
    memory = packed.numpy()
    return _map(_Place, places, lambda place: _view(memory, place))


def _flatten(batch: Travelling) -> tuple[list[Any], list[str]]:
    return list(batch.values()), list(batch)


def _unflatten(values: Iterable[Any], names: list[str]) -> Travelling:
    return Travelling(zip(names, values, strict=True))


ForkingPickler.register(Travelling, _reduce)
_pytree.register_pytree_node(Travelling, _flatten, _unflatten)
