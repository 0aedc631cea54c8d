"""WindowDataset: the numbers of its windows when it is pickled and its store grows."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from stream_store import StreamStore

torch = pytest.importorskip("torch")

from stream_store.torch import WindowDataset  # noqa: E402


def test_a_pickled_dataset_keeps_the_rows_that_it_counted_from_the_end(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"x": "int64"}) as store:
        store.extend({"x": range(10)})
        dataset = WindowDataset(store, 1, unit="row", rows=(-4, None))
        pickled = pickle.dumps(dataset)
        store.extend({"x": range(10, 15)})
        for same in (dataset, pickle.loads(pickled)):
            assert [int(same[i]["x"][0]) for i in range(len(same))] == [6, 7, 8, 9]
        dataset.refresh()
        assert [int(dataset[i]["x"][0]) for i in range(len(dataset))] == [11, 12, 13, 14]
