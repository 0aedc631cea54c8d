"""RecordVectorToStore: records the steps of a vector of environments.

Every tick appends the transitions of all environments, and the final observations of the episodes
that it ends, with one `extend`. The current observations are kept in memory until their actions are
known, because only the last row of a store can be continued. In all three modes of autoreset, an
environment is in one of these states:

    open        its current observation waits for an action
    resetting   its episode has ended, and the next tick resets it (mode NEXT_STEP)
    neither     it must be reset: before the first reset, after a failure, or in the mode DISABLED
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import gymnasium.vector
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from stream_store._arguments import plain_array
from stream_store._types import AnyPath
from stream_store.store import StreamStore

from .infos import info_value
from .layout import Layout, next_episode

#: The values of `gymnasium.vector.AutoresetMode`, which Gymnasium 1.0 does not have.
_NEXT_STEP, _SAME_STEP, _DISABLED = "NextStep", "SameStep", "Disabled"
_FLAGS = ("terminated", "truncated")


@dataclass
class _Observed:
    """Observations of some environments, and the infos with which they were returned.

    obs   the columns of the leaves, in the order of the layout
    info  the columns of the recorded keys, None where an environment did not report one
    """

    obs: list[Any]
    info: list[list[Any]]

    def take(self, envs: NDArray[np.intp], count: int) -> _Observed:
        """The values of these environments, of `count` in all."""
        if len(envs) == count:
            return self
        return _Observed(
            [_take(column, envs) for column in self.obs],
            [_take(column, envs) for column in self.info],
        )

    def update(self, other: _Observed, envs: NDArray[np.intp]) -> None:
        """Take over the values of these environments."""
        for column, new in zip(self.obs + self.info, other.obs + other.info, strict=True):
            for env in envs:
                column[env] = new[env]


class RecordVectorToStore(gymnasium.vector.VectorWrapper):
    """Record a vector environment into one store. All calls return the results of the environment.

    Each environment is a lane of the store: `env` is its number. The rows of a lane are those of
    `RecordToStore`, in all three modes of autoreset. A window of two rows is a transition with
    ``WindowSampler(store, 2, unit="row", lane_by="env", segment_by="episode")``. Episode numbers
    are unique among all environments, and continue the numbers that the store has.

    An episode is cut by `reset`, `close` or an exception of the environment. If the process is
    killed, the last observation of each environment is lost, and with it its last transition.

    Args:
        envs: the vector environment. If its metadata lacks "autoreset_mode", NEXT_STEP is assumed.
        store_or_path: as for `RecordToStore`.
        fields: as for `RecordToStore`; the features are those of a single environment.
        info: as for `RecordToStore`. The values are those of each environment.

    Raises:
        ValueError: a space or a feature cannot be stored, the store has other fields, or the mode
            is unknown.
        TypeError: an argument has a wrong type.
        io.UnsupportedOperation: the store was not opened for writing.
        LockedError: another writer has the store at the path open.

    Cost:
        A tick copies the observations once, and takes about as long as one `extend`.

    Examples:
        >>> import gymnasium
        >>> from stream_store.gym import RecordVectorToStore
        >>> envs = RecordVectorToStore(gymnasium.make_vec("CartPole-v1", 4), "cartpoles")
        >>> obs, infos = envs.reset(seed=0)
        >>> for _ in range(100):
        ...     obs, *others = envs.step(envs.action_space.sample())
        >>> envs.close()
        >>> store = StreamStore("cartpoles", "r")
        >>> sampler = WindowSampler(
        ...     store, 2, unit="row", batch_size=8, lane_by="env", segment_by="episode"
        ... )
        >>> sampler.sample()["obs"].shape
        (8, 2, 4)
    """

    def __init__(
        self,
        envs: gymnasium.vector.VectorEnv,
        store_or_path: StreamStore | AnyPath,
        fields: Mapping[str, Any] | None = None,
        info: Sequence[str] = (),
    ) -> None:
        """Open the store and declare its fields; the class describes the arguments."""
        if not isinstance(envs, gymnasium.vector.VectorEnv):
            raise TypeError(
                "RecordVectorToStore: expected a gymnasium.vector.VectorEnv, found "
                f"{type(envs).__name__}; RecordToStore records a single environment"
            )
        self._mode = _autoreset_mode(envs)
        spaces = (envs.single_observation_space, envs.single_action_space)
        self._layout = Layout(
            "RecordVectorToStore", *spaces, has_env=True, fields=fields, info=info
        )
        self._store, self._owns_store = self._layout.open_store(store_or_path)
        # Not before: the destructor of a wrapper that has an environment closes it.
        super().__init__(envs)
        self._next_episode = next_episode(self._store)
        self._episode = np.full(self.num_envs, -1, np.int64)
        self._all = np.arange(self.num_envs)
        self._open = np.zeros(self.num_envs, np.bool_)
        self._resetting = np.zeros(self.num_envs, np.bool_)
        self._failed = False  # whether a step was not stored, so that all must be reset
        self._current: _Observed | None = None
        self._facts: dict[
            str, list[Any]
        ] = {}  # columns that only first rows have, for the next rows

    @property
    def store(self) -> StreamStore:
        """The store, for example to sample from it while it grows."""
        return self._store

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of ``options["reset_mask"]``, and begin episodes.

        Episodes of these environments that have not ended are cut.

        Args:
            seed: as for the environment: environment i has seed + i, or the i-th one of a list.
            options: as for the environment.

        Returns:
            The observations and infos of the environment.

        Raises:
            ValueError: the mask or the list of seeds is not valid, the store does not take a value,
                or is closed.
            TypeError: the mask is not an array of bool.
            StoreFullError: no space is left.

        Examples:
            >>> envs = RecordVectorToStore(gymnasium.make_vec("CartPole-v1", 2), StreamStore())
            >>> obs, infos = envs.reset(seed=7)
            >>> result = envs.step(np.array([0, 1]))
            >>> [int(row["seed"]) for row in envs.store.rows()]
            [7, 8]
        """
        mask = self._reset_mask(options)
        facts = self._first_facts(seed, options)  # the environment may change the options
        self._cut(mask)
        self._resetting &= ~mask
        obs, infos = self.env.reset(seed=seed, options=options)
        observed, envs = self._observed(obs, infos), np.flatnonzero(mask)
        if self._current is None:
            self._current = observed
        else:
            self._current.update(observed, envs)
        for env in envs:
            for name, value in facts[env].items():
                self._facts.setdefault(name, [None] * self.num_envs)[env] = value
        self._begin_episodes(mask)
        self._failed = self._failed and not mask.all()
        return obs, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments, and record their transitions and the episodes that end.

        Args:
            actions: as for the environment. It ignores that of an environment that it resets.

        Returns:
            Observations, rewards, flags and infos of the environment.

        Raises:
            ResetNeeded: of Gymnasium; environments must be reset first.
            ValueError: the store does not take a value. The environments have been stepped, so
                reset all of them before the next step.
            StoreFullError: no space is left; as above.

        Examples:
            >>> envs = RecordVectorToStore(gymnasium.make_vec("CartPole-v1", 2), StreamStore())
            >>> obs, infos = envs.reset(seed=7)
            >>> obs, rewards, terminated, truncated, infos = envs.step(np.array([0, 1]))
            >>> [(int(row["env"]), int(row["action"])) for row in envs.store.rows()]
            [(0, 0), (1, 1)]
        """
        if self._failed or not _all(self._open | self._resetting):
            self._refuse_step()
        columns = [(leaf.name, leaf.column(actions, self.num_envs)) for leaf in self._layout.action]
        self._failed = True  # until all of it is stored
        try:
            obs, reward, terminated, truncated, infos = self.env.step(actions)
        except BaseException:
            self._cut(np.ones_like(self._open))
            raise
        if self._layout.has_reward:
            columns.append(("reward", plain_array(reward)))
        flags = [np.asarray(plain_array(one), np.bool_) for one in (terminated, truncated)]
        columns += zip(_FLAGS, flags, strict=True)
        over = (flags[0] | flags[1]) & self._open
        observed = self._observed(obs, infos)
        if not _any(over):
            self._append(self._open, columns)
        else:
            ended = over.nonzero()[0]
            same_step = self._mode == _SAME_STEP
            final = self._final(infos, ended) if same_step else observed.take(ended, self.num_envs)
            self._append(self._open, columns, ended, final)
        self._facts = {}
        self._current = observed
        self._advance(over)
        self._failed = False
        return obs, reward, terminated, truncated, infos

    def close(self, **kwargs: Any) -> None:
        """Cut episodes that have not ended, and close the environments and a store opened here.

        Args:
            kwargs: passed to the environment.

        Raises:
            OSError: the disk reported an error; everything is closed all the same.

        Examples:
            >>> envs = RecordVectorToStore(gymnasium.make_vec("CartPole-v1", 2), StreamStore())
            >>> obs, infos = envs.reset(seed=7)
            >>> envs.close()
            >>> envs.store.num_rows
            2
        """
        try:
            self._cut(np.ones_like(self._open))
        finally:
            try:
                self.env.close(**kwargs)
            finally:
                if self._owns_store:
                    self._store.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "RecordVectorToStore cannot be copied or pickled, because its store has one writer; "
            "copy the environment inside, envs.env, which is not recorded"
        )

    # --- rows ---

    def _append(
        self,
        rows: NDArray[np.bool_],
        after: Sequence[tuple[str, Any]],
        ended: NDArray[np.intp] | None = None,
        final: _Observed | None = None,
    ) -> None:
        """Append rows of the current observations, and then the final rows of ended episodes.

        Args:
            rows: the environments whose current observations get their rows.
            after: columns of all environments: the fields of these rows that follow the
                observation. Final rows have the flags only, as False.
            ended: the environments whose episodes end; None for none.
            final: the final observations of these environments.
        """
        assert self._current is not None
        envs = self._all if _all(rows) else rows.nonzero()[0]
        columns = self._before(envs, self._current.take(envs, self.num_envs))
        for name, column in after:
            columns[name] = _take(column, envs)
        if ended is not None and final is not None:
            last = self._before(ended, final)
            last |= dict.fromkeys(_FLAGS, np.zeros(len(ended), np.bool_))
            for name, column in columns.items():
                columns[name] = _join(column, last.get(name), len(ended))
        for name, facts in self._facts.items():
            column = _take(facts, envs)
            columns[name] = column + [None] * (len(columns["env"]) - len(column))
        self._store.extend(columns)

    def _before(self, envs: NDArray[np.intp], observed: _Observed) -> dict[str, Any]:
        """The columns of the fields up to the infos, for observations of these environments."""
        episode = self._episode if envs is self._all else self._episode[envs]
        columns: dict[str, Any] = {"env": envs, "episode": episode}
        for leaf, column in zip(self._layout.obs, observed.obs, strict=True):
            columns[leaf.name] = column
        columns.update(zip(self._layout.info, observed.info, strict=True))
        return columns

    def _cut(self, mask: NDArray[np.bool_]) -> None:
        """Append the final rows of the open episodes of some environments, which are cut."""
        envs = self._open & mask
        if envs.any() and not self._store.closed:
            self._append(envs, [("terminated", ~envs), ("truncated", envs)])
        self._open &= ~mask
        for column in self._facts.values():
            for env in np.flatnonzero(envs):
                column[env] = None

    def _advance(self, over: NDArray[np.bool_]) -> None:
        """Change the states of the environments after a step in which some episodes ended."""
        if self._mode == _SAME_STEP:
            self._begin_episodes(over)
            return
        self._open &= ~over
        self._begin_episodes(self._resetting)
        self._resetting = over if self._mode == _NEXT_STEP else np.zeros_like(over)

    def _begin_episodes(self, mask: NDArray[np.bool_]) -> None:
        if _any(mask):
            envs = mask.nonzero()[0]
            count = len(envs)
            self._episode[envs] = np.arange(self._next_episode, self._next_episode + count)
            self._next_episode += count
            self._open |= mask

    # --- arguments and results of the environment ---

    def _observed(self, obs: Any, infos: Mapping[str, Any]) -> _Observed:
        """Copies of observations and infos of all environments."""
        count = self.num_envs
        return _Observed(
            [leaf.column(obs, count) for leaf in self._layout.obs],
            [
                [copy.deepcopy(info_value(infos, key, env)) for env in range(count)]
                for key in self._layout.info
            ],
        )

    def _final(self, infos: Mapping[str, Any], ended: NDArray[np.intp]) -> _Observed:
        """The final observations and infos of environments that were reset in the same step."""
        final, obs = infos.get("final_obs"), self._layout.obs
        if final is None:
            raise ValueError(
                "RecordVectorToStore: expected the final observations of a vector environment with "
                f"the mode {_SAME_STEP} in infos['final_obs'], but infos has {', '.join(infos)}"
            )
        if isinstance(final, Mapping):  # a batch, instead of an array with an object for each
            columns = [_take(leaf.column(final, self.num_envs), ended) for leaf in obs]
        else:
            samples = [final[env] for env in ended.tolist()]
            columns = [[leaf.get(sample) for sample in samples] for leaf in obs]
        info = infos.get("final_info", {})
        return _Observed(
            columns,
            [[info_value(info, key, env) for env in ended.tolist()] for key in self._layout.info],
        )

    def _reset_mask(self, options: Mapping[str, Any] | None) -> NDArray[np.bool_]:
        """The environments that a reset is for."""
        if not options or "reset_mask" not in options:
            return np.ones_like(self._open)
        mask = options["reset_mask"]
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(
                "RecordVectorToStore: options['reset_mask'] must be an array of bool, "
                f"not {mask!r:.80}"
            )
        if mask.shape != self._open.shape or not mask.any():
            raise ValueError(
                "RecordVectorToStore: options['reset_mask'] must have shape "
                f"{self._open.shape} and name at least one environment, not {mask!r:.80}"
            )
        return mask.copy()

    def _first_facts(self, seed: Any, options: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """The facts of the episodes that a reset begins, one dictionary for each environment."""
        count = self.num_envs
        if seed is None:
            seeds: list[Any] = [None] * count
        elif isinstance(seed, (int, np.integer)):
            seeds = [int(seed) + env for env in range(count)]
        else:
            seeds = list(seed)
            if len(seeds) != count:
                raise ValueError(
                    f"RecordVectorToStore: expected {count} seeds, one for each environment, "
                    f"found {len(seeds)}"
                )
        shown = {key: value for key, value in (options or {}).items() if key != "reset_mask"}
        return [self._layout.facts(one, shown or None) for one in seeds]

    def _refuse_step(self) -> NoReturn:
        if self._failed:
            raise ResetNeeded(
                "RecordVectorToStore: the last step failed; call reset() for all environments"
            )
        missing = np.flatnonzero(~(self._open | self._resetting)).tolist()
        raise ResetNeeded(
            f"RecordVectorToStore: environments {missing} must be reset before step(), with "
            "reset(), or with reset(options={'reset_mask': ...}) for these only"
        )


def _autoreset_mode(envs: gymnasium.vector.VectorEnv) -> str:
    """The mode of a vector environment, as the value of `gymnasium.vector.AutoresetMode`."""
    mode = envs.metadata.get("autoreset_mode")
    if mode is None:
        warnings.warn(
            f"RecordVectorToStore: the metadata of {envs} has no 'autoreset_mode'; expecting "
            "AutoresetMode.NEXT_STEP",
            stacklevel=3,
        )
        return _NEXT_STEP
    value = getattr(mode, "value", mode)
    if value not in (_NEXT_STEP, _SAME_STEP, _DISABLED):
        raise ValueError(
            f"RecordVectorToStore: expected metadata['autoreset_mode'] to be an AutoresetMode, "
            f"found {mode!r}"
        )
    return str(value)


def _take(column: Any, envs: NDArray[np.intp]) -> Any:
    """The values of some environments, in their order; the column itself for all."""
    if len(envs) == len(column):
        return column
    return column[envs] if isinstance(column, np.ndarray) else [column[env] for env in envs]


def _join(column: Any, more: Any, count: int) -> Any:
    """Two columns of one field.

    Args:
        column: an array, or a list.
        more: `count` values as an array or a list of arrays; None if all of them are missing.
        count: number of values in `more`.
    """
    if not isinstance(column, np.ndarray):
        return [*column, *([None] * count if more is None else more)]
    if more is not None:
        return np.concatenate([column, more])
    # Numbers of Python are converted faster than those of NumPy.
    plain = column.ndim == 1 and column.dtype.kind in "biuf"
    return [*(column.tolist() if plain else column), *[None] * count]


# NumPy's own methods take over 1 µs for the flags of few environments.


def _all(flags: NDArray[np.bool_]) -> bool:
    return False not in flags.tolist()


def _any(flags: NDArray[np.bool_]) -> bool:
    return True in flags.tolist()
