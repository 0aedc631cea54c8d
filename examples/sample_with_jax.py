"""Use batches of a store in JAX, without another copy on the CPU.

    python examples/sample_with_jax.py

Records a stream, samples row windows and flat windows from it, passes them to JAX and compares
every number with NumPy. JAX can use the memory of large batches directly: a device array on the CPU
is the memory that the sampler filled. Needs JAX: pip install 'stream-store[jax]'.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stream_store import StreamStore, WindowSampler

FIELDS = {"episode": "int32", "obs": "float32[17]", "action": "float32[6]", "end": "bool"}
ROWS = 20_000


def record(store: StreamStore) -> None:
    rng = np.random.default_rng(0)
    for begin in range(0, ROWS, 1000):
        rows = np.arange(begin, begin + 1000)
        store.extend(
            {
                "episode": rows // 500,
                "obs": rng.normal(size=(1000, 17)),
                "action": rng.normal(size=(1000, 6)),
                "end": rows % 500 == 499,
            }
        )


def to_device(array: np.ndarray) -> jax.Array:
    """Convert to a JAX array. On the CPU it shares the memory if that is aligned to 64 bytes."""
    return jax.dlpack.from_dlpack(array)


def shares_memory(array: np.ndarray, device_array: jax.Array) -> bool:
    return bool(device_array.unsafe_buffer_pointer() == array.ctypes.data)


@jax.jit
def loss(weights: jax.Array, obs: jax.Array, action: jax.Array, valid: jax.Array) -> jax.Array:
    """Return the error of a linear model of the next observation, without padding."""
    seen = jnp.concatenate([obs[:, :-1], action[:, :-1]], axis=-1)
    error = jnp.square(seen @ weights - obs[:, 1:]).mean(axis=-1)
    return (error * valid[:, 1:]).sum() / valid[:, 1:].sum()


def main() -> None:
    with StreamStore(fields=FIELDS) as store:
        record(store)
        sampler = WindowSampler(
            store, 16, unit="row", batch_size=256, segment_by="episode", pad="right"
        )
        weights = jnp.zeros((23, 17), jnp.float32)
        copies = 0
        for _, batch in zip(range(20), sampler.prefetch(2), strict=False):
            arrays: dict[str, Any] = {name: batch[name] for name in ("obs", "action", "_valid")}
            tensors = {name: to_device(array) for name, array in arrays.items()}
            for name, array in arrays.items():
                np.testing.assert_array_equal(np.asarray(tensors[name]), array)
            copies += not shares_memory(arrays["obs"], tensors["obs"])
            gradient = jax.grad(loss)(weights, tensors["obs"], tensors["action"], tensors["_valid"])
            weights = weights - 0.1 * gradient
        print(f"20 batches of windows, {copies} of their observations copied")

        # Without 64-bit types, JAX truncates raw values. The column "number" has no such problem.
        flat = WindowSampler(store, 256, batch_size=256, columns=["number", "types", "values"])
        batch = flat.sample()
        number = to_device(batch["number"])
        np.testing.assert_array_equal(np.asarray(number), batch["number"])
        wrong = np.asarray(jnp.asarray(batch["values"]))
        changed = np.mean(wrong != batch["values"])
        print(f"numbers are equal; as {wrong.dtype}, {changed:.0%} of the raw values change")
    if copies:
        raise SystemExit("expected no copy on the CPU")


if __name__ == "__main__":
    main()
