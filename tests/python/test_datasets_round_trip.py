"""Dataset -> store -> dataset and store -> dataset -> store change nothing."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import (
    Array2D,
    Array3D,
    ClassLabel,
    Dataset,
    Features,
    LargeList,
    List,
    Sequence,
    Translation,
    Value,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_model import ARRAYS, TYPES, Nulls, column, shaped_column
from dataset_helpers import assert_same_dataset, cache, contents, imported
from store_helpers import filled
from stream_store import StreamStore

__all__ = ["cache"]  # a fixture

NULLS: list[Nulls] = ["none", "some", "all", "edges"]


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("name", TYPES)
def test_every_type_survives(name: str, nulls: Nulls) -> None:
    array = column(TYPES[name], 97, nulls, np.random.default_rng(3))
    ds = Dataset(pa.table({name: array}))
    store = imported(ds)
    assert_same_dataset(store.to_dataset(), ds)
    again = imported(store.to_dataset())
    assert contents(again) == contents(store)


FEATURES: dict[str, Any] = {
    "label": ClassLabel(names=["no", "yes", "maybe"]),
    "labels": List(ClassLabel(names=["a", "b"])),
    "matrix": Array2D((2, 3), "float32"),
    "frames": Array3D((None, 2, 2), "int16"),
    "large": LargeList(Value("uint64")),
    "pair": List(Value("float64"), length=2),
    "legacy": Sequence(Value("int8")),
    "struct": {"x": Value("int64"), "y": {"z": List(Value("bool"))}},
    "words": Translation(languages=["de", "en"]),
    "a.b": Value("string"),
    "zone": Value("timestamp[ns, tz=Asia/Tokyo]"),
    "nothing": Value("null"),
}
ROWS: list[dict[str, Any]] = [
    {},
    {
        "label": 2,
        "labels": [0, 1, 1],
        "matrix": [[1, 2, 3], [4, 5, 6]],
        "frames": [[[1, 2], [3, 4]]] * 3,
        "large": [2**64 - 1],
        "pair": [0.1, float("inf")],
        "legacy": [-128, 127],
        "struct": {"x": 1, "y": {"z": [True]}},
        "words": {"de": "eins", "en": "one"},
        "a.b": "dotted",
        "zone": 1,
    },
    {"struct": None, "frames": [], "labels": [], "large": [], "label": -1},
    {"struct": {"x": None, "y": None}, "words": {"de": None, "en": None}},
    {"struct": {"x": None, "y": {"z": []}}, "a.b": ""},
    {},
]


def rich_dataset(rows: list[dict[str, Any]] | None = None) -> Dataset:
    rows = ROWS if rows is None else rows
    columns = {name: [row.get(name) for row in rows] for name in FEATURES}
    features = Features(FEATURES)
    encoded = {
        name: pa.array(columns[name], features.arrow_schema.field(name).type)
        if not isinstance(features.arrow_schema.field(name).type, pa.ExtensionType)
        else pa.ExtensionArray.from_storage(
            features.arrow_schema.field(name).type,
            pa.array(columns[name], features.arrow_schema.field(name).type.storage_type),
        )
        for name in FEATURES
    }
    return Dataset(pa.table(encoded, schema=features.arrow_schema))


def test_every_feature_survives() -> None:
    ds = rich_dataset()
    store = imported(ds)
    assert store.features == ds.features
    assert_same_dataset(store.to_dataset(), ds)
    assert store.row(2)["struct"] is None
    assert store.row(3)["struct"] == {"x": None, "y": None}
    assert store.num_rows == len(ROWS)


@pytest.mark.parametrize("order", ["none first", "none last", "none between", "none only", "empty"])
def test_rows_of_nulls_are_kept_at_any_place(order: str) -> None:
    full, empty = ROWS[1], ROWS[0]
    rows = {
        "none first": [empty, empty, full],
        "none last": [full, empty, empty],
        "none between": [full, empty, full],
        "none only": [empty] * 3,
        "empty": [],
    }[order]
    ds = rich_dataset(rows)
    store = imported(ds)
    assert store.num_rows == len(rows)
    assert_same_dataset(store.to_dataset(), ds)


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_packed_and_shaped_fields_survive(name: str, nulls: Nulls) -> None:
    feature, kind, shape = ARRAYS[name]
    store = StreamStore(fields={name: feature})
    store.from_arrow(
        pa.table({name: shaped_column(kind, shape, 50, nulls, np.random.default_rng(4))})
    )
    again = StreamStore(fields={name: feature})
    again.from_dataset(store.to_dataset())
    assert contents(again) == contents(store)
    unpacked = imported(store.to_dataset())
    assert_same_dataset(unpacked.to_dataset(), store.to_dataset())


@pytest.mark.parametrize(
    "name", ["_id", "__index_level_0__", "_col0", "_", "_step", "_mask", "_length", "_row", "a b"]
)
def test_columns_of_any_name_survive(name: str) -> None:
    ds = Dataset.from_dict({name: [1, None, 3], "other": ["a", "b", None]})
    store = imported(ds)
    assert store.row(0) == {name: 1, "other": "a"}
    assert_same_dataset(store.to_dataset(), ds)
    assert pa.table(store).column_names == [name, "other"]
    structs = Dataset.from_list([{"s": {name: 1}}, {"s": None}])
    assert_same_dataset(imported(structs).to_dataset(), structs)


def test_every_bit_pattern_of_float16_survives() -> None:
    bits = np.arange(2**16, dtype=np.uint16).view(np.float16)
    ds = Dataset(
        pa.table(
            {
                "h": pa.array(bits),
                "l": pa.array(bits.reshape(-1, 2).repeat(2, 0).tolist(), pa.list_(pa.float16())),
            }
        )
    )
    assert_same_dataset(imported(ds).to_dataset(), ds)


def test_random_bits_of_floats_survive() -> None:
    rng = np.random.default_rng(5)
    special = np.array([0x7F800001, 0xFF800001, 0x7FC00000, 0x80000000, 1, 0x7F7FFFFF], np.uint32)
    bits = np.concatenate([special, rng.integers(0, 2**32, 20_000, dtype=np.uint32)])
    doubles = rng.integers(0, 2**64, len(bits), dtype=np.uint64)
    ds = Dataset(
        pa.table({"f": pa.array(bits.view(np.float32)), "g": pa.array(doubles.view(np.float64))})
    )
    assert_same_dataset(imported(ds).to_dataset(), ds)


def test_extremes_survive() -> None:
    ds = Dataset(
        pa.table(
            {
                "i": pa.array([-(2**63), 2**63 - 1, None]),
                "u": pa.array([0, 2**64 - 1, None], pa.uint64()),
                "t": pa.array([-(2**63), 2**63 - 1, None], pa.timestamp("ns")),
                "d": pa.array([2**31 - 1, -(2**31), None], pa.int32()).cast(pa.date32()),
            }
        )
    )
    assert_same_dataset(imported(ds).to_dataset(), ds)


def test_values_are_narrowed_to_the_type_of_their_field() -> None:
    store = StreamStore(fields={"f": "float32"})
    store.append_step({"f": 0.1})
    again = StreamStore(fields={"f": "float32"})
    again.from_dataset(store.to_dataset())
    assert store[0]["values"] == np.float64(0.1).view(np.int64)
    assert again[0]["values"] == np.float64(np.float32(0.1)).view(np.int64)


def test_steps_survive_in_a_column_of_their_own() -> None:
    store = StreamStore(fields={"a": "int64", "b": "string"})
    for step, values in [(-5, {"a": 1}), (0, {}), (7, {"b": "x"}), (2**63 - 1, {"a": 2})]:
        store.append_step(values, step)
    ds = store.to_dataset(step_column="when")
    assert ds["when"][:] == [-5, 0, 7, 2**63 - 1]
    again = StreamStore(fields={"a": "int64", "b": "string"})
    again.from_dataset(ds, step_column="when")
    assert contents(again) == contents(store)
    assert again.index_table()["step"].tolist() == store.index_table()["step"].tolist()
    inferred = imported(ds, step_column="when")
    assert inferred.fields == ("a", "b")
    assert imported(ds).fields == ("when", "a", "b")


def test_rows_of_several_appends_are_one_row() -> None:
    store = StreamStore(fields={"a": "int64", "b": "float32[]", "c": "string"})
    for step in range(50):
        store.append([step], ["a"], [step])
        if step % 3:
            store.append([step, step], ["b", "c"], [[step] * (step % 4), str(step)])
    again = imported(store.to_dataset())
    assert contents(again) == contents(store)


def test_a_dataset_can_be_appended_to_the_store_that_it_came_from(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=filled(0).features) as store:
        store.from_dataset(filled(5).to_dataset())
        store.from_dataset(filled(3).to_dataset(), append=True)
        assert store[:]["step"].max() == 7
        assert store.to_dataset()["action"][:] == [0, 1, 2, 3, 4, 0, 1, 2]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Random columns of random types, sliced and chunked at random."""
    names = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 40))
    nulls = draw(st.sampled_from(NULLS))
    table = pa.table({name: column(TYPES[name], count, nulls, rng) for name in names})
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=3)))
    bounds = [0, *cuts, count]
    return pa.concat_tables(table.slice(a, b - a) for a, b in itertools.pairwise(bounds)).slice(
        draw(st.integers(0, count))
    )


@given(tables())
@settings(max_examples=40)
def test_any_table_survives(table: pa.Table) -> None:
    ds = Dataset(table)
    assert_same_dataset(imported(ds).to_dataset(), ds)


def test_a_parquet_file_survives(tmp_path: Path) -> None:
    ds = rich_dataset().remove_columns(["nothing"])
    ds.to_parquet(tmp_path / "a.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "a.parquet"), split="train", features=ds.features
    )
    assert_same_dataset(imported(loaded).to_dataset(), loaded)
