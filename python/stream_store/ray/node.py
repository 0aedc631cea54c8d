"""NodeSampler: the actor of a node. It draws windows from the stores of its node.

It keeps no state of draws: every request has a key of its own that determines its random choices.
A request that is repeated, because the actor was restarted, therefore gives the same windows as
long as the stores are the same. Two calls may run at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stream_store._fields import declared_fields
from stream_store._types import Batch
from stream_store.errors import DroppedError
from stream_store.features import FieldSpec
from stream_store.group import StoreGroup
from stream_store.sampler import WindowSampler
from stream_store.store import StreamStore

from .paths import find_stores, is_store, open_group

OPERATION = "stream_store.ray.Sampler"

_TRIES = 8  # draws until all windows are still there; a store may drop rows meanwhile


@dataclass(frozen=True)
class NodeFacts:
    """The stores of a node at one moment.

    Attributes:
        paths: of the stores, in the order of their numbers in the node's batches.
        num_starts: valid starts in all of them.
        window_bytes: about how many bytes a window takes; 0 if there is none yet.
        specs: the fields of the stores.
    """

    paths: list[str]
    num_starts: int
    window_bytes: int
    specs: list[FieldSpec]


@dataclass(frozen=True)
class Drawn:
    """The answer to a request for windows.

    Attributes:
        num_starts: valid starts of the node at the moment of the draw.
        new_paths: the stores that the driver does not know yet.
        windows: the windows; None if none were asked for, or there is no valid start.
    """

    num_starts: int
    new_paths: list[str]
    windows: Batch | None


def generator_of(seed: int, *key: int) -> np.random.Generator:
    """The generator for one purpose, which the key identifies."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class NodeSampler:
    """Draws windows from the stores at some paths.

    Args:
        paths: of stores, and of directories of stores.
        arguments: those of the WindowSampler.
        may_lack: whether a path may lead nowhere yet.
        skips: whether damaged stores of a group are left out.
    """

    def __init__(
        self, paths: Sequence[str], arguments: dict[str, Any], may_lack: bool, skips: bool
    ) -> None:
        # Stores are opened by the first call: Ray hides the type of an error of the constructor.
        self._paths = list(paths)
        self._arguments = arguments
        self._may_lack = may_lack
        self._skips = skips
        self._group: StoreGroup | None = None
        self._specs: list[FieldSpec] = []
        self._found: list[str] = []  # by the number of the store in batches
        self._sampler: WindowSampler | None = None
        self._lock = threading.Lock()  # of the group, the paths and the making of the sampler

    def facts(self) -> NodeFacts:
        """The stores now."""
        sampler = self._opened()
        if sampler is None:
            return NodeFacts([], 0, 0, [])
        starts = sampler.num_starts
        size = _bytes_of(sampler._core.read_starts([starts // 2])) if starts else 0
        return NodeFacts(self._numbered(sampler), starts, size, self._specs)

    def draw(self, count: int, seed: int, key: Sequence[int], known: int) -> Drawn:
        """Draw windows uniformly from all valid starts of the rows that are stored now.

        Args:
            count: how many; may be 0.
            seed: with `key`, determines the choices.
            key: identifies this draw.
            known: how many stores of this node the driver knows.
        """
        sampler = self._opened()
        if sampler is None:
            return Drawn(0, [], None)
        rng = generator_of(seed, *key)
        for _ in range(_TRIES - 1):
            try:
                return self._drawn(sampler, count, rng, known)
            except (DroppedError, IndexError):  # rows were dropped after the starts were counted
                continue
        return self._drawn(sampler, count, rng, known)

    def _drawn(
        self, sampler: WindowSampler, count: int, rng: np.random.Generator, known: int
    ) -> Drawn:
        starts = sampler.num_starts
        windows = None
        if count and starts:
            windows = sampler._core.read_starts(rng.integers(0, starts, count))
        return Drawn(starts, self._numbered(sampler)[known:], windows)

    def _numbered(self, sampler: WindowSampler) -> list[str]:
        """The paths of the stores, by their numbers in batches. Those of a group become more."""
        if self._group is None:
            return self._found
        with self._lock:
            ids = [own for own, _ in sampler._core.store_ids()]
            if len(ids) > len(self._found):
                self._group.refresh()
                core = self._group._core
                names = dict(zip(core.ids(), core.names(), strict=True))
                new = ids[len(self._found) :]
                self._found += [str(self._group.path / names.get(own, own)) for own in new]
            return list(self._found)

    def _opened(self) -> WindowSampler | None:
        """The sampler; None as long as there is nothing at the paths."""
        with self._lock:
            if self._sampler is None:
                try:
                    source = self._source()
                except FileNotFoundError:
                    if self._may_lack:
                        return None
                    raise
                self._sampler = WindowSampler(source, **self._arguments)
            return self._sampler

    def _source(self) -> StoreGroup | list[StreamStore]:
        """A single group, which is followed as its stores come and go, or a list of stores."""
        if len(self._paths) == 1 and not is_store(self._paths[0]):
            on_error: Literal["raise", "skip"] = "skip" if self._skips else "raise"
            self._group = open_group(self._paths[0], on_error, OPERATION)
            self._specs = declared_fields(self._group._holder).specs
            return self._group
        self._found = [place.path for place in find_stores(self._paths, OPERATION)]
        stores = [StreamStore(path, "r") for path in self._found]
        self._specs = declared_fields(stores[0]).specs
        return stores


def _bytes_of(batch: Any) -> int:
    """About how many bytes a batch takes."""
    if isinstance(batch, dict):
        return sum(_bytes_of(one) for one in batch.values())
    return int(batch.nbytes) if isinstance(batch, np.ndarray) else len(repr(batch))
