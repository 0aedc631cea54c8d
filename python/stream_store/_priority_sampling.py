"""The part of WindowSampler that concerns priorities."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments, _core
from ._priority_file import read_priorities, write_priorities
from .priorities import Priorities

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._types import AnyPath
    from .group import StoreGroup
    from .store import StreamStore

#: The logarithm to base 2 of the largest weight of a window. The core has the exact limit.
_MOST_LOG_WEIGHT = 899

#: The place of a sampler with priorities among its options, as the core takes them.
_OPTION = "priorities"


class PrioritySampling:
    """Draws by priority. Raises ValueError for a sampler that was made without priorities."""

    _core: _core.Sampler
    _stores: list[StreamStore]
    _group: StoreGroup | None
    _options: dict[str, Any]

    def update(self, index: npt.ArrayLike, priority: npt.ArrayLike) -> int:
        """Set the priorities of windows.

        Args:
            index: ints, "_index" of batches that this sampler has drawn; an array or a torch
                tensor. If one is repeated, its last priority counts. Those of rows that were
                dropped since are ignored.
            priority: finite numbers >= 0 with (priority + eps)^alpha <= 2^900, one for each
                index, or one for all; an array or a torch tensor of any device. A window with
                priority 0 is not drawn any more.

        Returns:
            How many were ignored.

        Raises:
            ValueError: a priority is out of range, or an index is not one of this sampler. Nothing
                has changed then.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32"})
            >>> rows = store.extend({"obs": np.arange(100)})
            >>> sampler = WindowSampler(store, 2, batch_size=8, priorities=Priorities())
            >>> batch = sampler.sample()
            >>> error = np.abs(batch["obs"][:, 0] - 50)
            >>> sampler.update(batch["_index"], error)
            0
        """
        self._require_priorities("update")
        indices = _arguments.plain_array(index)
        if indices.dtype.kind not in "iu" and indices.size > 0:
            raise ValueError(f"index must be ints, not {indices.dtype}")
        given = _arguments.plain_array(priority)
        if given.dtype.kind not in "iufb":
            raise ValueError(f"priority must be numbers, not {given.dtype}")
        if given.shape not in (indices.shape, ()):
            raise ValueError(
                f"priority must have the shape of index, {indices.shape}, or be one number, found "
                f"shape {given.shape}"
            )
        if given.shape == ():
            given = np.full(indices.shape, given)
        flat = np.ascontiguousarray(indices, np.int64)
        return self._core.update_priorities(flat, np.ascontiguousarray(given, np.float64))

    @property
    def priorities(self) -> Priorities | None:
        """The `Priorities` of this sampler, with alpha and beta as they are now."""
        made: Priorities | None = self._options[_OPTION]
        if made is None:
            return None
        alpha, beta, _ = self._core.state()["priority_state"]
        return dataclasses.replace(made, alpha=alpha, beta=beta)

    @property
    def alpha(self) -> float:
        """The exponent of the priorities.

        A new value holds for all windows at once: their weights are computed again from the
        priorities.
        """
        return self._current("alpha").alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        changed = dataclasses.replace(self._current("alpha"), alpha=alpha)
        self._core.set_powers(float(changed.alpha), None)

    @property
    def beta(self) -> float:
        """The exponent of the correction by "_weight"; a new value holds from the next batch on."""
        return self._current("beta").beta

    @beta.setter
    def beta(self, beta: float) -> None:
        changed = dataclasses.replace(self._current("beta"), beta=beta)
        self._core.set_powers(None, float(changed.beta))

    def save_priorities(self, path: AnyPath) -> None:
        """Write the priorities of all windows to a file, which is replaced as a whole.

        `state_dict` does not have them: it has alpha, beta and the largest priority. To resume,
        call `load_state_dict` and then `load_priorities`.

        Args:
            path: path of the file, an .npz file of NumPy; 8 bytes for each row.

        Raises:
            ValueError: the path is inside a store.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32"})
            >>> rows = store.extend({"obs": np.arange(100)})
            >>> sampler = WindowSampler(store, 2, batch_size=8, priorities=Priorities())
            >>> sampler.update(sampler.sample()["_index"], 5)
            0
            >>> sampler.save_priorities("priorities.npz")
            >>> other = WindowSampler(store, 2, batch_size=8, priorities=Priorities())
            >>> other.load_state_dict(sampler.state_dict())
            >>> other.load_priorities("priorities.npz")
            >>> bool((other.sample()["_index"] == sampler.sample()["_index"]).all())
            True
        """
        from pathlib import Path  # here, because it imports many others

        self._require_priorities("save_priorities")
        ids = [own for own, _ in self._core.store_ids()]
        write_priorities(Path(_arguments.path_text(path)), ids, self._read_priorities())

    def load_priorities(self, path: AnyPath) -> None:
        """Set the priorities that `save_priorities` has written.

        Windows that the file does not have keep theirs, and rows that were dropped since are
        ignored. So the files of several ranks can be loaded one after the other.

        Args:
            path: path of the file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is of other stores, has priorities of rows that the stores do not
                have, or is not a file of priorities. Nothing has changed then.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32"})
            >>> rows = store.extend({"obs": np.arange(100)})
            >>> sampler = WindowSampler(store, 2, batch_size=8, priorities=Priorities())
            >>> sampler.update(range(98), 0)
            0
            >>> sampler.save_priorities("priorities.npz")
            >>> other = WindowSampler(store, 2, batch_size=8, priorities=Priorities())
            >>> other.load_priorities("priorities.npz")
            >>> int(other.sample()["_index"].min())
            98
        """
        from pathlib import Path  # here, because it imports many others

        self._require_priorities("load_priorities")
        expected = [set(ids) for ids in self._core.store_ids()]
        of_group = self._group is not None
        file = Path(_arguments.path_text(path))
        self._set_priorities(read_priorities(file, expected, of_group=of_group))

    def _require_priorities(self, call: str) -> None:
        if self._options[_OPTION] is None:
            raise ValueError(
                f"{call} is for a sampler with priorities; make one with "
                "WindowSampler(…, priorities=Priorities())"
            )

    def _current(self, name: str) -> Priorities:
        self._require_priorities(name)
        current = self.priorities
        assert current is not None
        return current

    def _read_priorities(self) -> list[tuple[int, npt.NDArray[np.float64]]]:
        """The first row and the priorities of each store; empty without priorities."""
        if self._options[_OPTION] is None:
            return []
        parts = []
        for store in range(len(self._core.store_ids())):
            first, end = self._core.priority_rows(store)
            parts.append((first, self._core.read_priorities(store, first, end - first)))
        return parts

    def _set_priorities(self, parts: list[tuple[int, npt.NDArray[np.float64]]]) -> None:
        if self._group is not None:  # the numbers of stores that have left stay, without rows
            there = [self._core.priority_rows(store)[1] > 0 for store in range(len(parts))]
            parts = [
                part if one else (0, part[1][:0]) for part, one in zip(parts, there, strict=True)
            ]
        current = self._current("load_priorities") if parts else Priorities()
        for store, (first, priorities) in enumerate(parts):
            most = float(np.nanmax(priorities, initial=0.0))
            if most > 0 and math.log2(most + current.eps) * current.alpha > _MOST_LOG_WEIGHT:
                raise ValueError(
                    f"load_priorities: priority {most} of store {store} is too large for alpha "
                    f"{current.alpha}: (p + eps)^alpha must be at most 2^{_MOST_LOG_WEIGHT}"
                )
            end = self._core.priority_rows(store)[1]
            if first + len(priorities) > end:
                raise ValueError(
                    f"load_priorities: there are priorities of rows before "
                    f"{first + len(priorities)}, but store {store} has {end} rows"
                )
        for store, (first, priorities) in enumerate(parts):
            if len(priorities):
                self._core.load_priorities(store, first, priorities)
