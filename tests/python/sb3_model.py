"""Streams of transitions for replay buffers, and comparison of their batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

OBS = spaces.Box(0, 100, (3,), np.float32)
ACTION = spaces.Box(-1, 1, (2,), np.float32)


def draw(space: spaces.Space, n_envs: int, rng: np.random.Generator) -> Any:
    """Items of a space, one for each environment."""
    if isinstance(space, spaces.Dict):
        return {key: draw(one, n_envs, rng) for key, one in space.spaces.items()}
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=n_envs)
    if isinstance(space, spaces.MultiBinary):
        return rng.integers(2, size=(n_envs, *space.shape)).astype(space.dtype)
    return (rng.random((n_envs, *space.shape)) * 100).astype(space.dtype)


def replace(obs: Any, other: Any, where: np.ndarray) -> Any:
    """A copy of `obs`, with the items of `other` for some environments."""
    if isinstance(obs, dict):
        return {key: replace(obs[key], other[key], where) for key in obs}
    return np.where(where.reshape(-1, *[1] * (obs.ndim - 1)), other, obs)


def transitions(
    steps: int,
    n_envs: int = 1,
    *,
    seed: int = 0,
    obs: spaces.Space = OBS,
    action: spaces.Space = ACTION,
    ends: float = 0.1,
    resets: float = 0.0,
) -> Iterator[tuple[Any, ...]]:
    """Arguments of `add`: episodes that end or are truncated, and resets in their middle."""
    rng = np.random.default_rng(seed)
    now = draw(obs, n_envs, rng)
    for _ in range(steps):
        following = draw(obs, n_envs, rng)
        done = rng.random(n_envs) < ends
        truncated = done & (rng.random(n_envs) < 0.5)
        infos = [{"TimeLimit.truncated": bool(one)} for one in truncated]
        reward = rng.random(n_envs).astype(np.float32)
        yield now, following, draw(action, n_envs, rng), reward, done, infos
        now = replace(following, draw(obs, n_envs, rng), done | (rng.random(n_envs) < resets))


def assert_same_batch(found: Any, expected: Any) -> None:
    """Check that two batches have equal tensors: dtypes, shapes and values."""
    assert type(found) is type(expected)
    for name in expected._fields:
        mine, theirs = getattr(found, name), getattr(expected, name)
        if theirs is None:
            assert mine is None
            continue
        pairs = [(mine[key], theirs[key]) for key in theirs] if isinstance(theirs, dict) else None
        for one, other in pairs or [(mine, theirs)]:
            assert one.dtype == other.dtype, name
            assert one.shape == other.shape, name
            assert torch.equal(one, other), name
            assert one.is_contiguous(), name


def assert_same_draws(mine: Any, theirs: Any, seed: int, count: int = 32, env: Any = None) -> None:
    """Check that two buffers draw equal batches after the same seed."""
    batches = []
    for buffer in (mine, theirs):
        np.random.seed(seed)  # noqa: NPY002
        batches.append(buffer.sample(count, env))
    assert_same_batch(*batches)
