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


def test_negative_numbers_count_from_the_last_window() -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": range(10)})
    dataset = WindowDataset(store, 1, unit="row")
    assert [int(dataset[i]["x"][0]) for i in (-1, -2, -10)] == [9, 8, 0]
    assert [int(sample["x"][0]) for sample in dataset.__getitems__([-1, 3, -10])] == [9, 3, 0]
    for outside in (10, -11):
        with pytest.raises(IndexError, match="outside"):
            dataset[outside]
