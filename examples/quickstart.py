"""The Python of the README: record, open by path, sample windows, read rows.

Creates the store `my_run`.
"""

from __future__ import annotations

import numpy as np

import stream_store

fields = {"obs": "float32[3]", "action": "int64", "reward": "float32", "note": "string"}
with stream_store.StreamStore("my_run", fields=fields) as store:
    for t in range(1000):
        step = {"obs": [t, t / 2, 0.0], "action": t % 4, "reward": 1.0}
        if t % 100 == 0:
            step["note"] = f"lap {t // 100}"  # text of any length; missing in other steps
        store.append_step(step)
    store.sync()  # from here on these steps survive a power cut

# In any other process, also while the first one writes:
reader = stream_store.StreamStore("my_run", mode="r")
starts = np.random.default_rng(0).integers(0, len(reader) - 64, size=32)
batch = reader.windows(starts, 64)  # flat values, with the field and the step of each
print(batch["values"].shape, batch["types"][0, :5], batch["step"][0, :5])
rows = reader.read_rows(np.arange(100, 110))  # decoded: every field in its own dtype
print(rows["obs"].dtype, rows["obs"].shape, rows["_mask"]["note"][:3])
print(reader.row(100))
