"""Struct features: nested values round-trip, and nulls differ from structs of nulls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_store import StreamStore

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
    rows = [row["obs"] for row in store.rows()]
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
