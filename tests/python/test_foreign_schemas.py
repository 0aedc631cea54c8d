"""Fields of foreign Arrow schemas, with and without features of `datasets` in their metadata."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from arrow_c_schema import pa_schema
from stream_store import StreamStore
from stream_store._exchange.schemas import infer_fields
from stream_store.features import build_features, parse_fields, same_features
from stream_store.features.foreign import declared_node
from test_feature_types import ARROW_TYPES

datasets = pytest.importorskip("datasets")

from datasets import (  # noqa: E402
    Array2D,
    Array3D,
    ClassLabel,
    Features,
    Json,
    List,
    Translation,
    TranslationVariableLanguages,
    Value,
)

ENCODED = [
    (pa.dictionary(pa.int8(), pa.string()), pa.string()),
    (pa.run_end_encoded(pa.int32(), pa.float32()), pa.float32()),
    (pa.list_(pa.dictionary(pa.int8(), pa.string())), pa.list_(pa.string())),
    (
        pa.struct([("a", pa.run_end_encoded(pa.int16(), pa.json_()))]),
        pa.struct([("a", pa.json_())]),
    ),
    (pa.map_(pa.string(), pa.dictionary(pa.int8(), pa.int64())), pa.map_(pa.string(), pa.int64())),
    (pa.dictionary(pa.int8(), pa.list_(pa.string())), pa.list_(pa.string())),
]


@pytest.mark.parametrize(("encoded", "values"), ENCODED)
def test_encoded_column_has_the_type_of_its_values(encoded, values) -> None:
    schema = pa.schema([pa.field("x", encoded, False, {"k": "v"})])
    expected = pa.schema([pa.field("x", values, False, {"k": "v"})])
    specs = infer_fields(declared_node(schema))
    assert pa_schema(specs).equals(expected, check_metadata=True)


def test_union_is_refused_by_the_name_of_its_column() -> None:
    union = pa.dense_union([pa.field("a", pa.int8()), pa.field("b", pa.string())])
    schema = pa.schema([("ok", pa.int8()), ("one", union), ("two", pa.list_(union))])
    with pytest.raises(ValueError, match="2 fields are refused") as caught:
        infer_fields(declared_node(schema))
    assert all(word in str(caught.value) for word in ("'one'", "'two'", "a union", "split it"))


@pytest.mark.parametrize(
    "features",
    [
        {"x": ClassLabel(names=["a", "b"])},
        {"x": {"y": ClassLabel(names=["a"]), "z": Value("int64")}},
        {"x": List({"y": ClassLabel(names=["a"])})},
        {"x": datasets.Image(mode="L"), "y": List(datasets.Image())},
        {"x": Translation(["fr", "de"]), "y": TranslationVariableLanguages(languages=["de"])},
        {"x": Json(), "y": List(Json(decode=False))},
        {
            "x": Array2D((2, 3), "int8"),
            "y": Array3D((None, 3, 1), "uint8"),
            "z": List(Value("int8")),
        },
        {"x": Value("utf8"), "y": Value("uuid")},
    ],
)
def test_features_in_the_metadata_of_a_schema_come_back(features: dict[str, object]) -> None:
    declared = Features(features)
    specs = infer_fields(declared_node(declared.arrow_schema))
    assert build_features(specs) == declared


def test_features_that_do_not_match_the_columns_are_not_used() -> None:
    features = Features({"a": ClassLabel(names=["a"]), "b": datasets.Image(), "c": Json()})
    other = pa.schema([("a", pa.int32()), ("b", pa.binary()), ("c", pa.string())])
    schema = other.with_metadata(features.arrow_schema.metadata)
    assert build_features(infer_fields(declared_node(schema))) == {
        "a": Value("int32"),
        "b": Value("binary"),
        "c": Value("string"),
    }


@pytest.mark.parametrize(
    "node",
    [
        *(None, 3, [], {"_type": "Value"}, {"_type": "Unknown"}, {"_type": "ClassLabel"}),
        {"_type": "ClassLabel", "names": "ab"},
        {"_type": "List", "feature": None},
        {"_type": "List", "feature": {"dtype": "int64", "_type": "Value"}, "length": "3"},
    ],
)
def test_damaged_metadata_is_ignored(node: object) -> None:
    metadata = {"huggingface": json.dumps({"info": {"features": {"x": node}}})}
    schema = pa.schema([("x", pa.int64())], metadata=metadata)
    assert build_features(infer_fields(declared_node(schema))) == {"x": Value("int64")}


def test_features_of_older_datasets_are_understood() -> None:
    item = {"dtype": "string", "id": None, "_type": "Value"}
    old = {
        "x": {"feature": item, "length": -1, "id": None, "_type": "Sequence"},
        "y": {"feature": {"a": item}, "_type": "Sequence"},
        "z": [{"names": ["a", "b"], "_type": "ClassLabel"}],
    }
    features = Features.from_dict(old)
    schema = pa.schema(features.type).with_metadata(
        {"huggingface": json.dumps({"info": {"features": old}})}
    )
    assert build_features(infer_fields(declared_node(schema))) == features


def test_named_columns_are_nested_or_packed() -> None:
    schema = pa.schema(
        [("a", pa.list_(pa.int8())), ("s", pa.struct([("b", pa.string()), ("c", pa.int8())]))]
    )
    specs = infer_fields(declared_node(schema), nested={("a",)}, packed={("s", "b")})
    assert [spec.text for spec in specs] == ["nested list<int8>", "packed string", "int8", "struct"]
    specs = infer_fields(declared_node(schema), leave_out=["a"], nested={("s",)})
    assert [spec.text for spec in specs] == ["nested struct<b: string, c: int8>"]


def test_struct_whose_leaves_cannot_be_named_is_nested_when_it_is_imported() -> None:
    inner = pa.struct([("b", pa.int8())])
    schema = pa.schema(
        [
            ("a", inner),
            ("a.b", pa.int8()),
            ("empty", pa.struct([("", pa.int8())])),
            ("long", pa.struct([("x" * 254, pa.int8())])),
        ]
    )
    specs = infer_fields(declared_node(schema))
    assert [spec.dtype for spec in specs] == ["nested", "int8", "nested", "nested"]
    assert pa_schema(specs).equals(schema, check_metadata=True)


def test_store_filled_from_arrow_can_be_opened_with_its_features() -> None:
    schema = pa.schema(
        [
            pa.field("a", pa.int8(), False),
            pa.field("b", pa.map_(pa.string(), pa.int8())),
            pa.field("c", pa.decimal32(5, 2)),
            pa.field("d", pa.struct([pa.field("e", pa.int8(), False)]), False, {"k": "v"}),
        ]
    )
    specs = infer_fields(declared_node(schema))
    assert same_features(specs, parse_fields(build_features(specs)))
    assert same_features(specs, parse_fields(schema))
    assert not same_features(
        specs, parse_fields(schema.set(1, pa.field("b", pa.map_(pa.string(), pa.int8(), True))))
    )


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in ARROW_TYPES if kind != pa.null()], ids=str)
def test_schema_of_a_table_comes_out_of_a_store_as_it_went_in(
    kind: pa.DataType, nullable: bool
) -> None:
    inner = pa.field("y", kind, nullable, {"inner": "note"})
    schema = pa.schema(
        [
            pa.field("x", kind, nullable, {"column": "note"}),
            pa.field("s", pa.struct([inner]), nullable, {"struct": "note"}),
        ]
    )
    store = StreamStore()
    store.from_arrow(pa.RecordBatchReader.from_batches(schema, []))
    assert store.to_arrow().schema.remove_metadata().equals(schema, check_metadata=True)


def test_dataset_with_any_names_comes_back() -> None:
    ds = datasets.Dataset.from_dict(
        {"a.b": [1], "a": [{"b": 2}], "e": [{"": 3}], "_step": [5], "_id": ["x"], "b\nc": [[6]]}
    )
    store = StreamStore()
    store.from_dataset(ds)
    out = store.to_dataset()
    assert out.features == ds.features
    assert out.to_list() == ds.to_list()


@pytest.mark.parametrize("levels", [65, 200])
def test_column_that_is_too_deep_is_refused_by_its_name(levels: int) -> None:
    kind = pa.int8()
    for _ in range(levels - 1):
        kind = pa.list_(kind)
    schema = pa.schema([("ok", pa.int8()), ("deep", kind), ("s", pa.struct([("t", kind)]))])
    with pytest.raises(ValueError, match="2 fields are refused") as caught:
        infer_fields(declared_node(schema))
    assert "'deep': nested more than 64 levels deep" in str(caught.value)
    assert "'s.t': nested more than 64 levels deep" in str(caught.value)
