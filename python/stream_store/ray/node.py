"""NodeSampler: the actor of a node. It draws windows from the stores of its node.

It keeps no state of draws: every request has a key of its own that determines its random choices.
A request that is repeated, because the actor was restarted, therefore gives the same windows as
long as the stores are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_store._fields import declared_fields
from stream_store._types import Batch
from stream_store.errors import DroppedError
from stream_store.features import FieldSpec
from stream_store.sampler import WindowSampler
from stream_store.store import StreamStore

from .paths import find_stores

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
    """

    def __init__(self, paths: Sequence[str], arguments: dict[str, Any], may_lack: bool) -> None:
        # Stores are opened by the first call: Ray hides the type of an error of the constructor.
        self._paths = list(paths)
        self._arguments = arguments
        self._may_lack = may_lack
        self._stores: list[StreamStore] = []
        self._sampler: WindowSampler | None = None

    def facts(self) -> NodeFacts:
        """The stores now."""
        sampler = self._opened()
        if sampler is None:
            return NodeFacts([], 0, 0, [])
        starts = sampler.num_starts
        size = _bytes_of(sampler._core.read_starts([starts // 2])) if starts else 0
        return NodeFacts(self._found(), starts, size, declared_fields(self._stores[0]).specs)

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
        return Drawn(starts, self._found()[known:], windows)

    def _found(self) -> list[str]:
        return [str(store.path) for store in self._stores]

    def _opened(self) -> WindowSampler | None:
        """The sampler; None as long as there is no store."""
        if self._sampler is None:
            try:
                found = find_stores(self._paths, OPERATION)
            except FileNotFoundError:
                if not self._may_lack:
                    raise
                found = []
            if found:
                self._stores = [StreamStore(path, "r") for path in found]
                self._sampler = WindowSampler(self._stores, **self._arguments)
        return self._sampler


def _bytes_of(batch: Any) -> int:
    """About how many bytes a batch takes."""
    if isinstance(batch, dict):
        return sum(_bytes_of(one) for one in batch.values())
    return int(batch.nbytes) if isinstance(batch, np.ndarray) else len(repr(batch))
