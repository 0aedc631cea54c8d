"""StreamReplayBuffer: a replay buffer of Stable-Baselines3 whose transitions are in a store.

Examples assume ``import numpy as np`` and ``from stream_store.sb3 import StreamReplayBuffer``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples

from stream_store import Priorities, StreamStore, WindowSampler
from stream_store._arguments import integer, store_path
from stream_store._types import AnyPath
from stream_store.learning._checks import unit_interval

from .columns import RingColumn
from .layout import BOOL, FLOAT32, Layout
from .opening import open_transitions, require_store
from .prioritized import PriorityBatch, PriorityDraws

#: Arguments of HerReplayBuffer, for an error that says more than Python's own.
_HER_ARGUMENTS = {"n_sampled_goal", "goal_selection_strategy", "copy_info_dict"}


class StreamReplayBuffer(ReplayBuffer):
    """A replay buffer of Stable-Baselines3 that keeps its transitions in a store on disk.

    Pass it as ``replay_buffer_class`` of DQN, SAC, TD3 or DDPG. It takes the place of ReplayBuffer,
    DictReplayBuffer and NStepReplayBuffer, and draws the same transitions for the same seed. An
    observation is stored once, not twice; memory holds at most 24 bytes for each transition.
    HerReplayBuffer has no counterpart.

    A path where a store exists is continued: the buffer begins with the newest transitions of
    earlier runs. All buffers of a process with the same path share their transitions; so do copies.
    A pickle, which is what `save_replay_buffer` writes, has the path and the arguments; loading it
    opens the store for appending.

    Args:
        buffer_size: transitions of all environments together that are sampled, the newest ones. The
            store drops older ones in the background.
        observation_space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of them.
        action_space: as `observation_space`, but no Dict.
        device: PyTorch device of the batches.
        n_envs: number of environments.
        optimize_memory_usage: accepted; observations are always stored once. Unlike those of
            ReplayBuffer, the next observations of the last transitions of episodes stay right.
        handle_timeout_termination: whether "TimeLimit.truncated" of `infos` is used: "dones" of
            batches is 0 where an episode ended because of a time limit.
        path: directory of the store; None makes a temporary store, which is gone with the buffer
            and cannot be saved.
        mode: "a" continues a store or creates one; "x" requires that there is none.
        n_steps: transitions are summed over up to so many steps, as by NStepReplayBuffer. Batches
            then have "discounts".
        gamma: discount of a step, for `n_steps` above 1: the one of the algorithm.
        priorities: a `Priorities`: transitions are drawn by priority instead of uniformly. See
            `last_batch` and `update_priorities`.
        unknown: refused; the error explains the arguments of HerReplayBuffer.

    Attributes:
        last_batch: with priorities, a `PriorityBatch` that belongs to the batch that `sample`
            returned last: indices, weights and probabilities. None before, and without priorities.

    Raises:
        ValueError: an argument is not valid, or the store has transitions of other spaces or of
            another number of environments.
        LockedError: another process has the store open for writing.
        FileExistsError: mode "x", and there is a store.

    Examples:
        >>> from gymnasium import spaces
        >>> from stream_store.sb3 import StreamReplayBuffer
        >>> buffer = StreamReplayBuffer(
        ...     1000, spaces.Box(-1, 1, (3,)), spaces.Discrete(2), device="cpu", path="run")
        >>> obs = np.zeros((1, 3), np.float32)
        >>> for i in range(10):
        ...     buffer.add(obs + i, obs + i + 1, np.array([1]), np.array([0.5]), np.array([False]),
        ...                [{}])
        >>> batch = buffer.sample(64)
        >>> batch.observations.shape, batch.rewards.shape
        (torch.Size([64, 3]), torch.Size([64, 1]))
        >>> buffer.size()
        10
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: th.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        path: AnyPath | None = None,
        mode: Literal["a", "x"] = "a",
        n_steps: int = 1,
        gamma: float = 0.99,
        priorities: Priorities | None = None,
        **unknown: Any,
    ) -> None:
        """Open or create the store; the class describes the arguments."""
        _refuse_unknown(unknown)
        if mode not in {"a", "x"}:
            raise ValueError(f"mode must be 'a' or 'x', not {mode!r}")
        n_envs = integer("n_envs", n_envs, 1)
        buffer_size = integer("buffer_size", buffer_size, 1)
        self.n_steps = integer("n_steps", n_steps, 1)
        self.gamma = unit_interval("gamma", gamma)
        BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs)
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.optimize_memory_usage = optimize_memory_usage
        self.handle_timeout_termination = handle_timeout_termination
        self.last_batch: PriorityBatch | None = None
        self._layout = Layout(observation_space, action_space, n_envs)
        path = store_path(path)
        self._path = None if path is None else os.path.realpath(path)
        self._transitions = open_transitions(path, mode, self._layout, self.buffer_size)
        self._index = self._transitions.index
        self._draws = None if priorities is None else PriorityDraws(self._transitions, priorities)

    # --- facts ---

    @property
    def pos(self) -> int:
        """The step of the ring that `add` writes next, in [0, buffer_size)."""
        return self._index.pos if "_index" in self.__dict__ else 0

    @pos.setter
    def pos(self, pos: int) -> None:
        self._refuse_change("pos", pos)

    @property
    def full(self) -> bool:
        """Whether all steps have been written."""
        return "_index" in self.__dict__ and self._index.full

    @full.setter
    def full(self, full: bool) -> None:
        self._refuse_change("full", full)

    def _refuse_change(self, name: str, value: Any) -> None:
        if "_index" in self.__dict__:  # otherwise it is the constructor of BaseBuffer
            raise AttributeError(
                f"{name} = {value!r}: {name} follows from the transitions in the store; reset() "
                "removes all of them"
            )

    @property
    def store(self) -> StreamStore:
        """The store, for reading. Appending to it by other means than `add` corrupts the buffer."""
        return self._transitions.store

    @property
    def sampler(self) -> WindowSampler | None:
        """With priorities, the sampler that draws; None before the first `sample`.

        Its `alpha` and `beta` can be changed, and `save_priorities` and `load_priorities` keep the
        priorities, which a pickle does not have.
        """
        return None if self._draws is None else self._draws.sampler

    # --- the arrays of ReplayBuffer ---

    @property
    def observations(self) -> Any:
        """All observations, read on demand: a RingColumn, or a dict of them."""
        return self._layout.joined(
            [self._obs_column(place, 0) for place in range(len(self._layout.obs))]
        )

    @property
    def next_observations(self) -> Any:
        """The observations that follow, as `observations`."""
        return self._layout.joined(
            [self._obs_column(place, 1) for place in range(len(self._layout.obs))]
        )

    @property
    def actions(self) -> RingColumn:
        """All actions, read on demand."""
        column = self._layout.action
        return RingColumn(
            self._index, lambda slots: self._read(slots)[2], column.shape, column.dtype
        )

    @property
    def rewards(self) -> RingColumn:
        """All rewards, read on demand."""
        read = self._transitions.read_rewards
        return RingColumn(self._index, read, (), np.dtype(np.float32))

    @property
    def dones(self) -> NDArray[np.uint8]:
        """Whether each transition ended its episode: an array in memory.

        Changes hold until the buffer is closed; they are not written to the store.
        """
        self._index.changeable = True
        return self._index.dones

    @property
    def timeouts(self) -> NDArray[np.uint8]:
        """Whether the end of each episode was a time limit, as `dones`."""
        self._index.changeable = True
        return self._index.timeouts

    def _obs_column(self, place: int, part: Literal[0, 1]) -> Any:
        column = self._layout.obs[place]
        return RingColumn(
            self._index, lambda slots: self._read(slots)[part][place], column.shape, column.dtype
        )

    def _read(self, slots: NDArray[np.int64]) -> tuple[Any, ...]:
        return self._transitions.read(slots, slots)

    # --- adding and sampling ---

    def add(
        self,
        obs: Any,
        next_obs: Any,
        action: Any,
        reward: Any,
        done: Any,
        infos: Sequence[Mapping[str, Any]],
    ) -> None:
        """Append one transition of each environment.

        Args:
            obs: (n_envs, ...) observations, or a dict of them.
            next_obs: the observations that follow; where an episode ended, its final observation.
            action: (n_envs, ...) actions.
            reward: (n_envs,) rewards.
            done: (n_envs,) whether the episode ended.
            infos: a dict for each environment, of which "TimeLimit.truncated" is used. Not read
                without `handle_timeout_termination`.

        Cost:
            Some microseconds and a copy into mapped memory. Nothing waits for the disk.

        Raises:
            ValueError: an array does not have the shape of its space, or the buffer is closed.
                Nothing is appended then.
            TypeError: `infos` is not a list of dicts, or another argument is None.

        Examples:
            >>> from stream_store.sb3 import StreamReplayBuffer
            >>> from gymnasium import spaces
            >>> buffer = StreamReplayBuffer(100, spaces.Box(-1, 1, (3,)), spaces.Discrete(2), "cpu")
            >>> obs = np.zeros((1, 3), np.float32)
            >>> buffer.add(obs, obs + 1, np.array([1]), np.array([0.5]), np.array([True]), [{}])
            >>> buffer.size()
            1
        """
        layout = self._layout
        self._transitions.add(
            layout.fit_obs(obs),
            layout.fit_obs(next_obs),
            layout.fit_action(action),
            layout.fit_each("reward", reward, FLOAT32),
            layout.fit_each("done", done, BOOL),
            layout.fit_infos(infos) if self.handle_timeout_termination else None,
        )

    def sample(self, batch_size: int, env: Any = None) -> Any:
        """Draw transitions: uniformly with replacement, or by priority.

        Args:
            batch_size: how many.
            env: a VecNormalize, which normalises observations and rewards; None leaves them.

        Returns:
            `ReplayBufferSamples`, or `DictReplayBufferSamples` for Dict observations, of tensors on
            `device` that own their memory.

        Raises:
            ValueError: the buffer is empty or closed.

        Examples:
            >>> from stream_store.sb3 import StreamReplayBuffer
            >>> from gymnasium import spaces
            >>> buffer = StreamReplayBuffer(100, spaces.Box(-1, 1, (3,)), spaces.Discrete(2), "cpu")
            >>> obs = np.zeros((1, 3), np.float32)
            >>> buffer.add(obs, obs + 1, np.array([1]), np.array([0.5]), np.array([True]), [{}])
            >>> buffer.sample(4).dones.sum()
            tensor(4.)
        """
        steps = self._index.size
        if steps == 0:
            raise ValueError("sample: the replay buffer is empty; add transitions first")
        if self._draws is not None:
            slots, rows, weights, probabilities = self._draws.draw(batch_size)
            samples = self._batch(slots, env)
            self.last_batch = PriorityBatch(
                rows, th.from_numpy(weights).to(self.device).reshape(-1, 1), probabilities
            )
            return samples
        # As ReplayBuffer draws, so that a seed of Stable-Baselines3 gives the same transitions.
        batch_inds = np.random.randint(0, steps, size=batch_size)  # noqa: NPY002
        return self._get_samples(batch_inds, env)

    def _get_samples(self, batch_inds: NDArray[np.int64], env: Any = None) -> Any:
        """The transitions of steps of the ring, each of a random environment."""
        if self.n_envs == 1:
            return self._batch(batch_inds, env)
        envs = np.random.randint(0, self.n_envs, size=len(batch_inds))  # noqa: NPY002
        return self._batch(batch_inds * self.n_envs + envs, env)

    def _batch(self, slots: NDArray[np.int64], env: Any) -> Any:
        if self.n_steps > 1:
            rewards, last_slots, discounts = self._n_step(slots, env)
            obs, next_obs, action, _ = self._transitions.read(slots, last_slots)
        else:
            last_slots, discounts = slots, None
            obs, next_obs, action, reward = self._transitions.read(slots, slots)
            rewards = self._normalize_reward(reward.reshape(-1, 1), env)
        terminal = self._index.terminal_at(last_slots)
        joined = self._layout.joined
        kind = ReplayBufferSamples if self._layout.keys is None else DictReplayBufferSamples
        return kind(
            self._tensors(self._normalize_obs(joined(obs), env)),
            self._tensor(action),
            self._tensors(self._normalize_obs(joined(next_obs), env)),
            self._tensor(terminal.reshape(-1, 1)),
            self._tensor(rewards),
            discounts,
        )

    def _n_step(
        self, slots: NDArray[np.int64], env: Any
    ) -> tuple[NDArray[Any], NDArray[np.int64], Any]:
        """Sums of rewards, the last transition of each sum, and discounts.

        The formulas and dtypes are those of NStepReplayBuffer, so that results are equal. A sum
        also ends where the next transition does not continue the episode, after the environment was
        reset in its middle; NStepReplayBuffer continues with the next episode there.
        """
        index, n_envs, n = self._index, self.n_envs, self.n_steps
        steps = np.arange(n).reshape(1, -1)
        seq = (slots[:, None] + steps * n_envs) % (index.steps * n_envs)
        ends = index.flags.reshape(3, -1)[:, seq].any(axis=0) | (seq // n_envs == index.last)
        last = np.where(ends.any(axis=1), ends.argmax(axis=1), n - 1)
        mask = steps <= last[:, None]
        # Steps after the last one may not have been written yet.
        rewards = self._transitions.read_rewards(np.where(mask, seq, slots[:, None]))
        rewards = self._normalize_reward(rewards, env)
        weights = self.gamma ** np.arange(n, dtype=np.float32).reshape(1, -1)
        returns = (rewards * weights * mask).sum(axis=1, keepdims=True)
        discounts = self.gamma ** mask.sum(axis=1, keepdims=True).astype(np.float32)
        return returns, seq[np.arange(len(seq)), last], self._tensor(discounts)

    def _tensors(self, obs: Any) -> Any:
        if isinstance(obs, dict):
            return {key: self._tensor(array) for key, array in obs.items()}
        return self._tensor(obs)

    def _tensor(self, array: NDArray[Any]) -> th.Tensor:
        """A tensor of a new array, which needs no copy on the CPU."""
        tensor = th.from_numpy(array)  # as_tensor() takes three times as long after a gradient step
        return tensor if self.device.type == "cpu" else tensor.to(self.device)

    def update_priorities(self, indices: Any, priorities: Any) -> int:
        """Set the priorities of transitions, for example to their TD errors.

        Args:
            indices: of `last_batch`.
            priorities: finite numbers >= 0, one for each index, or one for all; an array or a
                tensor of any device. A transition with priority 0 is not drawn any more.

        Returns:
            How many were ignored, because the buffer samples these transitions no longer, or not
            yet: by priority, the newest one is drawn after the next `add`.

        Raises:
            ValueError: the buffer has no priorities, or a number is not valid.

        Examples:
            >>> from stream_store.sb3 import StreamReplayBuffer
            >>> from gymnasium import spaces
            >>> buffer = StreamReplayBuffer(
            ...     9, spaces.Box(-1, 1, (3,)), spaces.Discrete(2), "cpu", priorities=Priorities())
            >>> obs = np.zeros((1, 3), np.float32)
            >>> buffer.add(obs, obs + 1, np.array([1]), np.array([0.5]), np.array([True]), [{}])
            >>> batch = buffer.sample(4)
            >>> buffer.update_priorities(buffer.last_batch.indices, 2.0)
            0
        """
        if self._draws is None:
            raise ValueError(
                "update_priorities is for a buffer with priorities: make it with "
                "StreamReplayBuffer(…, priorities=Priorities())"
            )
        return self._draws.update(indices, priorities)

    # --- lifetime ---

    def reset(self) -> None:
        """Remove all transitions, from the store too. Its readers then have to open it again.

        Examples:
            >>> from stream_store.sb3 import StreamReplayBuffer
            >>> from gymnasium import spaces
            >>> buffer = StreamReplayBuffer(100, spaces.Box(-1, 1, (3,)), spaces.Discrete(2), "cpu")
            >>> buffer.reset()
            >>> buffer.size()
            0
        """
        self._transitions.clear()
        self.last_batch = None
        if self._draws is not None:
            self._draws = PriorityDraws(self._transitions, self._draws.priorities)

    def close(self) -> None:
        """Sync and close the store, for all buffers of this process that share it.

        Otherwise it is closed with the last of these buffers, or when the program ends.

        Examples:
            >>> from gymnasium.spaces import Discrete
            >>> buffer = stream_store.sb3.StreamReplayBuffer(100, Discrete(9), Discrete(2), "cpu")
            >>> buffer.close()
            >>> buffer.store.closed
            True
        """
        self._transitions.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError(
                "a replay buffer in a temporary store exists in this process only and cannot be "
                'saved or copied: make it with a path, as in replay_buffer_kwargs={"path": "run"}'
            )
        if not self.store.closed:
            self._transitions.sync()
        arguments = {
            "buffer_size": self.buffer_size * self.n_envs,
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "device": str(self.device),
            "n_envs": self.n_envs,
            "optimize_memory_usage": self.optimize_memory_usage,
            "handle_timeout_termination": self.handle_timeout_termination,
            "path": self._path,
            "n_steps": self.n_steps,
            "gamma": self.gamma,
            "priorities": None if self._draws is None else self._draws.priorities,
        }
        return _reopen, (type(self), arguments)

    def __repr__(self) -> str:
        where = "a temporary store" if self._path is None else repr(self._path)
        return (
            f"<StreamReplayBuffer of {self.size() * self.n_envs:,} transitions, at most "
            f"{self.buffer_size * self.n_envs:,}, in {where}>"
        )


def _reopen(kind: type[StreamReplayBuffer], arguments: dict[str, Any]) -> StreamReplayBuffer:
    """The buffer that a pickled one becomes."""
    require_store(arguments["path"])
    return kind(**arguments)


def _refuse_unknown(unknown: dict[str, Any]) -> None:
    if _HER_ARGUMENTS & unknown.keys():
        raise TypeError(
            f"StreamReplayBuffer has no {', '.join(sorted(_HER_ARGUMENTS & unknown.keys()))}: it "
            "does not choose new goals, as HerReplayBuffer does. stream_store.learning."
            "relabel_goals does, for batches of a WindowSampler"
        )
    if unknown:
        raise TypeError(
            f"StreamReplayBuffer got an unexpected keyword argument {next(iter(unknown))!r}"
        )
