"""The transitions of one replay buffer: a store, the index of its newest ones, and appending.

How transitions become rows. A call of `add` appends one row for each environment, in their order:
observation, action, reward. The observation that follows is not stored with it. It is the
observation of the next `add`, whose row is the next one of that environment. Only where the next
`add` begins with another observation is a row of its own appended, which has no action:

1. The episode ended: `add` appends the row of the final observation at once.
2. The next `add` begins elsewhere, because the environment was reset in between: the row is
   appended then, from a copy in memory, and the transition counts as the last of its episode.
3. The store is closed or saved: the row is appended, so that another process can continue.

Until one of these or the next `add`, the newest observations exist in memory only. If the process
is killed, the last transition of each environment is therefore not found again.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store import StreamStore

from .index import Index, scan
from .layout import Layout

#: Observations up to this size are read together with those that follow, and copied apart.
_SMALL_BYTES = 1024


class DroppedRows(list[NDArray[np.int64]]):
    """A list of arrays of rows, which can be referred to weakly."""


class Transitions:
    """A store of transitions and the index of those that can be sampled.

    Args:
        store: open for writing; its fields are those of `layout`.
        layout: the fields.
        steps: steps that can be sampled; each has one transition of every environment.

    Attributes:
        store: the store.
        layout: the fields.
        index: the newest transitions.
    """

    def __init__(self, store: StreamStore, layout: Layout, steps: int) -> None:
        self.store, self.layout = store, layout
        n_envs = layout.n_envs
        self.index = Index(steps, n_envs)
        # Lists to which the rows of transitions are appended that leave the index. Not a WeakSet:
        # to find out that it is empty would be a tenth of the time of `add`.
        self._dropped: list[weakref.ref[DroppedRows]] = []
        found = scan(store, n_envs)
        self.index.fill(found)
        self._process = os.getpid()
        self._envs = np.arange(n_envs)
        self._episode = np.zeros(n_envs, np.int64)  # the number of each one's episode
        self._next_episode = found.episodes
        self._begin_episodes(self._envs)
        self._pending = b""  # the newest next observations, as Layout.bytes_of has them
        self._open = np.zeros(n_envs, np.bool_)  # environments whose pending one has no row
        self._all_open = False  # whether all are
        self._held = np.zeros(n_envs, np.bool_)  # those whose pending one has a row, and may go on
        self._any_held = False
        self._may_leave = False  # whether one is open or held
        self._adds_to_check = 0
        self._limit_rows()

    # --- appending ---

    def add(
        self,
        obs: dict[str, NDArray[Any]],
        next_obs: dict[str, NDArray[Any]],
        actions: NDArray[Any],
        rewards: NDArray[np.float32],
        dones: NDArray[np.bool_],
        timeouts: NDArray[np.bool_] | None,
    ) -> None:
        """Append one transition of each environment.

        Args:
            obs: columns of the observations, as `Layout.fit_obs` makes them; completed here to
                those of whole rows.
            next_obs: as `obs`, the observations that follow.
            actions: (n_envs, ...), as `Layout.fit_action` makes them.
            rewards: (n_envs,).
            dones: (n_envs,) whether the episode ended.
            timeouts: (n_envs,) whether it was truncated; None if no episode was.
        """
        index, store, layout, columns = self.index, self.store, self.layout, obs
        begins = layout.bytes_of(obs)
        if self._may_leave and (begins != self._pending or self._any_held):
            self._leave_episodes(begins)
        columns["action"] = actions
        columns["reward"] = rewards
        columns["episode"] = self._episode
        if index.next_rows is not None:
            columns["env"] = self._envs
        if timeouts is None and True in dones.tolist():  # any() takes 1 µs
            timeouts = np.zeros_like(dones)
        if timeouts is not None:
            columns["terminated"], columns["truncated"] = dones & ~timeouts, timeouts
        first = store.num_rows
        store.extend(columns)
        pos = index.pos
        if index.full:
            index.clear_ends(pos)
            if self._dropped:
                self._note_dropped(index.rows[pos].copy())
        if index.next_rows is None:
            index.flat_rows[pos] = first
        else:
            rows = np.arange(first, first + index.n_envs)
            index.rows[pos] = rows
            if self._all_open:
                index.next_rows[pos - 1] = rows
            elif self._pending:
                index.next_rows[pos - 1, self._open] = rows[self._open]
        if timeouts is not None:
            index.set_ends(pos, dones, timeouts)
        index.advance()
        self._pending = layout.bytes_of(next_obs)
        if not self._all_open:
            self._open[:] = self._all_open = self._may_leave = True
        if timeouts is not None:
            self._append_pending(dones | timeouts)
        self._count_add()

    def _note_dropped(self, rows: NDArray[np.int64]) -> None:
        """Tell the objects that draw by priority which rows leave the index."""
        for reference in self._dropped:
            if (dropped := reference()) is not None:
                dropped.append(rows)

    def _count_add(self) -> None:
        self._adds_to_check -= 1
        if self._adds_to_check < 0:
            self._limit_rows()

    def _leave_episodes(self, begins: bytes) -> None:
        """End the episodes of environments whose next transition begins with `begins` elsewhere."""
        if begins != self._pending:
            differs = self.layout.differing(begins, self._pending)
            left = (self._open | self._held) & differs
            if left.any():
                self.index.gaps[self.index.last][left] = 1
                if (written := left & self._open).any():
                    self._append_pending(written)
        self._held[:] = self._any_held = False

    def _append_pending(self, which: NDArray[np.bool_]) -> None:
        """Append rows with pending observations, which ends the episodes of these environments."""
        index = self.index
        envs = which.nonzero()[0]
        columns = self._pending_obs()
        columns["episode"] = self._episode
        if len(envs) < index.n_envs:
            columns = {name: array[envs] for name, array in columns.items()}
        if index.n_envs > 1:
            columns["env"] = envs
        first = self.store.num_rows
        self.store.extend(columns)
        if index.next_rows is not None:
            index.next_rows[index.last, envs] = np.arange(first, first + len(envs))
        self._open[envs] = self._all_open = False
        self._may_leave = self._any_held or len(envs) < index.n_envs
        self._begin_episodes(envs)

    def _begin_episodes(self, envs: NDArray[np.intp]) -> None:
        """Give the next rows of these environments new numbers of episodes."""
        first = self._next_episode
        self._next_episode += len(envs)
        self._episode[envs] = np.arange(first, first + len(envs))

    def _pending_obs(self) -> dict[str, NDArray[Any]]:
        return self.layout.from_bytes(self._pending)

    def flush(self) -> None:
        """Append the rows of all pending observations. Episodes that go on get a new number."""
        if self._open.any():
            self._held |= self._open
            self._any_held = True
            self._append_pending(self._open.copy())
            self._count_add()

    def _limit_rows(self) -> None:
        """Set how many rows the store retains, so that no row of the index is dropped.

        Episodes that end add rows, so the number of rows of the index is known only as they are
        written. The limit is raised in time, by a quarter.
        """
        index = self.index
        transitions = index.steps * index.n_envs
        oldest = index.oldest_row()
        needed = 0 if oldest is None else self.store.num_rows - oldest
        limit = max(transitions + transitions // 8 + 1024, needed + needed // 4) + 8 * index.n_envs
        rows, count, segments, by = self.store._retention
        if rows != limit:
            self.store._set_retention((limit, count, segments, by))
        # An add appends at most three rows for each environment.
        self._adds_to_check = (limit - needed) // (3 * index.n_envs) - 2

    # --- reading ---

    def read(
        self, slots: NDArray[np.int64], last_slots: NDArray[np.int64]
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]], NDArray[Any], NDArray[np.float32]]:
        """Read observations, those after the transitions `last_slots`, actions and rewards.

        Args:
            slots: the transitions, one dimension.
            last_slots: of the same shape; `slots` itself for steps of one transition.

        Returns:
            Arrays that own their memory, each (len(slots), *shape); the rewards (len(slots),).
        """
        index, layout, store = self.index, self.layout, self.store
        count = len(slots)
        rows = index.flat_rows[slots]
        at_end = self._without_next_row(last_slots)
        adjacent = index.n_envs == 1 and last_slots is slots and at_end is None
        if adjacent and layout.obs_bytes <= _SMALL_BYTES:
            batch = store.read_rows(rows, 2, fields=[*layout.obs_names, "action", "reward"])
            pairs = [batch[name] for name in layout.obs_names]
            firsts = [np.ascontiguousarray(pair[:, 0]) for pair in pairs]
            lasts = [np.ascontiguousarray(pair[:, 1]) for pair in pairs]
            action, reward = (
                np.ascontiguousarray(batch[name][:, 0]) for name in ("action", "reward")
            )
            return self._shaped(firsts, lasts, action, reward)
        next_rows = index.next_of(last_slots)
        if at_end is not None:
            next_rows[at_end] = rows[at_end]  # any row: replaced below
        both = store.read_rows(np.concatenate([rows, next_rows]), fields=layout.obs_names)
        firsts = [both[name][:count] for name in layout.obs_names]
        lasts = [both[name][count:] for name in layout.obs_names]
        if at_end is not None:
            envs = last_slots[at_end] % index.n_envs
            pending = self._pending_obs()
            for name, array in zip(layout.obs_names, lasts, strict=True):
                array[at_end] = pending[name][envs]
        batch = store.read_rows(rows, fields=["action", "reward"])
        return self._shaped(firsts, lasts, batch["action"], batch["reward"])

    def _without_next_row(self, slots: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which slots have their next observation in memory only; None if no slot has."""
        index = self.index
        begin = index.last * index.n_envs
        if index.n_envs == 1:
            if not self._open[0]:
                return None
            found = slots == begin
        else:
            found = (slots >= begin) & (slots < begin + index.n_envs)
            if found.any():
                found[found] = self._open[slots[found] - begin]
        return found if found.any() else None

    def _shaped(
        self,
        firsts: list[NDArray[Any]],
        lasts: list[NDArray[Any]],
        action: NDArray[Any],
        reward: NDArray[Any],
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]], NDArray[Any], NDArray[np.float32]]:
        """The arrays in the shapes of Stable-Baselines3, in which a number has an axis."""
        count = len(action)
        for arrays in (firsts, lasts):
            for place, column in enumerate(self.layout.obs):
                if column.scalar:
                    arrays[place] = arrays[place].reshape(count, *column.shape)
        return firsts, lasts, action.reshape(count, *self.layout.action.shape), reward

    def read_rewards(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rewards of transitions, in the shape of `slots`."""
        rewards = self.store.read_rows(self.index.flat_rows[slots].ravel(), fields=["reward"])
        return np.asarray(rewards["reward"], np.float32).reshape(slots.shape)

    # --- the end ---

    @property
    def in_own_process(self) -> bool:
        """Whether this process opened the store; False in a fork of it."""
        return self._process == self._getpid()

    def watch_dropped(self) -> DroppedRows:
        """A list to which transitions are appended that leave the index, while it exists.

        It begins with all other transitions of the store that are not in the index.
        """
        store = self.store
        mask = store.read_rows(slice(store.first_row, None), fields=["reward"])["_mask"]["reward"]
        acts = store.num_rows - len(mask) + np.flatnonzero(mask)
        dropped = DroppedRows([acts[self.index.slots_of(acts) < 0]])
        self._dropped.append(weakref.ref(dropped, self._dropped.remove))
        return dropped

    def clear(self) -> None:
        """Remove all transitions, from the store too."""
        store = self.store
        if store.path is None:
            store.clear()
        elif store.num_rows > store.first_row:
            # If rows were dropped, the first one left has to stay. It is no whole step any more.
            store.truncate(store.first_row + (store.first_row > 0))
        self.index.clear()
        self._pending = b""
        self._open[:] = self._all_open = self._may_leave = False
        self._held[:] = self._any_held = False
        self._begin_episodes(self._envs)
        self._limit_rows()

    def sync(self) -> None:
        """Make all transitions durable."""
        self.flush()
        self.store.sync()

    def close(self) -> None:
        """Append pending observations and close the store, in the process that opened it only."""
        if self.in_own_process and not self.store.closed:
            try:
                self.flush()
            finally:
                self.store.close()

    # A reference of its own: when the interpreter ends, modules are gone before some objects are.
    _getpid = staticmethod(os.getpid)

    def __del__(self) -> None:
        if hasattr(self, "_held"):
            self.close()
