"""The spaces of an environment as fields of a store, and arrays of transitions for these fields.

The fields of a row are:

- "obs", or for a Dict space a struct "obs" with a field for each key: the observation;
- "action" and "reward": what was done there. The row of a final observation lacks both;
- "terminated" and "truncated": True where the step ended its episode, else missing;
- "episode": a number that is new for each episode of each environment;
- "env": the number of the environment. Only if there are several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.preprocessing import get_action_dim, get_obs_shape

FLOAT32, BOOL = np.dtype(np.float32), np.dtype(np.bool_)


@dataclass(frozen=True)
class Column:
    """A field that holds one array for each transition.

    Attributes:
        name: of the field.
        shape: of one item, as Stable-Baselines3 has it.
        dtype: of its numbers.
        discrete: whether the space is Discrete, so that arrays may lack the axis of length 1.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    discrete: bool = False

    @property
    def feature(self) -> str:
        """The feature of the field. Packed arrays are faster, but hold at most 4 bytes an item."""
        if self.scalar:
            return self.dtype.name
        packed = "packed " if self.dtype.itemsize <= 4 else ""
        return f"{packed}{self.dtype.name}[{','.join(map(str, self.shape))}]"

    @cached_property
    def scalar(self) -> bool:
        """Whether the field holds single numbers."""
        return self.shape == () or (self.shape == (1,) and self.discrete)

    @cached_property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one item in the store."""
        return () if self.scalar else self.shape

    @property
    def nbytes(self) -> int:
        """Size of one item in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def fit(self, given: Any, n_envs: int) -> NDArray[Any]:
        """An array (n_envs, *stored_shape), converted as NumPy assigns arrays.

        Raises:
            ValueError: the shape does not fit. The message names the field.
            TypeError: it is None.
        """
        array = np.asarray(given, self.dtype)
        expected = (n_envs, *self.stored_shape)
        if array.shape == expected:
            return array
        if given is None:  # NumPy makes it NaN
            raise TypeError(f"add: {self.name!r} is None; expected an array of shape {expected}")
        if self.discrete and array.size == math.prod(expected):
            return array.reshape(expected)
        return assigned(self.name, array, expected)


class Layout:
    """The fields of a replay buffer, for the spaces of its environments.

    Args:
        observation_space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of them.
        action_space: one of the same, but no Dict.
        n_envs: number of environments.

    Raises:
        NotImplementedError: Stable-Baselines3 does not support a space.
    """

    def __init__(
        self, observation_space: spaces.Space, action_space: spaces.Space, n_envs: int
    ) -> None:
        self.n_envs = n_envs
        self.keys: list[str] | None = None
        if isinstance(observation_space, spaces.Dict):
            for key, part in observation_space.items():
                if isinstance(part, spaces.Dict):
                    raise NotImplementedError(
                        f"the observation space has a Dict at {key!r}; Stable-Baselines3 supports "
                        "a Dict of arrays only"
                    )
        shape = get_obs_shape(observation_space)
        if isinstance(shape, dict):
            self.keys = list(shape)
            self.obs = [
                _column(f"obs.{key}", observation_space[key], shape[key]) for key in self.keys
            ]
        else:
            self.obs = [_column("obs", observation_space, shape)]
        dtype = np.dtype(ReplayBuffer._maybe_cast_dtype(action_space.dtype))
        self.action = Column(
            "action",
            (get_action_dim(action_space),),
            dtype,
            isinstance(action_space, spaces.Discrete),
        )
        self.obs_names = [column.name for column in self.obs]
        # The form that nearly all arrays of add() have, for a test that costs little.
        self._each_env = (n_envs,)
        self._obs_form = (self.obs[0].dtype, (n_envs, *self.obs[0].stored_shape))
        self._action_form = (self.action.dtype, (n_envs, *self.action.stored_shape))
        self.obs_bytes = sum(column.nbytes for column in self.obs)

    @property
    def fields(self) -> dict[str, Any]:
        """The declaration of the fields, in their order."""
        obs: Any = self.obs[0].feature
        if self.keys is not None:
            obs = {key: column.feature for key, column in zip(self.keys, self.obs, strict=True)}
        several = {"env": "int32"} if self.n_envs > 1 else {}
        return {
            "obs": obs,
            "action": self.action.feature,
            "reward": "float32",
            "episode": "int64",
            **several,
            "terminated": "bool",
            "truncated": "bool",
        }

    def fit_obs(self, obs: Any) -> dict[str, NDArray[Any]]:
        """The columns of observations, each (n_envs, ...) as the store takes it."""
        if self.keys is None:
            dtype, shape = self._obs_form
            array = np.asarray(obs, dtype)
            return {"obs": array if array.shape == shape else self.obs[0].fit(obs, self.n_envs)}
        if not isinstance(obs, Mapping):
            raise TypeError(
                f"add: expected a dict of observations with the keys {self.keys}, found "
                f"{type(obs).__name__}"
            )
        missing = [key for key in self.keys if key not in obs]
        if missing:
            raise KeyError(f"add: the observation lacks the keys {missing}")
        return {
            column.name: column.fit(obs[key], self.n_envs)
            for key, column in zip(self.keys, self.obs, strict=True)
        }

    def fit_action(self, given: Any) -> NDArray[Any]:
        """The column of actions, also for spaces with fewer or more dimensions than one."""
        dtype, shape = self._action_form
        actions = np.asarray(given, dtype)
        if actions.shape == shape:
            return actions
        if given is None:
            raise TypeError("add: 'action' is None; expected an array")
        if actions.size != math.prod(shape):
            raise ValueError(
                f"add: 'action' must have {math.prod(self.action.shape)} items for each of "
                f"{self.n_envs} environments; found shape {actions.shape}"
            )
        return actions.reshape(shape)

    def fit_each(self, name: str, given: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array (n_envs,) of what a caller gave; one number is for all environments."""
        array = np.asarray(given, dtype)
        if array.shape == self._each_env:
            return array
        if given is None:
            raise TypeError(f"add: {name!r} is None; expected an array of shape {self._each_env}")
        return assigned(name, array, self._each_env)

    def fit_infos(self, infos: Any) -> NDArray[np.bool_] | None:
        """Which environments were truncated, as their infos say; None if none was."""
        try:
            timeouts = [info.get("TimeLimit.truncated", False) for info in infos]
        except (AttributeError, TypeError):
            raise TypeError(
                "add: infos must be a list of one dict for each environment. The dict of a vector "
                "environment of Gymnasium needs handle_timeout_termination=False"
            ) from None
        if len(timeouts) != self.n_envs:
            raise ValueError(f"add: expected {self.n_envs} infos but found {len(timeouts)}")
        return self.fit_each("infos", timeouts, BOOL) if any(timeouts) else None

    def bytes_of(self, obs: dict[str, NDArray[Any]]) -> bytes:
        """The bytes of the columns of observations, one column after the other."""
        if self.keys is None:
            return obs["obs"].tobytes()
        return b"".join(array.tobytes() for array in obs.values())

    def from_bytes(self, data: bytes) -> dict[str, NDArray[Any]]:
        """The columns whose `bytes_of` is given, as arrays that cannot be written."""
        columns, begin = {}, 0
        for column in self.obs:
            shape = (self.n_envs, *column.stored_shape)
            array = np.frombuffer(data, column.dtype, math.prod(shape), begin)
            columns[column.name] = array.reshape(shape)
            begin += array.nbytes
        return columns

    def differing(self, one: bytes, other: bytes) -> NDArray[np.bool_]:
        """The environments whose observations differ, of two results of `bytes_of`."""
        differs, begin = np.zeros(self.n_envs, np.bool_), 0
        for column in self.obs:
            item = np.dtype((np.void, column.nbytes))  # compared byte by byte, as NaN has to be
            differs |= np.frombuffer(one, item, self.n_envs, begin) != np.frombuffer(
                other, item, self.n_envs, begin
            )
            begin += self.n_envs * column.nbytes
        return differs

    def joined(self, arrays: list[NDArray[Any]]) -> Any:
        """The arrays of observations as Stable-Baselines3 has them: one array, or a dict."""
        if self.keys is None:
            return arrays[0]
        return dict(zip(self.keys, arrays, strict=True))


def assigned(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A new array of a shape, to which another one is assigned as NumPy does it.

    Raises:
        ValueError: it cannot be broadcast to the shape.
    """
    fitted = np.empty(shape, array.dtype)
    try:
        fitted[...] = array
    except ValueError:
        raise ValueError(
            f"add: {name!r} must have shape {shape}, the number of environments and the shape of "
            f"its space; found {array.shape}"
        ) from None
    return fitted


def _column(name: str, space: spaces.Space, shape: Any) -> Column:
    return Column(
        name,
        tuple(int(size) for size in shape),
        np.dtype(space.dtype),
        isinstance(space, spaces.Discrete),
    )
