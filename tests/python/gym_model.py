"""Environments for the tests of stream_store.gym, and the rows that a recording of one must have.

The environments log their own calls, and return arrays that they change later. `rows_of_log` makes
the expected rows from such a log; it shares nothing with the recorders.
"""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces, vector

from stream_store import StreamStore

FLAGS = ("terminated", "truncated")


class RandomEnds(gymnasium.Env[Any, Any]):
    """Episodes of 1 to about 20 steps, which terminate, are truncated, or both.

    It returns the same array in all steps of an episode, and changes the action that it is given.
    Each reset makes another array, because in the mode SAME_STEP Gymnasium itself resets before it
    has copied the final observation.
    """

    observation_space: Any = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space: Any = spaces.Discrete(5)
    ends = 0.12

    def __init__(self) -> None:
        self.state = np.zeros(3, np.float32)
        self.count = 0
        self.log: list[dict[str, Any]] = []

    def observe(self) -> Any:
        return self.state

    def info(self) -> dict[str, Any]:
        """`count` in every info, `text` and `vector` in some."""
        self.count += 1
        rare = {"text": f"step {self.count}", "vector": np.full(2, self.count / 2)}
        return {"count": self.count, **(rare if self.count % 3 == 0 else {})}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.state = self.np_random.normal(size=3).astype(np.float32)
        obs, info = self.observe(), self.info()
        self.log.append(copy.deepcopy({"seed": seed, "options": options, "obs": obs, **info}))
        return obs, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        given = copy.deepcopy(action)
        if isinstance(action, np.ndarray) and action.ndim:
            action *= 0
        self.state += self.np_random.normal(size=3).astype(np.float32) + np.sum(flat(given))
        ended = [bool(end) for end in self.np_random.random(2) < self.ends]
        reward = float(self.np_random.normal())
        obs, info = self.observe(), self.info()
        after = {"action": given, "reward": reward, "terminated": ended[0], "truncated": ended[1]}
        self.log.append({**after, "obs": copy.deepcopy(obs), **copy.deepcopy(info)})
        return obs, reward, ended[0], ended[1], info


def flat(sample: Any) -> Any:
    """The numbers of an action."""
    if isinstance(sample, dict):
        sample = list(sample.values())
    if isinstance(sample, (tuple, list)):
        return [np.sum(flat(part)) for part in sample]
    return 0 if isinstance(sample, str) else np.asarray(sample, np.float32)


def make_vector(kind: str, mode: Any, count: int, env: Any = RandomEnds) -> Any:
    """A vector of environments that returns the same array of observations in all ticks."""
    cls = {"sync": vector.SyncVectorEnv, "async": vector.AsyncVectorEnv}[kind]
    return cls([env] * count, copy=False, autoreset_mode=mode)


def rows_of_log(log: list[dict[str, Any]], cut: bool = True) -> list[dict[str, Any]]:
    """The rows of one environment, with its episodes counted from 0.

    Args:
        log: the calls.
        cut: whether the last episode is cut, if it has not ended.
    """
    rows: list[dict[str, Any]] = []
    episode, is_open = -1, False
    for call in log:
        before = {name: value for name, value in call.items() if name not in {*AFTER}}
        if "action" in call:
            rows[-1] |= {name: call[name] for name in AFTER}
            is_open = not (call["terminated"] or call["truncated"])
            flags: dict[str, Any] = {} if is_open else dict.fromkeys(FLAGS, False)
        else:
            if is_open:
                rows[-1] |= {"terminated": False, "truncated": True}
            episode, is_open, flags = episode + 1, True, {}
        rows.append({**before, "episode": episode, **flags})
    if is_open and cut:
        rows[-1] |= {"terminated": False, "truncated": True}
    return rows


AFTER = ("action", "reward", *FLAGS)


def assert_rows(stored: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The stored rows have the values of the expected ones, and lack the same fields."""
    assert len(stored) == len(expected)
    first = stored[0]["episode"] if stored else 0
    known: dict[int, int] = {}  # expected episode -> stored episode
    for number, (row, wanted) in enumerate(zip(stored, expected, strict=True)):
        for name, value in row.items():
            place = f"row {number}, {name}"
            if name == "env":
                continue
            if name == "episode":
                assert known.setdefault(wanted[name], value) == value >= first, place
            elif name == "reward" and value is not None:
                assert value == np.float32(wanted[name]), place
            else:
                assert plain(value) == plain(wanted.get(name)), place
    assert len(set(known.values())) == len(known)


def plain(value: Any) -> Any:
    """A sample or a stored value as dicts, lists and numbers. Parts that are None are left out."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        parts = {str(name): plain(part) for name, part in value.items() if part is not None}
        is_tuple = parts and list(parts) == [str(place) for place in range(len(parts))]
        return list(parts.values()) if is_tuple else parts
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, str) else np.asarray(value).tolist()


def lane(store: StreamStore, env: int) -> list[dict[str, Any]]:
    """The rows of one environment."""
    return [row for row in store.rows() if row["env"] == env]


def act(env: Any, steps: int, seed: int | None = 0) -> None:
    """Random steps of a single environment, which is reset at the end of an episode."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(draw(env.action_space, rng))
        if terminated or truncated:
            env.reset()


def act_vector(envs: Any, ticks: int, seed: int | None = 0) -> None:
    """Random ticks of a vector of environments, in any mode."""
    rng = np.random.default_rng(seed)
    disabled = envs.metadata["autoreset_mode"] == vector.AutoresetMode.DISABLED
    envs.reset(seed=seed)
    for _ in range(ticks):
        *_, terminated, truncated, _ = envs.step(draw(envs.action_space, rng))
        over = terminated | truncated
        if disabled and over.any():
            envs.reset(options={"reset_mask": over})


def draw(space: Any, rng: Any) -> Any:
    """A sample that depends on `rng` only."""
    space.seed(int(rng.integers(1 << 30)))
    return space.sample()


def with_spaces(observation: Any, action: Any) -> Any:
    """A class of environments with random observations of a space."""

    class Sampled(RandomEnds):
        observation_space = observation
        action_space = action

        def observe(self) -> Any:
            return draw(observation, self.np_random)

    return Sampled
