"""The collector: acts in an environment and appends every step to a store.

Used by record_and_sample.py. Row t gets obs_t before the agent acts. Action, reward, terminated and
truncated continue the same row after the step of the environment. One more row holds the final
observation of an episode. Other processes may sample the store meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stream_store import StreamStore

from .tasks import Policy

SYNC_EVERY = 50_000  # steps


@dataclass
class Log:
    """The recorded data in plain lists: an item per row and field, None for a missing field."""

    columns: dict[str, list[Any]]
    first_rows: list[int] = field(default_factory=list)  # of each episode
    rows: int = 0
    steps: int = 0
    seconds: float = 0.0
    append_seconds: float = 0.0  # spent inside append_step()
    appends: int = 0
    sync_seconds: float = 0.0

    def put(self, **values: Any) -> None:
        """Add a row."""
        for name, column in self.columns.items():
            column.append(values.get(name))
        self.rows += 1

    def complete(self, **values: Any) -> None:
        """Add fields to the last row."""
        for name, value in values.items():
            self.columns[name][-1] = value


class Recorder:
    """Appends to the store and keeps a copy of everything in a Log."""

    def __init__(self, store: StreamStore) -> None:
        self.store = store
        self.log = Log({name: [] for name in store.fields})

    def begin_row(self, **values: Any) -> None:
        self._append(values, None)
        self.log.put(**values)

    def complete_row(self, **values: Any) -> None:
        self._append(values, self.log.rows - 1)
        self.log.complete(**values)

    def _append(self, values: dict[str, Any], step: int | None) -> None:
        start = time.perf_counter()
        self.store.append_step(values, step)
        self.log.append_seconds += time.perf_counter() - start
        self.log.appends += 1


def record(
    store: StreamStore,
    env: Any,
    policy: Policy,
    steps: int,
    seed: int,
    watch: Callable[[int], None],
) -> Log:
    """Record whole episodes until at least `steps` steps are taken. Calls watch(steps so far)."""
    rng = np.random.default_rng(seed)
    recorder = Recorder(store)
    log = recorder.log
    begin = time.perf_counter()
    while log.steps < steps:
        log.first_rows.append(log.rows)
        episode_seed = int(rng.integers(2**31))
        obs, _ = env.reset(seed=episode_seed)
        recorder.begin_row(episode=len(log.first_rows) - 1, seed=episode_seed, obs=obs)
        while True:
            action = policy(obs, rng)
            obs, reward, terminated, truncated, _ = env.step(action)
            recorder.complete_row(
                action=action, reward=float(reward), terminated=terminated, truncated=truncated
            )
            log.steps += 1
            if log.steps % 1000 == 0:
                watch(log.steps)
            if log.steps % SYNC_EVERY == 0:
                start = time.perf_counter()
                store.sync()  # from here on these steps survive a power cut
                log.sync_seconds += time.perf_counter() - start
            if terminated or truncated:
                break
            recorder.begin_row(obs=obs)
        recorder.begin_row(obs=obs, end=True)
    watch(log.steps)
    log.seconds = time.perf_counter() - begin
    return log
