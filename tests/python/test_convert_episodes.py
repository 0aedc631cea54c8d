"""Exporters find episodes block by block; StreamStore.segments is the independent model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore
from stream_store._convert import exporting


@pytest.mark.parametrize("seed", range(20))
def test_episodes_are_the_segments_of_the_store(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 300))
    monkeypatch.setattr(exporting, "_CUT_ROWS", int(rng.integers(1, 60)))
    store = StreamStore(fields={"number": "int64", "done": "bool", "cut": "bool"})
    numbers = np.cumsum(rng.random(rows) < 0.1)
    done = rng.random(rows) < 0.1
    columns: dict[str, Any] = {
        "number": np.ma.array(numbers, mask=rng.random(rows) < 0.4),
        "done": np.ma.array(done, mask=rng.random(rows) < 0.2),
        "cut": rng.random(rows) < 0.05,
    }
    store.extend(columns)
    view = store.snapshot()
    for by in ("number", "done", ["done", "cut"]):
        found = exporting.episodes_of(view, by, None, "export")
        assert [[one.first, one.last + 1] for one in found] == view.segments(by).tolist()
        assert all(isinstance(one.row_numbers, range) for one in found)
        assert [one.number for one in found] == list(range(len(found)))


def test_fields_that_cannot_cut_are_refused() -> None:
    store = StreamStore(fields={"x": "float32"})
    store.extend({"x": [1.0, 2.0]})
    with pytest.raises(ValueError, match="expected one int field or only bool fields"):
        exporting.episodes_of(store.snapshot(), "x", None, "export")
