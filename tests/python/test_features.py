"""Declared and returned features, compared with objects of `datasets`, NumPy and Gymnasium."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_store.features import (
    FieldSpec,
    Nested,
    Packed,
    build_features,
    default_feature_json,
    difference,
    features_json,
    parse_fields,
    same_features,
)

datasets = pytest.importorskip("datasets")
gymnasium = pytest.importorskip("gymnasium")

from datasets import (  # noqa: E402
    Array2D,
    Array3D,
    Array4D,
    Array5D,
    ClassLabel,
    Features,
    LargeList,
    List,
    Sequence,
    Translation,
    Value,
)
from gymnasium import spaces  # noqa: E402

SCALAR_DTYPES = [
    *("null", "bool", "float16", "float32", "float64", "date32", "date64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("time32[s]", "time32[ms]", "time64[us]", "time64[ns]"),
    *(f"{kind}[{unit}]" for kind in ("timestamp", "duration") for unit in ("s", "ms", "us", "ns")),
    *("timestamp[us, tz=UTC]", "timestamp[ns, tz=America/New_York]", "timestamp[s, tz=+01:00]"),
    *("decimal128(10, 2)", "decimal128(38, -2)", "decimal256(76, 10)"),
    *("string", "large_string", "string_view", "binary", "large_binary", "binary_view"),
    "fixed_size_binary[4]",
]
LIST_ITEMS = [
    name
    for name in SCALAR_DTYPES
    if name != "null" and not any(word in name for word in ("decimal", "string", "binary"))
]

NESTED = {
    "list": List(Value("float32")),
    "list with an id": List(Value("float32", id="item")),
    "fixed list": List(Value("int8"), length=3),
    "large list": LargeList(Value("uint64")),
    "list of labels": List(ClassLabel(names=["a", "b"])),
    "legacy list": [Value("int16")],
    "sequence": Sequence(Value("bool"), length=2),
    "sequence of dict": Sequence({"a": Value("int8"), "b": Value("float32")}),
    "labels": ClassLabel(names=["no", "yes"]),
    "counted labels": ClassLabel(num_classes=3),
    "array 2": Array2D((2, 3), "float32"),
    "array 2 varying": Array2D((None, 3), "float32"),
    "array 3": Array3D((4, 4, 3), "uint8"),
    "array 4": Array4D((1, 2, 3, 4), "int64"),
    "array 5": Array5D((1, 2, 1, 2, 1), "timestamp[us]"),
    "fixed of fixed": List(List(Value("float64"), length=3), length=2),
    "varying of fixed": LargeList(List(Value("float64"), length=3)),
    "list of arrays": List(Array2D((2, 2), "int8")),
    "translation": Translation(["fr", "de", "en"]),
    "struct": {
        "z": Value("int8"),
        "a": {"deep": {"_type": Value("string")}, "_x": List(Value("int8"))},
    },
}


def one(feature: object) -> FieldSpec:
    """The field of a feature that makes only one."""
    (spec,) = parse_fields({"x": feature})
    return spec


@pytest.mark.parametrize("feature", [Value(name) for name in SCALAR_DTYPES], ids=SCALAR_DTYPES)
def test_scalar_feature_comes_back_equal(feature: object) -> None:
    built = build_features(parse_fields({"x": feature}))
    assert built == Features({"x": feature})
    assert Features(built).arrow_schema == Features({"x": feature}).arrow_schema


@pytest.mark.parametrize("item", LIST_ITEMS)
def test_list_feature_comes_back_equal(item: str) -> None:
    fields = {"list": List(Value(item)), "fixed": List(Value(item), length=2)}
    assert build_features(parse_fields(fields)) == Features(fields)


@pytest.mark.parametrize("feature", NESTED.values(), ids=NESTED)
def test_nested_feature_comes_back_equal(feature: object) -> None:
    features = Features({"a": Value("int8"), "x": feature, "z": Value("int8")})
    built = build_features(parse_fields({"a": "int8", "x": feature, "z": "int8"}))
    assert built == features
    assert list(built) == list(features)
    assert Features(built).arrow_schema == features.arrow_schema


@pytest.mark.parametrize("feature", NESTED.values(), ids=NESTED)
def test_feature_json_is_the_to_dict_form(feature: object) -> None:
    to_dict = json.dumps(Features({"x": feature}).to_dict()["x"])
    assert features_json(parse_fields({"x": feature}))["x"] == json.loads(to_dict)


def test_whole_features_object_is_a_declaration() -> None:
    features = Features({"a": Value("int8"), "b": List(Value("float32"))})
    assert build_features(parse_fields(features)) == features


def test_names_alone_are_lists_of_int64() -> None:
    specs = parse_fields(["a", "b"])
    assert build_features(specs) == {"a": Sequence(Value("int64")), "b": List(Value("int64"))}
    assert json.loads(specs[0].feature_json) == {
        "feature": {"dtype": "int64", "_type": "Value"},
        "_type": "List",
    }


FORMS = [
    ("float32", "float32", (), Value("float32")),
    ("float32[]", "float32", (-1,), List(Value("float32"))),
    ("float32[3]", "float32", (3,), List(Value("float32"), length=3)),
    ("float32[2,2]", "float32", (2, 2), Array2D((2, 2), "float32")),
    ("float32[ 2, 2 ]", "float32", (2, 2), Array2D((2, 2), "float32")),
    ("float32[None,3]", "float32", (-1, 3), Array2D((None, 3), "float32")),
    ("int8[1,2,3,4,5]", "int8", (1, 2, 3, 4, 5), Array5D((1, 2, 3, 4, 5), "int8")),
    ("timestamp[us,tz=UTC]", "timestamp_us", (), Value("timestamp[us, tz=UTC]")),
    ("timestamp[ns][]", "timestamp_ns", (-1,), List(Value("timestamp[ns]"))),
    ("timestamp[us, tz=UTC][3]", "timestamp_us", (3,), List(Value("timestamp[us, tz=UTC]"), 3)),
    ("decimal128(10,2)", "decimal128", (), Value("decimal128(10, 2)")),
    ("fixed_size_binary[4]", "fixed_binary", (4,), Value("fixed_size_binary[4]")),
    ("string", "string", (), Value("string")),
    (None, "int64", (-1,), List(Value("int64"))),
    (["float32"], "float32", (-1,), List(Value("float32"))),
    (bool, "bool", (), Value("bool")),
    (str, "string", (), Value("string")),
    (bytes, "binary", (), Value("binary")),
    (np.float32, "float32", (), Value("float32")),
    (np.dtype("f8"), "float64", (), Value("float64")),
    (np.dtype("i8"), "int64", (), Value("int64")),
    (np.dtype(">u2"), "uint16", (), Value("uint16")),
    (np.dtype(("f4", (3,))), "float32", (3,), List(Value("float32"), length=3)),
    (np.dtype(("u1", (2, 3))), "uint8", (2, 3), Array2D((2, 3), "uint8")),
    (np.dtype("M8[D]"), "date32", (), Value("date32")),
    (np.dtype("M8[ns]"), "timestamp_ns", (), Value("timestamp[ns]")),
    (np.dtype("m8[ms]"), "duration_ms", (), Value("duration[ms]")),
    (np.dtype("U10"), "string", (), Value("string")),
    (np.dtype("V4"), "fixed_binary", (4,), Value("fixed_size_binary[4]")),
    (spaces.Box(-1, 1, ()), "float32", (), Value("float32")),
    (spaces.Box(-1, 1, (3,)), "float32", (3,), List(Value("float32"), length=3)),
    (spaces.Box(0, 255, (4,), np.uint8), "uint8", (4,), List(Value("uint8"), length=4)),
    ("utf8", "string", (), Value("string")),
    ("uuid", "fixed_binary", (16,), Value("uuid")),
    (spaces.Discrete(4), "int64", (), Value("int64")),
    (spaces.MultiBinary(3), "int8", (3,), List(Value("int8"), length=3)),
    (spaces.MultiBinary([2, 3]), "int8", (2, 3), Array2D((2, 3), "int8")),
    (spaces.MultiDiscrete([2, 3]), "int64", (2,), List(Value("int64"), length=2)),
    (spaces.Text(5), "string", (), Value("string")),
]


@pytest.mark.parametrize(
    ("form", "dtype", "shape", "feature"), FORMS, ids=[str(f[0]) for f in FORMS]
)
def test_form_means_dtype_shape_and_feature(form, dtype, shape, feature) -> None:
    spec = one(form)
    assert (spec.dtype, spec.shape, spec.packed) == (dtype, shape, False)
    assert build_features([spec]) == {"x": feature}


@pytest.mark.parametrize(
    "form",
    [
        "packed uint8[84,84,4]",
        Packed("uint8[84,84,4]"),
        Packed(Array3D((84, 84, 4), "uint8")),
        Packed(np.dtype(("u1", (84, 84, 4)))),
        Packed(spaces.Box(0, 255, (84, 84, 4), np.uint8)),
    ],
)
def test_packed_field_keeps_its_plain_feature(form: object) -> None:
    spec = one(form)
    assert (spec.packed, spec.unit_words, spec.text) == (True, 3528, "packed uint8[84,84,4]")
    assert build_features([spec]) == {"x": Array3D((84, 84, 4), "uint8")}


@pytest.mark.parametrize(
    ("form", "dtype", "shape", "feature"),
    [
        ("packed float32[]", "float32", (-1,), List(Value("float32"))),
        ("packed int32[None,3]", "int32", (-1, 3), Array2D((None, 3), "int32")),
        ("packed string", "string", (), Value("string")),
        ("packed large_binary", "binary", (), Value("large_binary")),
        (Packed(List(Value("bool"))), "bool", (-1,), List(Value("bool"))),
        (Packed(LargeList(Value("int8"))), "int8", (-1,), LargeList(Value("int8"))),
        (Packed(str), "string", (), Value("string")),
        (Packed(datasets.Json()), "string", (), datasets.Json()),
    ],
)
def test_packed_field_may_vary_in_length(form, dtype, shape, feature) -> None:
    spec = one(form)
    assert (spec.dtype, spec.shape, spec.packed) == (dtype, shape, True)
    assert (spec.is_ragged, spec.fixed_length, spec.unit_words) == (True, None, 1)
    assert build_features([spec]) == {"x": feature}
    assert spec.text == (form if isinstance(form, str) else spec.text)


NESTED_FORMS = [
    ("nested list<string>", "list<string>", List(Value("string"))),
    ("string[]", "list<string>", List(Value("string"))),
    ("binary[3]", "fixed_size_list<binary>[3]", List(Value("binary"), length=3)),
    ("decimal128(5, 2)[]", "list<decimal128(5, 2)>", List(Value("decimal128(5, 2)"))),
    ("null[]", "list<null>", List(Value("null"))),
    ("nested float32[2,2]", "list<list<float32>>", Array2D((2, 2), "float32")),
    ("nested int64", "int64", Value("int64")),
    (Nested("list<int8>"), "list<int8>", List(Value("int8"))),
    (Nested("int8[]"), "list<int8>", List(Value("int8"))),
    (Nested(List(Value("int8"))), "list<int8>", List(Value("int8"))),
    (Nested({"a": Value("int8")}), "struct<a: int8>", {"a": Value("int8")}),
    (Nested(spaces.Dict({"a": spaces.Discrete(2)})), "struct<a: int64>", {"a": Value("int64")}),
    ([{"a": np.int8}], "list<struct<a: int8>>", List({"a": Value("int8")})),
    ([np.dtype([("a", "i1")])], "list<struct<a: int8>>", List({"a": Value("int8")})),
    (["string[]"], "list<list<string>>", List(List(Value("string")))),
    ([Nested("int8[]")], "list<list<int8>>", List(List(Value("int8")))),
    ("decimal32(5, 2)", "decimal32(5, 2)", Value("decimal128(5, 2)")),
    ("decimal64(18,2)", "decimal64(18, 2)", Value("decimal128(18, 2)")),
    ("month_day_nano_interval", "month_day_nano_interval", Value("month_day_nano_interval")),
    ({}, "struct<>", {}),
]


@pytest.mark.parametrize(
    ("form", "nested", "feature"), NESTED_FORMS, ids=[str(f[0])[:40] for f in NESTED_FORMS]
)
def test_feature_that_is_not_flat_is_nested(form, nested, feature) -> None:
    spec = one(form)
    assert (spec.dtype, spec.shape, spec.packed, spec.nested) == ("nested", (), False, nested)
    assert (spec.text, spec.numpy_dtype) == (f"nested {nested}", np.dtype(object))
    assert (spec.is_ragged, spec.fixed_length, spec.unit_words) == (False, None, 1)
    assert spec.class_names is spec.time_zone is spec.decimal is spec.unit is None
    assert build_features([spec]) == {"x": feature}


def test_struct_has_packed_and_nested_leaves() -> None:
    specs = parse_fields({"s": {"a": "packed string", "b": Nested("int8[]"), "c": ["string"]}})
    assert [spec.text for spec in specs] == [
        "packed string",
        "nested list<int8>",
        "nested list<string>",
        "struct",
    ]


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (spaces.Box(0, 255, (84, 84, 4), np.uint8), "packed uint8[84,84,4]"),
        (spaces.Box(0, 255, (84, 84), np.uint8), "packed uint8[84,84]"),
        (spaces.Box(0, 255, (84,), np.uint8), "uint8[84]"),
        (spaces.Box(0, 1, (84, 84), np.int8), "int8[84,84]"),
        (Nested(spaces.Box(0, 255, (2, 2), np.uint8)), "nested list<list<uint8>>"),
    ],
)
def test_space_of_images_is_packed(space, text) -> None:
    assert one(space).text == text
    assert [
        spec.text
        for spec in parse_fields({"s": spaces.Dict({"x": spaces.Box(0, 1, (2, 2), np.uint8)})})
    ] == [
        "packed uint8[2,2]",
        "struct",
    ]


def test_struct_leaves_stand_in_place_with_markers_last() -> None:
    specs = parse_fields({"a": "int8", "s": {"x": "int8", "t": {"y": "bool"}}, "b": "int8"})
    assert [(spec.path, spec.hidden) for spec in specs] == [
        (("a",), False),
        (("s", "x"), False),
        (("s", "t", "y"), False),
        (("b",), False),
        (("s",), True),
        (("s", "t"), True),
    ]


@pytest.mark.parametrize(
    "struct",
    [
        {"u": "float32", "v": Packed("int8[2]")},
        spaces.Dict({"u": spaces.Box(-1, 1, ()), "v": spaces.Box(0, 1, (2,), np.int8)}),
        np.dtype([("u", "f4"), ("v", "i1", (2,))]),
    ],
)
def test_struct_can_be_a_dict_a_space_or_a_structured_dtype(struct: object) -> None:
    specs = parse_fields({"s": struct})
    assert [spec.name for spec in specs] == ["s.u", "s.v", "s"]
    assert build_features(specs) == {
        "s": {"u": Value("float32"), "v": List(Value("int8"), length=2)}
    }


def test_column_with_a_dot_stays_one_column() -> None:
    specs = parse_fields({"a.b": "int8", "a": {"c": "int8"}})
    assert [spec.path for spec in specs] == [("a.b",), ("a", "c"), ("a",)]
    assert list(build_features(specs)) == ["a.b", "a"]


def test_features_may_come_beside_the_names() -> None:
    beside = parse_fields(["a", "b"], {"b": "float32"})
    assert same_features(beside, parse_fields({"a": None, "b": "float32"}))
    assert same_features(beside, parse_fields(["a", "b"], [None, "float32"]))


@pytest.mark.parametrize("name", [n for n in SCALAR_DTYPES if n != "null" and "_view" not in n])
def test_default_json_is_the_matching_feature(name: str) -> None:
    spec = one(name)
    bare = FieldSpec("x", ("x",), spec.dtype, spec.shape)
    built = build_features([bare])["x"]
    assert one(built).dtype == spec.dtype
    assert (one(built).dtype, one(built).shape) == (bare.dtype, bare.shape)


@pytest.mark.parametrize(
    ("shape", "feature"),
    [
        ((), Value("float32")),
        ((3,), List(Value("float32"), length=3)),
        ((-1,), List(Value("float32"))),
        ((2, 3), Array2D((2, 3), "float32")),
        ((-1, 3), Array2D((None, 3), "float32")),
    ],
)
def test_shape_declared_in_cpp_is_the_matching_feature(shape, feature) -> None:
    assert Features.from_dict({"x": json.loads(default_feature_json("float32", shape))}) == {
        "x": feature
    }
    assert same_features([FieldSpec("x", ("x",), "float32", shape)], parse_fields({"x": feature}))


DIFFERENT = [
    ({"x": "int8"}, {"y": "int8"}),
    ({"x": "int8"}, {"x": "int16"}),
    ({"x": "int8"}, {"x": "int8", "y": "int8"}),
    ({"x": "int8", "y": "int8"}, {"y": "int8", "x": "int8"}),
    ({"x": "int64"}, {"x": ClassLabel(names=["a"])}),
    ({"x": ClassLabel(names=["a"])}, {"x": ClassLabel(names=["b"])}),
    ({"x": "uint8[4]"}, {"x": "packed uint8[4]"}),
    ({"x": "string"}, {"x": "large_string"}),
    ({"x": "timestamp[us]"}, {"x": "timestamp[us, tz=UTC]"}),
    ({"x": "int8[2,2]"}, {"x": List(List(Value("int8"), length=2), length=2)}),
    ({"x.y": "int8"}, {"x": {"y": "int8"}}),
    ({"x": "int8[]"}, {"x": Nested("int8[]")}),
    ({"x": "nested list<int8>"}, {"x": "nested large_list<int8>"}),
    ({"x": "string"}, {"x": "packed string"}),
    ({"x": Nested({"y": "int8"})}, {"x": {"y": "int8"}}),
    ({"x": datasets.Image()}, {"x": datasets.Image(mode="RGB")}),
    ({"x": datasets.Image()}, {"x": {"bytes": "packed binary", "path": "packed string"}}),
]


@pytest.mark.parametrize(("one_way", "other_way"), DIFFERENT)
def test_different_declarations_are_told_apart(one_way, other_way) -> None:
    a, b = parse_fields(one_way), parse_fields(other_way)
    assert not same_features(a, b)
    assert difference(a, b)
    assert same_features(a, parse_fields(one_way))
    assert difference(a, parse_fields(one_way)) is None


@pytest.mark.parametrize(
    ("feature", "numpy", "ragged", "item_shape", "words", "fixed"),
    [
        ("float32", "f4", False, (), 1, 1),
        ("float32[]", "f4", True, (), 1, None),
        ("float32[None,3]", "f4", True, (3,), 3, None),
        ("int8[2,3]", "i1", False, (2, 3), 6, 6),
        ("packed bool[9]", "?", False, (9,), 2, 2),
        ("decimal256(5, 2)", "O", False, (), 4, 4),
        ("string", "u1", True, (), 1, None),
        ("fixed_size_binary[5]", "u1", False, (5,), 5, 5),
        ("date32", "M8[D]", False, (), 1, 1),
        ("time32[s]", "m8[s]", False, (), 1, 1),
    ],
)
def test_derived_facts(feature, numpy, ragged, item_shape, words, fixed) -> None:
    spec = one(feature)
    assert spec.numpy_dtype == np.dtype(numpy)
    assert (spec.is_ragged, spec.item_shape) == (ragged, item_shape)
    assert (spec.unit_words, spec.fixed_length) == (words, fixed)
    assert spec.text == feature


def test_parameters_are_read_from_the_feature() -> None:
    assert one("timestamp[ms, tz=Asia/Tokyo]").time_zone == "Asia/Tokyo"
    assert one("timestamp[ms]").time_zone is None
    assert one("timestamp[ms]").unit == "ms"
    assert one("decimal128(10, -2)").decimal == (10, -2)
    assert one(ClassLabel(names=["a", "b"])).class_names == ("a", "b")
    assert one("int64").class_names is None


@pytest.mark.parametrize(
    "text", ["list<struct<a: string>>", "map<string, int8>", "decimal32(3, 1)"]
)
def test_nested_field_declared_in_cpp_has_a_feature(text: str) -> None:
    bare = FieldSpec("x", ("x",), "nested", nested=text)
    assert build_features([bare]) == build_features(parse_fields({"x": f"nested {text}"}))
    assert bare.json == one(f"nested {text}").feature_json
    assert same_features([bare], parse_fields({"x": f"nested {text}"}))


ITEM = st.sampled_from(LIST_ITEMS).map(Value) | st.just(ClassLabel(names=["a", "b"]))
NODE = st.recursive(
    ITEM
    | st.sampled_from(SCALAR_DTYPES).map(Value)
    | st.builds(List, ITEM, length=st.sampled_from([-1, 1, 7]))
    | st.builds(
        List, st.builds(List, ITEM, length=st.integers(1, 4)), length=st.sampled_from([-1, 2])
    )
    | st.builds(
        Array3D,
        st.tuples(*[st.integers(1, 9)] * 3),
        st.sampled_from(LIST_ITEMS),
    ),
    lambda child: st.dictionaries(
        st.text("abc_.é", min_size=1, max_size=3), child, min_size=1, max_size=3
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text("xyz", min_size=1, max_size=3), NODE, min_size=1, max_size=4))
def test_any_storable_features_come_back_equal(fields: dict[str, object]) -> None:
    try:
        specs = parse_fields(fields)
    except ValueError as error:
        assert "duplicate" in str(error)  # noqa: PT017 - dots may make two leaves look alike
        return
    built = Features(build_features(specs))
    assert built == Features(fields)
    assert built.arrow_schema == Features(fields).arrow_schema


def test_declaring_imports_numpy_alone() -> None:
    code = (
        "import sys, stream_store.features as f, stream_store.values as v\n"
        "f.parse_fields({'a': 'float32[3]', 's': {'b': 'string', 'c': ['string']}})\n"
        "print([m for m in ('datasets', 'pyarrow', 'gymnasium', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_imports_numpy_and_little_else() -> None:
    code = (
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import stream_store\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name.partition(".")[0] for name in loaded} <= {
        "stream_store",
        "numpy",
        *sys.stdlib_module_names,
    }
    # Each would take milliseconds.
    late = {"asyncio", "fractions", "importlib.metadata", "pathlib", "random", "shutil"}
    late |= {"tempfile", "threading", "zipfile"}
    own = {"stream_store._hooks", "stream_store._statistics", "stream_store.reports"}
    assert not loaded & (late | own)


def test_missing_datasets_is_an_import_error_with_the_pip_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'stream-store\[datasets\]'"):
        build_features(parse_fields(["a"]))
