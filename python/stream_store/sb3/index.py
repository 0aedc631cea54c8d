"""The transitions that can be sampled: the row and the flags of each, in memory.

Transitions are numbered as in the arrays of Stable-Baselines3: a *slot* is a step of the ring times
`n_envs`, plus the environment. With 23 bytes for each transition, or 15 for one environment, the
index takes a small part of what the transitions take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store import StreamStore

_ROWS_AT_ONCE = 1 << 20


class Index:
    """A ring of steps, each with one transition of every environment.

    Args:
        steps: size of the ring.
        n_envs: transitions of a step.

    Attributes:
        pos: the step that is written next.
        full: whether all steps of the ring have been written.
        rows: int64 (steps, n_envs), the row of each transition.
        next_rows: int64 (steps, n_envs), the row of the observation that follows. None with one
            environment, where it is the next row.
        dones: uint8 (steps, n_envs), 1 where the episode ended.
        timeouts: uint8 (steps, n_envs), 1 where it was truncated.
        gaps: uint8 (steps, n_envs), 1 where the next step of the ring does not continue the
            episode although it did not end.
        flags: uint8 (3, steps, n_envs), the memory of dones, timeouts and gaps.
        terminal: float32 (steps, n_envs), 1 where the episode ended and was not truncated.
        changeable: whether a caller has dones or timeouts and may change them. Then `terminal` is
            not used.
        flags_of_step: the same memory, (steps, 3, n_envs).
    """

    def __init__(self, steps: int, n_envs: int) -> None:
        self.steps, self.n_envs = steps, n_envs
        self.pos = 0
        self.full = False
        shape = (steps, n_envs)
        self.rows = np.zeros(shape, np.int64)
        self.next_rows = np.zeros(shape, np.int64) if n_envs > 1 else None
        self.flags = np.zeros((3, *shape), np.uint8)
        self.dones, self.timeouts, self.gaps = self.flags
        self.flags_of_step = self.flags.swapaxes(0, 1)
        self.terminal = np.zeros(shape, np.float32)
        self.changeable = False
        # Views of the same memory that look-ups of slots use.
        self.flat_rows = self.rows.ravel()
        self.flat_next_rows = None if self.next_rows is None else self.next_rows.ravel()
        self.flat_dones = self.dones.ravel()
        self.flat_timeouts = self.timeouts.ravel()
        self.flat_terminal = self.terminal.ravel()

    @property
    def size(self) -> int:
        """Number of steps that can be sampled."""
        return self.steps if self.full else self.pos

    @property
    def last(self) -> int:
        """The step that was written last."""
        return (self.pos or self.steps) - 1

    def oldest_row(self) -> int | None:
        """The first row that is needed; None if the index is empty."""
        if self.full:
            return int(self.flat_rows[self.pos * self.n_envs])
        return int(self.flat_rows[0]) if self.pos else None

    def next_of(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of the observations that follow."""
        if self.flat_next_rows is None:
            rows: NDArray[np.int64] = self.flat_rows[slots] + 1
            return rows
        return self.flat_next_rows[slots]

    def terminal_at(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """1 for each slot whose episode ended and was not truncated, otherwise 0."""
        if not self.changeable:
            return self.flat_terminal[slots]
        return (self.flat_dones[slots] > self.flat_timeouts[slots]).astype(np.float32)

    def set_ends(self, step: int, dones: Any, timeouts: Any) -> None:
        """Set the flags of a step whose flags are 0."""
        self.dones[step] = dones
        self.timeouts[step] = timeouts
        self.terminal[step] = self.dones[step] > self.timeouts[step]

    def clear_ends(self, step: int) -> None:
        """Set all flags of a step to 0."""
        self.flags_of_step[step] = 0
        self.terminal[step] = 0

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slot of each row; -1 for a row that is not of a transition in the index."""
        parts = [(0, self.pos * self.n_envs)]
        if self.full:
            parts.append((self.pos * self.n_envs, self.steps * self.n_envs))
        slots = np.full(rows.shape, -1, np.int64)
        for begin, end in parts:  # the rows of each part ascend
            if begin < end:
                found = np.minimum(
                    np.searchsorted(self.flat_rows[begin:end], rows), end - begin - 1
                )
                found += begin
                slots = np.where(self.flat_rows[found] == rows, found, slots)
        return slots

    def advance(self) -> None:
        """Count the step at `pos` as written."""
        self.pos += 1
        if self.pos == self.steps:
            self.full = True
            self.pos = 0

    def clear(self) -> None:
        """Forget all transitions."""
        self.pos = 0
        self.full = False
        self.flags[:] = 0
        self.terminal[:] = 0

    def fill(self, scan: Scan) -> None:
        """Take the newest steps that a scan has found."""
        count = min(len(scan.rows), self.steps)
        newest = slice(len(scan.rows) - count, None)
        for mine, found in (
            (self.rows, scan.rows),
            (self.next_rows, scan.next_rows),
            (self.dones, scan.dones),
            (self.timeouts, scan.timeouts),
            (self.gaps, scan.gaps),
        ):
            if mine is not None:
                mine[:count] = found[newest]
        self.terminal[:count] = self.dones[:count] > self.timeouts[:count]
        self.full = count == self.steps
        self.pos = count % self.steps


@dataclass(frozen=True)
class Scan:
    """What the rows of a store say about its transitions, oldest step first.

    Attributes:
        episodes: one more than the largest number of an episode.
    """

    rows: NDArray[np.int64]
    next_rows: NDArray[np.int64]
    dones: NDArray[np.uint8]
    timeouts: NDArray[np.uint8]
    gaps: NDArray[np.bool_]
    episodes: int


def scan(store: StreamStore, n_envs: int) -> Scan:
    """Find the transitions in the retained rows of a store.

    Steps whose next observations are missing, because the process was killed that wrote them, are
    left out.

    Raises:
        ValueError: the rows are of another number of environments.
    """
    first = store.first_row
    columns = _read_columns(store, first, store.num_rows, n_envs)
    acts, episode, env = columns["acts"], columns["episode"], columns["env"]
    if len(env) and int(env.max()) >= n_envs:
        raise ValueError(
            f"{store.path}: expected transitions of {n_envs} environments but found those of "
            f"{int(env.max()) + 1}: n_envs must be that of the run that has recorded them"
        )
    following = _following(episode, n_envs)
    # A step is appended as n_envs adjacent rows, those of environments 0, 1, 2, …
    starts = np.flatnonzero(acts & (env == 0))
    members = starts[:, None] + np.arange(n_envs)
    members = members[members[:, -1] < len(acts)]
    whole = (acts[members] & (env[members] == np.arange(n_envs)) & (following[members] >= 0)).all(1)
    members = members[whole]
    terminated, truncated = columns["terminated"][members], columns["truncated"][members]
    next_rows = following[members]
    continues = np.zeros(members.shape, np.bool_)
    continues[:-1] = next_rows[:-1] == members[1:]
    return Scan(
        rows=members + first,
        next_rows=next_rows + first,
        dones=(terminated | truncated).astype(np.uint8),
        timeouts=truncated.astype(np.uint8),
        gaps=~(continues | terminated | truncated),
        episodes=int(episode.max()) + 1 if len(episode) else 0,
    )


def _read_columns(
    store: StreamStore, first: int, stop: int, n_envs: int
) -> dict[str, NDArray[Any]]:
    names = ["reward", "episode", "terminated", "truncated", *(["env"] if n_envs > 1 else [])]
    parts: list[dict[str, NDArray[Any]]] = []
    for begin in range(first, max(stop, first + 1), _ROWS_AT_ONCE):
        batch = store.read_rows(slice(begin, min(begin + _ROWS_AT_ONCE, stop)), fields=names)
        part = {name: batch[name] for name in names[1:]}
        part["acts"] = batch["_mask"]["reward"]
        part.setdefault("env", np.zeros(len(batch["reward"]), np.int32))
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _following(episode: NDArray[np.int64], n_envs: int) -> NDArray[np.int64]:
    """The place of the next row of the same episode; -1 if there is none."""
    following = np.full(len(episode), -1, np.int64)
    order = np.argsort(episode, kind="stable") if n_envs > 1 else np.arange(len(episode))
    same = episode[order[:-1]] == episode[order[1:]]
    following[order[:-1][same]] = order[1:][same]
    return following
