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
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.preprocessing import get_action_dim, get_obs_shape


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

    @property
    def scalar(self) -> bool:
        """Whether the field holds single numbers."""
        return self.shape == () or (self.shape == (1,) and self.discrete)

    @property
    def nbytes(self) -> int:
        """Size of one item in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def fit(self, given: Any, n_envs: int) -> NDArray[Any]:
        """An array (n_envs, *shape) of what a caller gave, converted as NumPy assigns arrays.

        Raises:
            ValueError: the shape does not fit. The message names the field.
            TypeError: it is None.
        """
        array = np.asarray(given, self.dtype)
        expected = (n_envs, *self.shape)
        if array.shape == expected:
            return array
        if given is None:  # NumPy makes it NaN
            raise TypeError(f"add: {self.name!r} is None; expected an array of shape {expected}")
        if self.discrete and array.size == math.prod(expected):
            return array.reshape(expected)
        return assigned(self.name, array, expected)

    def stored(self, array: NDArray[Any]) -> NDArray[Any]:
        """The items of an array (n, *shape) as the field takes and returns them."""
        return array.reshape(len(array)) if self.scalar else array


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

    def fit_obs(self, obs: Any) -> list[NDArray[Any]]:
        """The arrays of an observation, each (n_envs, *shape), in the order of `obs_names`."""
        if self.keys is None:
            return [self.obs[0].fit(obs, self.n_envs)]
        if not isinstance(obs, Mapping):
            raise TypeError(
                f"add: expected a dict of observations with the keys {self.keys}, found "
                f"{type(obs).__name__}"
            )
        missing = [key for key in self.keys if key not in obs]
        if missing:
            raise KeyError(f"add: the observation lacks the keys {missing}")
        return [
            column.fit(obs[key], self.n_envs)
            for key, column in zip(self.keys, self.obs, strict=True)
        ]

    def fit_action(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Actions as an array (n_envs, items), for spaces with fewer or more dimensions."""
        expected = (self.n_envs, *self.action.shape)
        if actions.size != math.prod(expected):
            raise ValueError(
                f"add: 'action' must have {math.prod(self.action.shape)} items for each of "
                f"{self.n_envs} environments; found shape {actions.shape}"
            )
        return actions.reshape(expected)

    def stored_obs(self, arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Columns of a store for the arrays of observations."""
        return {
            column.name: column.stored(array)
            for column, array in zip(self.obs, arrays, strict=True)
        }

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


def of_each_env(name: str, given: Any, dtype: Any, n_envs: int) -> NDArray[Any]:
    """An array (n_envs,) of what a caller gave; one number is for all environments."""
    array = np.asarray(given, dtype)
    if array.shape == (n_envs,):
        return array
    if given is None:
        raise TypeError(f"add: {name!r} is None; expected an array of shape ({n_envs},)")
    return assigned(name, array, (n_envs,))
