"""RecordToStore: records the steps of one environment.

A row is appended as soon as its observation is known. `step` makes one append, which completes the
row of the last observation and begins the row of the next one, so a process that is killed loses
no transition, and no observation is kept or copied.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from stream_store._types import AnyPath
from stream_store.store import StreamStore

from .layout import Layout, next_episode

_FLAGS = ["terminated", "truncated"]


class RecordToStore(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Record an environment into a store. All calls return the results of the environment.

    Row t of an episode has the observation, the action taken there, and the reward and the end
    flags of that action. The final observation is a row of its own without action and reward. An
    episode that is cut, by `reset`, `close` or an exception of the environment, keeps the flags of
    its transitions as they were; on its final row `truncated` is True instead of False. Episodes
    continue the numbers that the store has.

    The fields are `episode`; `seed`, on the first row of an episode whose `reset` had one; `obs`;
    the keys of `info`; `action`; `reward` (float32); `terminated` and `truncated`. Those of `obs`
    and `action` follow from the spaces, as for `StreamStore.define_fields`.

    Args:
        env: the environment.
        store_or_path: a store that is open for writing, which `close` leaves open; or the path of
            one, which is created if it does not exist, and which `close` closes. A store that has
            fields must have those of the recording. It takes the rows of one recorder at a time.
        fields: features that replace the ones above, such as {"obs": "float16[4]"} or, for a Dict
            space, {"obs": {"pos": "float32[3]"}}, which records this part only. None leaves a
            field out. "options" adds a field for the options of `reset`, on the first row of an
            episode; as a "string" they are JSON. `episode` and the flags cannot be changed.
        info: keys of the info dictionaries to record, each with a feature in `fields`. A value is
            in the row of the observation with which it was returned; keys may be missing.

    Raises:
        ValueError: a space or a feature cannot be stored, or the store has other fields.
        TypeError: an argument has a wrong type.
        io.UnsupportedOperation: the store was not opened for writing.
        LockedError: another writer has the store at the path open.

    Cost:
        A few microseconds a step.

    Examples:
        >>> import gymnasium
        >>> from stream_store.gym import RecordToStore
        >>> env = RecordToStore(gymnasium.make("CartPole-v1"), "cartpole")
        >>> obs, info = env.reset(seed=1)
        >>> over = False
        >>> while not over:
        ...     obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
        ...     over = terminated or truncated
        >>> env.close()
        >>> store = StreamStore("cartpole", "r")
        >>> int(store.row(0)["seed"]), bool(store.row(-2)["terminated"]), store.row(-1)["action"]
        (1, True, None)
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        store_or_path: StreamStore | AnyPath,
        fields: Mapping[str, Any] | None = None,
        info: Sequence[str] = (),
    ) -> None:
        """Open the store and declare its fields; the class describes the arguments."""
        if not isinstance(env, gymnasium.Env):
            raise TypeError(
                f"RecordToStore: expected a gymnasium.Env, found {type(env).__name__}; "
                "RecordVectorToStore records a vector environment"
            )
        super().__init__(env)
        spaces = (env.observation_space, env.action_space)
        layout = Layout("RecordToStore", *spaces, has_env=False, fields=fields, info=info)
        self._layout = layout
        self._action = layout.action
        self._obs = layout.obs
        after = [*(leaf.name for leaf in layout.action), *["reward"][: layout.has_reward], *_FLAGS]
        self._after_count = len(after)
        self._names = [*after, "episode", *(leaf.name for leaf in layout.obs)]
        self._store, self._owns_store = layout.open_store(store_or_path)
        self._episode = next_episode(self._store) - 1
        self._row = _unfinished_row(self._store)  # the step of the row that waits for its action
        self._recording = False  # whether that row has the current observation

    @property
    def store(self) -> StreamStore:
        """The store, for example to sample from it while it grows."""
        return self._store

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and begin an episode. One that has not ended is cut.

        Args:
            seed: as for the environment.
            options: as for the environment.

        Returns:
            The observation and the info of the environment.

        Raises:
            ValueError: the store does not take a value, or is closed.
            StoreFullError: no space is left.

        Examples:
            >>> env = RecordToStore(gymnasium.make("CartPole-v1"), StreamStore())
            >>> obs, info = env.reset(seed=7)
            >>> int(env.store.row(0)["seed"])
            7
        """
        first = self._layout.facts(seed, options)
        self._cut()
        obs, info = self.env.reset(seed=seed, options=options)
        self._episode += 1
        first["episode"] = self._episode
        first.update((leaf.name, leaf.get(obs)) for leaf in self._obs)
        first.update((key, info.get(key)) for key in self._layout.info)
        self._row = self._store.append_step(first)
        self._recording = True
        return obs, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment, and record the transition and the next observation at once.

        Args:
            action: as for the environment.

        Returns:
            Observation, reward, flags and info of the environment.

        Raises:
            ResetNeeded: of Gymnasium; no episode has begun, or it has ended.
            RuntimeError: the store was changed by others since the last call.
            ValueError: the store does not take a value. The environment has been stepped, so call
                `reset` before the next step.
            StoreFullError: no space is left; as above.

        Examples:
            >>> env = RecordToStore(gymnasium.make("CartPole-v1"), StreamStore())
            >>> obs, info = env.reset(seed=7)
            >>> obs, reward, terminated, truncated, info = env.step(1)
            >>> int(env.store.row(0)["action"]), env.store.row(1)["action"]
            (1, None)
        """
        row = self._row
        if not self._recording or row is None or self._store.last_step != row:
            self._refuse_step()
        values = [_own(leaf.get(action)) for leaf in self._action]  # the environment may change it
        self._recording = False  # until all of it is stored
        try:
            obs, reward, terminated, truncated, info = self.env.step(action)
        except BaseException:
            self._cut()
            raise
        if self._layout.has_reward:
            values.append(reward)
        values += (terminated, truncated, self._episode)
        names = self._names
        for leaf in self._obs:
            values.append(leaf.get(obs))
        over = terminated or truncated
        if self._layout.info or over:
            names = names.copy()
            for key in self._layout.info:
                if (value := info.get(key)) is not None:
                    names.append(key)
                    values.append(value)
            if over:
                names += _FLAGS
                values += (False, False)
        count = self._after_count
        steps = [row] * count + [row + 1] * (len(names) - count)
        self._store.append(steps, names, values)
        self._row = None if over else row + 1
        self._recording = not over
        return obs, reward, terminated, truncated, info

    def close(self) -> None:
        """Cut an episode that has not ended, and close the environment and a store opened here.

        Raises:
            OSError: the disk reported an error; everything is closed all the same.

        Examples:
            >>> env = RecordToStore(gymnasium.make("CartPole-v1"), StreamStore())
            >>> obs, info = env.reset(seed=7)
            >>> env.close()
            >>> bool(env.store.row(0)["truncated"])
            True
        """
        try:
            self._cut()
        finally:
            try:
                self.env.close()
            finally:
                if self._owns_store:
                    self._store.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "RecordToStore cannot be copied or pickled, because its store has one writer; copy the "
            "environment inside, as in copy.deepcopy(env.env), which is not recorded"
        )

    # --- steps of the above ---

    def _cut(self) -> None:
        """Complete the row that waits for an action as the final row of an episode that was cut."""
        self._recording = False
        row = self._row
        if row is not None and not self._store.closed and self._store.last_step == row:
            self._store.append([row, row], _FLAGS, [False, True])
        self._row = None

    def _refuse_step(self) -> NoReturn:
        if not self._recording:
            raise ResetNeeded(
                "RecordToStore: call reset() before step(): no episode has begun, it has ended, "
                "or its last step failed. An environment that resets itself, such as one in the "
                "wrapper Autoreset, is recorded inside that wrapper"
            )
        raise RuntimeError(
            f"RecordToStore: expected the last step of the store to be {self._row}, the row "
            f"that waits for its action, but found {self._store.last_step}: others appended or "
            "removed rows. A store takes the rows of one recorder at a time; call reset()"
        )


def _own(value: Any) -> Any:
    """A value that the environment cannot change."""
    if type(value) is np.ndarray:
        return value.copy()
    return value if isinstance(value, (int, float, str, np.generic)) else copy.deepcopy(value)


def _unfinished_row(store: StreamStore) -> int | None:
    """The step of a last row that waits for its action, as a killed recorder leaves it; or None."""
    if store.kept_rows == 0:
        return None
    last = store.row(-1)
    if all(last.get(name) is None for name in ("action", "reward", *_FLAGS)):
        return store.last_step
    return None
