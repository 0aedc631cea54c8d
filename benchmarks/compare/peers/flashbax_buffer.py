"""flashbax's trajectory buffer, in device memory. It draws its windows itself, compiled by JAX.

JAX returns before the work is done, even on a CPU, so every call here waits for the result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flashbax
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from . import BATCH, LENGTH, chunks

CANNOT = {
    "one_window": "draws whole batches only",
    "flat_windows": "has no flat values",
    **dict.fromkeys(
        ("episode_windows", "episode_windows_growing"), "cannot draw windows inside episodes"
    ),
    "whole_episodes": "cannot draw whole episodes",
    **dict.fromkeys(("loader", "loader_workers"), "draws its batches itself"),
    **dict.fromkeys(
        ("recover", "reopen", "cold_windows", "limited_windows"),
        "keeps its rows in memory (its Vault was not measured)",
    ),
    "priority_windows": "cannot draw windows inside episodes",
    "lanes": "needs agents that act in lockstep",
    "stacks": "was not measured",
}


STEP = {
    "observation": jnp.zeros(8, jnp.float32),
    "action": jnp.zeros((), jnp.int32),
    "reward": jnp.zeros((), jnp.float32),
    "done": jnp.zeros((), bool),
}


def device_batch(columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    batch = {name: jnp.asarray(column)[None] for name, column in columns.items()}
    batch["action"] = batch["action"].astype(jnp.int32)
    return batch


class Peer:
    def __init__(self, directory: Path, capacity: int) -> None:
        self.buffer = flashbax.make_trajectory_buffer(
            add_batch_size=1,
            sample_batch_size=BATCH,
            sample_sequence_length=LENGTH,
            period=1,
            min_length_time_axis=LENGTH,
            max_length_time_axis=capacity,
        )
        self.add = jax.jit(self.buffer.add, donate_argnums=0)
        self.draw = jax.jit(self.buffer.sample)
        self.state = self.buffer.init(STEP)
        self.key = jax.random.key(0)

    def append(
        self, t: int, observation: list[float], action: int, reward: float, done: bool
    ) -> None:
        step = {
            "observation": jnp.asarray(observation, jnp.float32)[None, None],
            "action": jnp.asarray(action, jnp.int32)[None, None],
            "reward": jnp.asarray(reward, jnp.float32)[None, None],
            "done": jnp.asarray(done)[None, None],
        }
        self.state = jax.block_until_ready(self.add(self.state, step))

    def extend(self, columns: dict[str, NDArray[Any]]) -> None:
        self.state = jax.block_until_ready(self.add(self.state, device_batch(columns)))

    def sample(self) -> Any:
        """Return a batch of windows that the buffer chooses."""
        self.key, key = jax.random.split(self.key)
        return jax.block_until_ready(self.draw(self.state, key).experience)

    def close(self) -> None:
        pass


class ByPriority:
    """The prioritised trajectory buffer with trajectories of one row."""

    def __init__(self, directory: Path, rows: int, length: int) -> None:
        buffer = flashbax.make_prioritised_trajectory_buffer(
            add_batch_size=1,
            sample_batch_size=BATCH,
            sample_sequence_length=length,
            period=1,
            min_length_time_axis=length,
            max_length_time_axis=rows,
            priority_exponent=0.6,
        )
        self.set = jax.jit(buffer.set_priorities, donate_argnums=0)
        self.sample = jax.jit(buffer.sample)
        self.key = jax.random.key(0)
        self.state = buffer.init(STEP)
        add = jax.jit(buffer.add, donate_argnums=0)
        for chunk in chunks(rows):
            self.state = add(self.state, device_batch(chunk))

    def draw(self) -> Any:
        self.key, key = jax.random.split(self.key)
        drawn = jax.block_until_ready(self.sample(self.state, key))
        return drawn.experience, drawn.indices

    def update(self, index: Any, priorities: NDArray[np.float64]) -> None:
        self.state = jax.block_until_ready(self.set(self.state, index, jnp.asarray(priorities)))


class Ring(Peer):
    """A full trajectory buffer, which overwrites the oldest rows."""
