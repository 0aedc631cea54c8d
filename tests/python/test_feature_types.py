"""Arrow types of features, compared with `Features.arrow_schema` and with types of pyarrow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrow_c_schema import pa_field, pa_schema
from stream_store import _core
from stream_store._exchange.formats import arrow_fields
from stream_store._exchange.schemas import infer_fields
from stream_store.features import Nested, build_features, parse_fields
from stream_store.features.arrow_types import ArrowType, depth_of, split_tree
from stream_store.features.foreign import declared_node, declared_type
from stream_store.features.notation import parse_type, type_text

datasets = pytest.importorskip("datasets")

from datasets import (  # noqa: E402
    Array2D,
    ClassLabel,
    Features,
    Json,
    LargeList,
    List,
    Translation,
    TranslationVariableLanguages,
    Value,
)


@dataclass
class Point:
    """A feature as users register it with `datasets`."""

    unit: str = "m"
    _type: str = field(default="Point", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return pa.struct({"x": pa.float32(), "y": pa.list_(pa.string())})


@dataclass
class Words(Point):
    _type: str = field(default="Words", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return pa.list_(pa.string())


FEATURE_TYPES = datasets.features.features._FEATURE_TYPES
MEDIA = ["Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure"]

#: Every dtype name that `Value` accepts.
VALUES = [
    *("null", "bool", "bool_", "float16", "float32", "float64", "date32", "date64", "bool8"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("time32[s]", "time32[ms]", "time64[us]", "time64[ns]", "month_day_nano_interval"),
    *(f"{kind}[{unit}]" for kind in ("timestamp", "duration") for unit in ("s", "ms", "us", "ns")),
    *("timestamp[us, tz=UTC]", "timestamp[ns, tz=America/New_York]", "timestamp[s, tz=+01:00]"),
    *("decimal128(10, 2)", "decimal128(38, -2)", "decimal256(76, 10)"),
    *("string", "utf8", "large_string", "large_utf8", "string_view"),
    *("binary", "large_binary", "binary_view"),
    *("fixed_size_binary[4]", "fixed_size_binary[0]", "uuid", "json_"),
]

COMPOUND = {
    "strings": List(Value("string")),
    "chat": List({"role": Value("string"), "content": Value("string")}),
    "lists": List(List(Value("int8"))),
    "large lists": LargeList(LargeList(Value("float32"))),
    "large list of strings": LargeList(Value("large_string")),
    "decimals": List(Value("decimal128(5, 2)")),
    "binaries": List(Value("binary"), length=2),
    "uuids": List(Value("uuid")),
    "bool8s": List(Value("bool8")),
    "nulls": List(Value("null")),
    "empty list": List(Value("int8"), length=0),
    "empty struct": {},
    "structs without fields": List({}),
    "labels of labels": List(List(ClassLabel(names=["a", "b"]))),
    "label in a struct": List({"label": ClassLabel(names=["a", "b"])}),
    "arrays of varying length": List(Array2D((None, 2), "int8")),
    "array of strings": Array2D((2, 3), "string"),
    "array of nothing": Array2D((0, 3), "int8"),
    "json": Json(),
    "jsons": List(Json()),
    "json in a struct": {"a": Json(), "b": List({"c": Json(decode=False)})},
    "translation": Translation(["fr", "de"]),
    "translations": List(Translation(["fr", "de"])),
    "languages": TranslationVariableLanguages(languages=["fr", "de"]),
    "list of languages": List(TranslationVariableLanguages(languages=["fr", "de"])),
    "struct of all": {
        "_type": Value("string"),
        "_arrow": List(Value("string")),
        "deep": {"deeper": {"x": List({"y": Value("int8")})}},
    },
    "struct in a list": List({"_arrow": List({"_type": Value("string")}), "": Value("int8")}),
}


def storage(kind: pa.DataType) -> pa.DataType:
    """The type with lists for the array types of `datasets`, as stores export it."""
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name.startswith("datasets."):
        return kind.storage_type
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(storage(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(storage(kind.value_type), kind.list_size)
    if pa.types.is_large_list(kind):
        return pa.large_list(storage(kind.value_type))
    return pa.list_(storage(kind.value_type)) if pa.types.is_list(kind) else kind


def check_features(features: Features) -> None:
    specs = parse_fields(features)
    built = build_features(specs)
    assert built == features
    assert list(built) == list(features)
    expected = pa.schema([field.with_type(storage(field.type)) for field in features.arrow_schema])
    assert pa_schema(specs).equals(expected, check_metadata=True)
    assert all(split_tree(json.loads(spec.feature_json))[1] is None for spec in specs)


@pytest.mark.parametrize("name", VALUES)
def test_value_has_the_type_that_datasets_gives_it(name: str) -> None:
    check_features(Features({"a": Value("int8"), "x": Value(name)}))
    check_features(Features({"x": List(Value(name)), "y": {"z": Value(name)}}))


@pytest.mark.parametrize("feature", COMPOUND.values(), ids=COMPOUND)
def test_compound_feature_has_the_type_that_datasets_gives_it(feature: object) -> None:
    check_features(Features({"a": Value("int8"), "x": feature, "s": {"t": feature}}))


@pytest.mark.parametrize("name", MEDIA)
def test_media_have_the_type_that_datasets_gives_them(name: str) -> None:
    feature = getattr(datasets, name)()
    check_features(Features({"x": feature, "y": List(feature), "z": {"file": feature}}))
    specs = parse_fields({"x": feature, "y": List(feature)})
    assert [spec.text for spec in specs] == [
        "packed binary",
        "packed string",
        "nested list<struct<bytes: binary, path: string>>",
        "struct",
    ]


@pytest.mark.parametrize("feature", [Point("km"), Words()])
def test_registered_feature_comes_back(feature: object, monkeypatch) -> None:
    kinds = {"Point": Point, "Words": Words}
    monkeypatch.setattr(datasets.features.features, "_FEATURE_TYPES", {**FEATURE_TYPES, **kinds})
    features = Features({"x": feature, "y": List(feature), "z": {"w": feature}})
    specs = parse_fields(features)
    assert build_features(specs) == features
    assert pa_schema(specs).equals(pa.schema(features.type), check_metadata=True)


def test_parameters_of_media_are_kept() -> None:
    features = Features(
        {"x": datasets.Image(mode="RGB", decode=False), "y": datasets.Audio(sampling_rate=16000)}
    )
    assert build_features(parse_fields(features)) == features


ARROW_TYPES = [
    *(pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("us")),
    *(pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("s", "Mars/Olympus Mons")),
    *(pa.decimal32(5, 2), pa.decimal64(18, -3), pa.decimal128(38, 2), pa.decimal256(76, 0)),
    *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()),
    *(pa.binary_view(), pa.binary(4), pa.binary(0), pa.month_day_nano_interval()),
    *(pa.uuid(), pa.bool8(), pa.json_(), pa.json_(pa.large_string())),
    pa.fixed_shape_tensor(pa.int32(), [2, 3], dim_names=["a", "b"]),
    pa.opaque(pa.int8(), "type", "vendor"),
    *(pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_(pa.int8(), 3)),
    *(pa.list_(pa.int8(), 0), pa.list_(pa.string(), 2), pa.list_(pa.null())),
    *(pa.list_(pa.field("element", pa.string(), False, {"k": "v"})), pa.list_(pa.uuid())),
    pa.list_(pa.field("element", pa.int8(), False, {"k": "v"})),
    *(pa.list_view(pa.string()), pa.large_list_view(pa.list_(pa.int8()))),
    *(pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int8(), keys_sorted=True)),
    pa.map_(pa.string(), pa.field("value", pa.int8(), False)),
    *(pa.struct([]), pa.struct([pa.field("a", pa.int8(), False), ("b", pa.list_(pa.json_()))])),
    pa.list_(pa.struct([pa.field("a b", pa.map_(pa.int8(), pa.struct([])), metadata={"k": "v"})])),
    pa.struct([("s", pa.struct([pa.field("x", pa.list_view(pa.binary()), False)]))]),
]


@pytest.mark.parametrize("kind", ARROW_TYPES, ids=str)
def test_type_of_pyarrow_comes_back_unchanged(kind: pa.DataType) -> None:
    field = pa.field("x", kind, nullable=kind == pa.null(), metadata={"note": "kept"})
    for declared in (kind, field):
        expected = pa.schema([pa.field("x", kind) if declared is kind else field])
        specs = parse_fields({"x": declared})
        assert pa_schema(specs).equals(expected, check_metadata=True)
        build_features(specs)  # there is a feature
        nested = parse_fields({"x": Nested(declared)})
        assert [spec.dtype for spec in nested] == ["nested"]
        assert pa_schema(nested).equals(expected, check_metadata=True)


@pytest.mark.parametrize("kind", ARROW_TYPES, ids=str)
def test_schema_of_a_stream_gives_the_same_fields_as_the_type(kind: pa.DataType) -> None:
    schema = pa.schema([pa.field("x", kind, metadata={"note": "kept"}), pa.field("_id", kind)])
    inferred = infer_fields(declared_node(schema))
    assert inferred == parse_fields(schema) == parse_fields(list(schema))
    assert pa_schema(inferred).equals(schema, check_metadata=True)


@pytest.mark.parametrize("kind", ARROW_TYPES, ids=str)
def test_text_of_a_type_is_parsed_to_the_same_type(kind: pa.DataType) -> None:
    tree = declared_type(pa.field("x", kind))
    parsed = parse_type(type_text(tree))
    assert type_text(parsed) == type_text(tree)
    assert pa_field(parsed).type.equals(_without_extensions(pa.field("x", kind)).type)


def _without_extensions(field: pa.Field) -> pa.Field:
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        return _without_extensions(pa.field(field.name, kind.storage_type, field.nullable))
    tree = declared_type(pa.field(field.name, kind, field.nullable))
    return pa_field(_bare(tree), field.name)


def _bare(tree):
    return tree._replace(metadata=b"", children=tuple(map(_bare, tree.children)))


TEXTS = {
    "list<item: struct<role: string not null, content: large_string>>": (
        "list<struct<role: string not null, content: large_string>>"
    ),
    "list<element: float not null>": "list<element: float32 not null>",
    "list<item: int8 not null>": "list<item: int8 not null>",
    "fixed_size_list<item: halffloat>[3]": "fixed_size_list<float16>[3]",
    "map<string, int32>": "map<string, int32>",
    "map<string (\"k\"), int32 not null ('v'), keys_sorted>": (
        'map<string ("k"), int32 not null ("v"), keys_sorted>'
    ),
    "struct< >": "struct<>",
    'struct<"a b": date32[day], c.d-e: date64[ms], "": double>': (
        'struct<"a b": date32, c.d-e: date64, "": float64>'
    ),
    "struct<a b: utf8>": 'struct<"a b": string>',
    "list<timestamp[us, tz=UTC]>": "list<timestamp[us, tz=UTC]>",
    'timestamp[us, tz="a b"]': 'timestamp[us, tz="a b"]',
    "large_list_view<decimal32(5,2)>": "large_list_view<decimal32(5, 2)>",
}


@pytest.mark.parametrize(("text", "canonical"), TEXTS.items())
def test_notation_of_pyarrow_is_understood(text: str, canonical: str) -> None:
    assert type_text(parse_type(text)) == canonical
    (spec,) = parse_fields({"x": f"nested {text}"})
    assert (spec.nested, spec.text) == (canonical, f"nested {canonical}")
    assert _core.nested_text(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("list<int9>", "expected a type but found 'int9>' at position 5"),
        ("list<int8", "expected '>' but found the end at position 9"),
        ("struct<int8>", "expected a name"),
        ("fixed_size_list<int8>", "expected the size"),
        ("int8 not", "expected the end of the type"),
        ("list<int8 not>", "expected 'null' after 'not'"),
        ("dictionary<values=string>", "expected the type of the values"),
        ("dense_union<a: int8=0>", "expected a type"),
    ],
)
def test_bad_notation_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"field 'x'") as caught:
        parse_fields({"x": Nested(f"{text}")})
    assert message in str(caught.value)


def test_names_of_the_parts_of_a_map_are_kept() -> None:
    kind = pa.map_(pa.field("k", pa.string(), False), pa.field("v", pa.int8(), False))
    (spec,) = parse_fields({"x": kind})
    assert spec.nested == 'map<string ("k"), int8 not null ("v")>'
    ((tree, _),) = arrow_fields([spec])
    assert [child.name for child in tree.children[0].children] == ["k", "v"]


def test_list_view_of_numbers_is_stored_like_a_list() -> None:
    (spec,) = parse_fields({"x": pa.list_view(pa.int8())})
    assert (spec.text, build_features([spec])) == ("int8[]", {"x": List(Value("int8"))})


SCALARS = st.sampled_from([Value(name) for name in VALUES]) | st.sampled_from(
    [ClassLabel(names=["a", "b"]), Json(), datasets.Image(), Translation(["fr", "de"])]
)
FEATURES = st.recursive(
    SCALARS | st.builds(Array2D, st.tuples(st.integers(1, 3), st.integers(1, 3)), st.just("int8")),
    lambda child: (
        st.builds(List, child, length=st.sampled_from([-1, -1, 0, 1, 3]))
        | st.builds(LargeList, child)
        | st.dictionaries(st.text("abc_.é ", max_size=3), child, max_size=3)
    ),
    max_leaves=6,
)


def column(name: str, kind: pa.DataType, nullable: bool) -> pa.Field:
    return pa.field(name, kind, nullable or kind == pa.null())


ARROW = st.recursive(
    st.sampled_from([kind for kind in ARROW_TYPES if kind.num_fields == 0]),
    lambda child: (
        st.builds(pa.list_, st.builds(column, st.just("e"), child, st.booleans()))
        | st.builds(pa.large_list, child)
        | st.builds(pa.list_view, st.builds(pa.list_, child))
        | st.builds(pa.list_, child, st.integers(0, 3))
        | st.builds(pa.map_, st.just(pa.string()), child, st.booleans())
        | st.builds(
            lambda fields: pa.struct([column(name, *rest) for name, rest in fields.items()]),
            st.dictionaries(
                st.text("ab_. é", max_size=2), st.tuples(child, st.booleans()), max_size=3
            ),
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text("xyz", min_size=1, max_size=2), FEATURES, min_size=1, max_size=3))
def test_any_features_come_back_with_their_types(fields: dict[str, object]) -> None:
    features = Features(fields)
    specs = parse_fields(features, any_names=True)
    assert build_features(specs) == features
    expected = pa.schema([field.with_type(storage(field.type)) for field in features.arrow_schema])
    assert pa_schema(specs).equals(expected, check_metadata=True)


@given(st.lists(st.tuples(ARROW, st.booleans()), min_size=1, max_size=3))
def test_any_types_of_pyarrow_come_back(types: list[tuple[pa.DataType, bool]]) -> None:
    schema = pa.schema([column(f"c{i}", *one) for i, one in enumerate(types)])
    specs = infer_fields(declared_node(schema))
    assert pa_schema(specs).equals(schema, check_metadata=True)
    build_features(specs)
    for text in filter(None, (spec.nested for spec in specs)):
        assert type_text(parse_type(text)) == _core.nested_text(text) == text
        assert outline(parse_type(text)) == core_outline(_core.nested_type(text))


def outline(tree: ArrowType) -> tuple[object, ...]:
    return tree.format, tree.nullable, tuple((c.name, outline(c)) for c in tree.children)


def core_outline(tree: tuple[object, ...]) -> tuple[object, ...]:
    """The same of a tree that the C++ library has parsed."""
    _, form, _, nullable, _, children = tree
    return form, nullable, tuple((child[2], core_outline(child)) for child in children)


def nested_list(levels: int) -> pa.DataType:
    kind = pa.int8()
    for _ in range(levels - 1):
        kind = pa.list_(kind)
    return kind


def test_types_of_64_levels_are_stored_and_deeper_ones_refused() -> None:
    (spec,) = parse_fields({"x": nested_list(64)})
    assert depth_of(declared_type(nested_list(64))) == 64
    assert spec.nested.count("list<") == 63
    with pytest.raises(ValueError, match=r"field 'x'.*more than 64 levels deep"):
        parse_fields({"ok": "int8", "x": nested_list(65)})
    feature: object = Value("int8")
    struct: object = "int8"
    for _ in range(64):
        feature, struct = List(feature), {"a": struct}
    for deep in (feature, struct):
        with pytest.raises(ValueError, match=r"field 'x.*more than 64 levels deep"):
            parse_fields({"ok": "int8", "x": deep})
