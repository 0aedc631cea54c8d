"""Struct features: nested values round-trip, and nulls differ from structs of nulls."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSampler

FIELDS: dict[str, Any] = {
    "obs": {"x": "int64", "inner": {"y": "float32", "z": "string"}},
    "a": "int64",
}
LEAVES = ("obs.x", "obs.inner.y", "obs.inner.z", "a")


@pytest.fixture
def store() -> StreamStore:
    return StreamStore(fields=FIELDS)


STRUCTS: list[Any] = [
    None,
    {"x": 1, "inner": {"y": 0.5, "z": "t"}},
    {"x": None, "inner": None},
    {"x": 1, "inner": {"y": None, "z": None}},
    {"x": None, "inner": {"y": None, "z": None}},
    {"x": None, "inner": {"y": 2.5, "z": None}},
]


def test_leaves_are_fields(store: StreamStore) -> None:
    assert store.fields == LEAVES
    assert dict(store.field_to_type) == {name: i for i, name in enumerate(LEAVES)}


@pytest.mark.parametrize("struct", STRUCTS, ids=str)
def test_struct_comes_back_whichever_way_it_went_in(store: StreamStore, struct: Any) -> None:
    store.append_step({"obs": struct, "a": 1})
    store.append([1, 1], ["obs", "a"], [struct, 1])
    store.extend({"obs": [struct, struct], "a": [1, 1]})
    assert [row["obs"] for row in store.rows()] == [struct] * 4
    assert [row["a"] for row in store.rows()] == [1] * 4


def test_partial_mappings_and_leaf_names(store: StreamStore) -> None:
    store.append_step({"obs": {"inner": {"z": "t"}}})
    store.append_step({"obs.x": 4, "obs.inner.y": 1.5})
    store.append_step({"obs": {}})
    store.append_step({})
    store.append_step({"obs.inner": {"y": 2.5}, "obs.x": 3})
    rows = [row["obs"] for row in store.rows()]
    assert rows.pop() == {"x": 3, "inner": {"y": 2.5, "z": None}}
    assert rows[0] == {"x": None, "inner": {"y": None, "z": "t"}}
    assert rows[1] == {"x": 4, "inner": {"y": 1.5, "z": None}}
    assert rows[2] == {"x": None, "inner": None}
    assert rows[3] is None
    assert store.read_rows([0, 1])["obs"]["x"].tolist() == [0, 4]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"obs": {"w": 1}}, ValueError, "Unknown field 'w'"),
        ({"obs": 3}, TypeError, "struct"),
        ({"obs": {"inner": [1]}}, TypeError, "struct"),
        ({"nope": 3}, ValueError, "Unknown field"),
        ({"obs": {"x": 1.5}}, ValueError, "obs.x"),
        ({"obs": {"x": 1}, "obs.x": 2}, ValueError, "duplicate field .* order"),
        ({3: 3}, TypeError, "str"),
    ],
)
def test_wrong_structs_are_refused(
    store: StreamStore, values: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.append_step(values)
    assert store.num_rows == 0


def test_structs_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with StreamStore(path, fields=FIELDS) as store:
        for struct in STRUCTS:
            store.append_step({"obs": struct})
    with StreamStore(path, fields=FIELDS) as store:
        assert [row["obs"] for row in store.rows()] == STRUCTS
    with StreamStore(path, "r", fields=["obs", "a"]) as store:
        assert store.fields == LEAVES


def test_features_give_the_struct_under_its_outer_name() -> None:
    datasets = pytest.importorskip("datasets")
    features = {"s": {"a": datasets.Value("int64"), "b": {"c": datasets.Value("string")}}}
    assert dict(StreamStore(fields=features).features) == features


def test_a_column_with_a_dot_stays_one() -> None:
    store = StreamStore(fields={"a.b": "int64"})
    store.append_step({"a.b": 3})
    assert store.row(0) == {"a.b": 3}
    with pytest.raises(ValueError, match="duplicate"):
        StreamStore(fields={"a.b": "int64", "a": {"b": "int64"}})


BATCH: dict[str, Any] = {
    "obs": {"x": "int64", "inner": {"y": "float32[]", "z": "string"}},
    "a": "int64",
    "list": "int8[]",
}


def batch_store() -> StreamStore:
    store = StreamStore(fields=BATCH)
    y = [[1], [], [1, 2, 3], None]
    store.extend({"obs": {"x": range(4), "inner": {"y": y, "z": list("abcd")}}, "a": range(4)})
    return store


def shapes(value: Any) -> Any:
    """The shape of every array of a batch, and the length of every list."""
    if isinstance(value, dict):
        return {name: shapes(inner) for name, inner in value.items()}
    return value.shape if isinstance(value, np.ndarray) else len(value)


INNER = {"y": (2, 3), "z": 2}
OBS = {"x": (2,), "inner": INNER}


@pytest.mark.parametrize(
    ("fields", "columns", "lengths"),
    [
        (None, {"obs": OBS, "a": (2,), "list": (2, 0)},
         {"obs": {"inner": {"y": (2,)}}, "list": (2,)}),
        (["obs"], {"obs": OBS}, {"obs": {"inner": {"y": (2,)}}}),
        (["a", "obs.inner"], {"a": (2,), "obs.inner": INNER}, {"obs.inner": {"y": (2,)}}),
        (["obs.inner.y", "a"], {"obs.inner.y": (2, 3), "a": (2,)}, {"obs.inner.y": (2,)}),
        (["obs.x", "obs"], {"obs.x": (2,), "obs": OBS}, {"obs": {"inner": {"y": (2,)}}}),
        (["obs", "obs"], {"obs": OBS}, {"obs": {"inner": {"y": (2,)}}}),
    ],
)  # fmt: skip
def test_read_rows_nests_the_structs_that_are_asked_for(
    fields: Any, columns: Any, lengths: Any
) -> None:
    read = batch_store().read_rows([0, 2], fields=fields)
    assert list(read) == [*columns, "_step", "_mask", "_length"]
    assert {name: shapes(read[name]) for name in columns} == columns
    assert shapes(read["_length"]) == lengths
    masks = {
        name: shapes(value) if not isinstance(value, dict) else value
        for name, value in read["_mask"].items()
    }
    assert list(masks) == list(columns)
    if "obs" in columns:
        assert read["obs"]["x"].tolist() == [0, 2]
        assert read["obs"]["inner"]["z"] == ["a", "c"]
        assert read["obs"]["inner"]["y"].tolist() == [[1, 0, 0], [1, 2, 3]]
        assert read["_mask"]["obs"]["inner"]["y"].tolist() == [True, True]
        assert read["_length"]["obs"]["inner"]["y"].tolist() == [1, 3]


def test_a_leaf_is_the_same_array_in_its_struct_and_under_its_own_name() -> None:
    read = batch_store().read_rows([0, 2], fields=["obs", "obs.x"])
    assert read["obs"]["x"] is read["obs.x"]


@pytest.mark.parametrize(
    "most", [{"obs": 2}, {"obs": {"inner": {"y": 2}}}, {"obs": {"inner": 2}}, {"obs.inner.y": 2}]
)
def test_max_length_knows_structs_and_leaves(most: Any) -> None:
    store = batch_store()
    for batch in (
        store.read_rows([0, 2], fields=["obs"], max_length=most),
        WindowSampler(store, 2, unit="row", fields=["obs"], max_length=most).sample(),
    ):
        assert batch["obs"]["inner"]["y"].shape[-1] == 2


def test_out_is_nested_as_the_result_is() -> None:
    store = batch_store()
    out = store.read_rows([0, 2], fields=["obs", "a"])
    del out["obs"]["inner"]["z"]
    again = store.read_rows([2, 1], fields=["obs", "a"], out=out)
    assert again["obs"]["x"] is out["obs"]["x"]
    assert again["_mask"]["obs"]["inner"]["z"] is out["_mask"]["obs"]["inner"]["z"]
    assert again["_length"]["obs"]["inner"]["y"] is out["_length"]["obs"]["inner"]["y"]
    assert out["obs"]["inner"]["y"].tolist() == [[1, 2, 3], [0, 0, 0]]
    x = np.zeros(2, np.int64)
    store.read_rows([3, 1], fields=["obs"], out={"obs.x": x})
    assert x.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": ["obs.q"]}, "Unknown field 'obs.q'"),
        ({"fields": ["obs", 3]}, "a field name must be a str"),
        ({"fields": "obs"}, "a list of names"),
        ({"out": {"obs": 3}}, "out: expected a mapping of the fields of struct 'obs', found int"),
        ({"out": {"obs": {"q": 3}}}, "out: unknown field 'q' in struct 'obs'"),
        ({"out": {"_mask": {"obs": 3}}}, "expected a mapping of the fields of struct 'obs'"),
        ({"out": {"q": 3}}, "keys that are not read: .'q'."),
        ({"max_length": {"obs": {"q": 3}}}, "max_length: unknown field 'q' in struct 'obs'"),
        ({"max_length": {"obs": "a"}}, "max_length must be an int"),
        ({"max_length": {"obs": 1, "obs.inner.y": 1}}, "'obs.inner.y' is given twice"),
        ({"fields": ["obs.x"], "max_length": {"obs": 1}}, "keys that are not read: .'obs'."),
    ],
)
def test_wrong_names_of_reads_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        batch_store().read_rows([0], **{"fields": ["obs"], **arguments})


def test_max_length_of_a_struct_without_lists_is_refused() -> None:
    store = StreamStore(fields={"s": {"x": "int8"}})
    with pytest.raises(ValueError, match="struct 's' has no lists"):
        store.read_rows([], max_length={"s": 1})


def test_samplers_nest_structs(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with StreamStore(path, fields=BATCH) as store:
        store.extend({"obs": {"x": range(8)}, "a": range(8)})
    store = StreamStore(path, "r")
    sampler = WindowSampler(store, 3, unit="row", batch_size=4, fields=["obs", "obs.x", "a"])
    again = pickle.loads(pickle.dumps(sampler))
    batch, same = sampler.sample(), again.sample()
    facts = ["_step", "_mask", "_length", "_valid", "_row", "_index", "_segment"]
    assert list(batch) == ["obs", "obs.x", "a", *facts]
    assert batch["obs"]["x"].shape == (4, 3)
    np.testing.assert_array_equal(batch["obs"]["x"], batch["a"])
    np.testing.assert_array_equal(same["obs"]["x"], batch["obs"]["x"])
    assert not batch["_mask"]["obs"]["inner"]["y"].any()
    with sampler.prefetch() as batches:
        assert next(batches)["obs"]["inner"]["y"].shape == (4, 3, 0)


RESERVED = {
    "_step": "int64",
    "_mask": {"_length": "int8[]", "b": "int8"},
    "__step": "int64",
    "_id": "int8",
}


def test_fields_that_are_called_as_keys_of_batches_get_one_more_underscore() -> None:
    store = StreamStore(fields=RESERVED)
    rows = {"_step": [7, 8], "_mask": {"_length": [[1], [1, 2]], "b": [3, 4]}, "__step": [5, 6]}
    assert store.extend({**rows, "_id": [1, 2]}) == 2
    assert store.row(1)["_step"] == 8
    batch = store.read_rows([0, 1])
    assert list(batch) == ["__step", "__mask", "___step", "_id", "_step", "_mask", "_length"]
    assert batch["__step"].tolist() == [7, 8]
    assert batch["___step"].tolist() == [5, 6]
    assert batch["_step"].tolist() == [0, 1]
    assert batch["__mask"]["_length"].tolist() == [[1, 0], [1, 2]]
    assert batch["_mask"]["__step"].tolist() == [True, True]
    assert batch["_length"]["__mask"]["_length"].tolist() == [1, 2]
    one = store.read_rows([0, 1], fields=["_step"])
    assert one["__step"].tolist() == [7, 8]
    cut = store.read_rows([0, 1], fields=["_mask"], max_length={"_mask": 1}, out={"__mask": {}})
    assert cut["__mask"]["_length"].shape == (2, 1)
    flat = StreamStore(fields={"_step": "int64", "_valid": "bool"})
    flat.extend({"_step": [7, 8], "_valid": [True, False]})
    sample = WindowSampler(flat, 2, unit="row").sample()
    assert sample["__step"].tolist() == [[7, 8]]
    assert sample["__valid"].tolist() == [[True, False]]
    assert sample["_valid"].all()
