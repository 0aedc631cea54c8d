"""add_fields(): what reads a store already continues with the fields that it knows."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from store_helpers import rows_of
from stream_store import StreamStore, WindowSampler


def test_snapshots_and_iterators_continue_with_the_fields_they_know():
    store = StreamStore(fields={"a": "int64", "s": {"x": "int64"}})
    store.extend({"a": [1, 2, 3]})
    snapshot, rows = store.snapshot(), store.rows()
    next(rows)
    types = store.field_to_type
    store.add_fields({"b": "string"})
    store.extend({"b": ["x", "y"]})
    assert [list(row) for row in rows] == [["a", "s"]] * 2
    assert snapshot.fields == ("a", "s.x")
    assert rows_of(snapshot) == [{"a": i, "s": None} for i in (1, 2, 3)]
    assert list(snapshot.read_rows([0])) == list(store.read_rows([0], fields=["a", "s"]))
    assert dict(types) == {"a": 0, "s.x": 1}
    assert store.num_field_writes == 5


@pytest.mark.parametrize("fields", [None, ["a"]])
def test_samplers_continue_with_the_fields_they_know(tmp_path, fields):
    store = StreamStore(tmp_path / "store", fields={"a": "int64", "s": {"x": "int64"}})
    store.extend({"a": range(8), "s": [{"x": i} for i in range(8)]})
    known = {"a", "s"} if fields is None else {"a"}
    once = WindowSampler(store, 1, unit="row", batch_size=3, replacement=False, fields=fields)
    batches = iter(once)
    first = next(batches)
    drawn = WindowSampler(store, 2, unit="row", batch_size=50, fields=fields)
    ahead = iter(WindowSampler(store, 2, unit="row", batch_size=5, fields=fields))
    next(ahead)
    values = WindowSampler(store, 4, batch_size=500)
    store.add_fields({"b": "string", "t": {"y": "int8"}})
    store.extend({"a": range(8, 16), "b": ["x"] * 8, "t": [{}] * 8})
    seen = [first, *batches]
    assert sorted(np.concatenate([batch["a"] for batch in seen]).ravel()) == list(range(8))
    for batch in [*seen, drawn.sample(), next(ahead), next(ahead)]:
        assert {name for name in batch if name[0] != "_"} == known
    assert drawn.sample()["a"].max() > 8
    assert set(values.sample()["types"].ravel()) == {0, 1, 3}
    # A copy in another process, and one after a state, are the same sampler.
    for again in (pickle.loads(pickle.dumps(drawn)), copy.deepcopy(drawn)):
        assert {name for name in again.sample() if name[0] != "_"} == known
    fresh = WindowSampler(store, 1, unit="row", batch_size=3)
    assert {"b", "t"} < set(fresh.sample())
    fresh.load_state_dict(WindowSampler(store, 1, unit="row", batch_size=3).state_dict())
    store.truncate(6)  # makes the samplers read their stores anew
    assert {name for name in drawn.sample() if name[0] != "_"} == known


def test_datasets_of_torch_continue_with_the_fields_they_know(tmp_path):
    torch_data = pytest.importorskip("torch.utils.data")
    from stream_store.torch import WindowDataset, WindowIterableDataset

    store = StreamStore(tmp_path / "store", fields={"a": "int64"})
    store.extend({"a": range(8)})
    by_number = WindowDataset(store, 1, unit="row")
    drawn = [
        WindowIterableDataset(store, 1, unit="row", batch_size=4, replacement=False)
        for _ in range(2)
    ]
    store.add_fields({"b": "int64"})
    store.extend({"a": range(8, 12), "b": range(4)})
    store.sync()
    for workers, iterable in zip((0, 2), drawn, strict=True):
        for dataset, size in ((by_number, 4), (iterable, None)):
            loader = torch_data.DataLoader(dataset, batch_size=size, num_workers=workers)
            seen = []
            for batch in loader:
                assert "b" not in batch
                seen += batch["a"].ravel().tolist()
            assert sorted(seen) == list(range(12))
    by_number.refresh()
    assert "b" not in by_number[11]
    assert WindowDataset(store, 1, unit="row")[11]["b"].item() == 3


def test_arrow_streams_continue_and_new_ones_have_the_fields(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    store = StreamStore(tmp_path / "store", fields={"a": "int64", "s": {"x": "int64"}})
    store.extend({"a": [1, 2], "s": [{}, None]})
    stream = store.to_arrow()
    capsule = pyarrow.RecordBatchReader.from_stream(store)
    store.add_fields({"b": "string", "t": {"y": "int64"}, "n": "nested list<string>"})
    store.extend({"a": [3, 4], "b": ["x", None], "t": [{"y": 1}, {}], "n": [["p"], None]})
    old = [{"a": 1, "s": {"x": None}}, {"a": 2, "s": None}]
    assert stream.read_all().to_pylist() == capsule.read_all().to_pylist() == old
    new = [
        {"a": 1, "s": {"x": None}, "b": None, "t": None, "n": None},
        {"a": 2, "s": None, "b": None, "t": None, "n": None},
        {"a": 3, "s": None, "b": "x", "t": {"y": 1}, "n": ["p"]},
        {"a": 4, "s": None, "b": None, "t": {"y": None}, "n": None},
    ]
    reader = StreamStore(tmp_path / "store", "r")
    for one in (store, reader):
        assert pyarrow.table(one).to_pylist() == new
    # Into a store that declared all fields at once, and back into this one.
    other = StreamStore()
    assert other.from_arrow(pyarrow.table(store)) == 4
    assert rows_of(other) == rows_of(store)
    assert store.from_arrow(pyarrow.table(other), append=True) == 4
    assert pyarrow.table(reader).to_pylist() == new + new
    assert store.verify().findings == ()


def test_datasets_have_the_fields(tmp_path):
    datasets = pytest.importorskip("datasets")
    store = StreamStore(tmp_path / "store", fields={"a": "int64"})
    store.extend({"a": [1, 2]})
    assert list(store.to_dataset()) == [{"a": 1}, {"a": 2}]
    store.add_fields({"b": datasets.Value("string"), "c": datasets.ClassLabel(names=["u", "v"])})
    assert list(store.to_dataset()) == [{"a": i, "b": None, "c": None} for i in (1, 2)]
    ds = datasets.Dataset.from_dict({"a": [3], "b": ["x"], "c": [1]}, features=store.features)
    assert store.from_dataset(ds, append=True) == 1
    assert store.to_dataset()[2] == {"a": 3, "b": "x", "c": 1}
    assert store.to_dataset().features == store.features
