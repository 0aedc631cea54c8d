"""Draws the transitions of a replay buffer by priority."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_store import Priorities, WindowSampler
from stream_store._arguments import plain_array

from .transitions import Transitions


class PriorityBatch(NamedTuple):
    """What belongs to the batch that was sampled last; see `StreamReplayBuffer.last_batch`.

    Attributes:
        indices: int64 (batch,), for `StreamReplayBuffer.update_priorities`: the rows of the
            transitions in the store.
        weights: float32 tensor (batch, 1) on the device of the buffer, for the loss of each
            transition.
        probabilities: float64 (batch,), with which each transition was drawn.

    Examples:
        >>> from stream_store.sb3 import PriorityBatch
        >>> PriorityBatch._fields
        ('indices', 'weights', 'probabilities')
    """

    indices: NDArray[np.int64]
    weights: Any
    probabilities: NDArray[np.float64]


class PriorityDraws:
    """Draws transitions by priority, with a WindowSampler of the rows that have an action.

    A row is drawn when the next one exists, so the newest transition is drawn after the next `add`.
    The sampler also knows transitions that the buffer no longer samples, until the store drops
    them. Their priority is set to 0 before the next draw.

    Args:
        transitions: of the buffer.
        priorities: as for WindowSampler, without `mix`.

    Raises:
        ValueError: `mix` is given: it would also draw transitions of priority 0.
    """

    def __init__(self, transitions: Transitions, priorities: Priorities) -> None:
        if not isinstance(priorities, Priorities):
            raise TypeError(f"priorities must be a Priorities, not {priorities!r}")
        if priorities.mix:
            raise ValueError("priorities: a replay buffer does not support mix")
        self._transitions = transitions
        self.priorities = priorities
        self.sampler: WindowSampler | None = None
        self._dropped = transitions.watch_dropped()

    def draw(
        self, batch_size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
        """Draw transitions: slots, rows, weights and probabilities."""
        sampler = self._prepared(batch_size)
        index = self._transitions.index
        size = index.size * index.n_envs
        starts = sampler.num_starts
        if starts > 0:
            rows, weights, probabilities = sampler._core.draw_indices()
            assert weights is not None
            assert probabilities is not None
            slots = index.slots_of(rows)
            if (slots >= 0).all():
                if self.priorities.normalize is None:  # the sampler has counted rows with 0, too
                    newest = index.flat_rows[(index.last + 1) * index.n_envs - 1]
                    drawable = size - int(newest == self._incomplete_row())
                    weights *= (starts / drawable) ** sampler.beta
                return slots, rows, weights, probabilities
        # There is one transition, or all priorities are 0, which makes all rows equally likely.
        slots = np.random.randint(0, size, batch_size)  # noqa: NPY002
        equal = np.full(batch_size, 1 / size)
        return slots, index.flat_rows[slots], np.ones(batch_size, np.float32), equal

    def _incomplete_row(self) -> int:
        """The last row if values may still be added, so that no sampler draws it; or -1."""
        store = self._transitions.store
        rows = store.num_rows
        return rows - 1 if store.complete_rows < rows else -1

    def _prepared(self, batch_size: int) -> WindowSampler:
        """The sampler for batches of this size, which draws listed transitions only."""
        sampler = self.sampler
        if sampler is None or sampler._options["batch_size"] != batch_size:
            seed = np.random.randint(1 << 31)  # noqa: NPY002
            made = WindowSampler(
                self._transitions.store,
                offsets={"reward": [0]},
                require=("reward",),
                batch_size=batch_size,
                priorities=self.priorities,
                seed=int(seed),
            )
            if sampler is not None:
                made.load_state_dict(sampler.state_dict() | {"batch_size": batch_size})
                made._set_priorities(sampler._read_priorities())
            self.sampler = sampler = made
        if self._dropped:
            sampler.update(np.concatenate([rows.ravel() for rows in self._dropped]), 0)
            self._dropped.clear()
        return sampler

    def update(self, indices: Any, priorities: Any) -> int:
        """Set priorities of rows; returns how many rows cannot be drawn, or not yet."""
        if self.sampler is None:
            raise ValueError("update_priorities: nothing has been sampled yet")
        indices, given = plain_array(indices), plain_array(priorities)
        if indices.dtype.kind not in "iu" or given.shape not in {indices.shape, ()}:
            raise ValueError(
                "update_priorities: expected the indices of a batch and a priority for each, or "
                f"one for all; found indices of {indices.dtype} and shape {indices.shape}, and "
                f"priorities of shape {given.shape}"
            )
        oldest = self._transitions.index.oldest_row()
        known = indices >= (self._transitions.store.num_rows if oldest is None else oldest)
        known &= indices != self._incomplete_row()
        given = np.broadcast_to(given, indices.shape)
        return int((~known).sum()) + self.sampler.update(indices[known], given[known])
