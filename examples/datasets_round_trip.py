"""Convert a recorded store to a HuggingFace dataset, filter and map it, and import the result.

Creates the stores `walk` and `late`. Needs `pip install 'stream-store[datasets]'`.
"""

from __future__ import annotations

import numpy as np

import stream_store

FIELDS = {"obs": "float32[3]", "action": "int64", "reward": "float32", "note": "string"}


def record(path: str, steps: int = 10_000) -> None:
    """Record a walk. Every hundredth step has a note, which is missing in the others."""
    rng = np.random.default_rng(0)
    with stream_store.StreamStore(path, fields=FIELDS) as store:
        for t in range(steps):
            step = {"obs": rng.normal(size=3), "action": t % 4, "reward": t / steps}
            if t % 100 == 0:
                step["note"] = f"lap {t // 100}"
            store.append_step(step)


def main() -> None:
    record("walk")
    with stream_store.StreamStore("walk", mode="r") as walk:
        ds = walk.to_dataset("train", step_column="t")  # one file in the cache, mapped
    print(ds)
    late = ds.filter(lambda reward: reward >= 0.5, input_columns="reward").map(
        lambda row: {"obs": [10 * x for x in row["obs"]]}
    )
    with stream_store.StreamStore("late") as store:  # its fields come from the columns
        rows = store.from_dataset(late, step_column="t")
        print(f"{rows} rows, {len(store)} values, last step {store.last_step}")
        starts = np.random.default_rng(1).integers(0, len(store) - 64, size=32)
        batch = store.windows(starts, 64)
        print(batch["values"].shape, batch["types"][0, :7], batch["step"][0, :7])


if __name__ == "__main__":
    main()
