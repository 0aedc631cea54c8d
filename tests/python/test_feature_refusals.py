"""Features and names that a declaration cannot have, and the names that it can."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_store.features import (
    Packed,
    build_features,
    parse_fields,
)
from stream_store.features.names import RESERVED, batch_key

datasets = pytest.importorskip("datasets")
gymnasium = pytest.importorskip("gymnasium")

from datasets import (  # noqa: E402
    Array2D,
    ClassLabel,
    List,
    Value,
)
from gymnasium import spaces  # noqa: E402


def shown(fields: object, **options: object) -> list[str]:
    return [spec.name for spec in parse_fields(fields, **options) if not spec.hidden]


REFUSED = [
    (int, "'int64'"),
    (float, "'float32'"),
    ("int", "'int64'"),
    ("float", "'float32'"),
    ("float[3]", "'float32'"),
    ("timestamp", r"\[ns\]"),
    ("bfloat16", "float32"),
    ("floot", "expected one like"),
    ("", "expected one like"),
    ("packed", "expected one like"),
    ("float32[2][3]", "one pair of brackets"),
    ("float32[x]", "dimensions"),
    ("float32[2,None]", "dimensions"),
    ("float32[0]", "a dimension of 0"),
    ("float32[None,0]", "a dimension of 0"),
    ("float32[1,1,1,1,1,1]", "at most 5"),
    ("uint8[4000000000,4000000000]", "items per step"),
    ("decimal128(39, 0)", "precision"),
    ("fixed_size_binary[0]", "a dimension of 0"),
    ("packed int64[3]", "1, 2 or 4 bytes"),
    ("packed uint8", "fixed shape"),
    ("packed int64[]", "1, 2 or 4 bytes"),
    ("packed string[]", "list<string> cannot be packed"),
    ("packed uuid", "1, 2 or 4 bytes"),
    (Packed(List(List(Value("int8")))), "cannot be packed"),
    ("nested list<int9>", "expected a type but found 'int9>' at position 5"),
    ("list<int8>", "nested list<…>"),
    ("decimal32(10, 2)", "a precision of 1 to 9"),
    ("decimal32(5, 2)[]", r"nested list<decimal32\(5, 2\)>"),
    ("packed date32[2]", "1, 2 or 4 bytes"),
    (Packed({"a": "int8"}), "pack its leaves"),
    ([Packed("int8[2]")], "pack the whole field"),
    (["int8", "int8"], "a list of 2 features"),
    (List(Value("int8"), length=-2), "a list of length -2"),
    (ClassLabel, "the class ClassLabel"),
    (Array2D((2, None), "int8"), "only the first dimension"),
    (Array2D((2, 2, 2), "int8"), "dimensions"),
    (spaces.OneOf([spaces.Discrete(2)]), "OneOf"),
    (np.complex64, "complex64"),
    (np.longdouble, "float128|longdouble"),
    (np.object_, "object"),
    (np.floating, "no size"),
    (np.dtype("M8[h]"), "unit"),
    (np.dtype("m8"), "unit"),
    (42, "is not a feature"),
    (dict, "the class dict"),
]


@pytest.mark.parametrize(("feature", "text"), REFUSED, ids=[str(r[0])[:40] for r in REFUSED])
def test_refused_feature_names_the_field_and_the_reason(feature: object, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        parse_fields({"ok": "int8", "bad": feature})
    assert "'bad'" in str(caught.value)


def test_all_refused_fields_are_in_one_error() -> None:
    with pytest.raises(ValueError, match="4 fields") as caught:
        parse_fields({"a": "int", "ok": "int8", "s": {"b": "floot", "c": 3}, "\0": "int8"})
    assert all(name in str(caught.value) for name in ("'a'", "'s.b'", "'s.c'", r"'\x00'"))


NAMES = [
    ([], ValueError, "no fields"),
    ({}, ValueError, "no fields"),
    (["a", "a"], ValueError, "duplicate"),
    (["a\0"], ValueError, "zero byte"),
    (["\ud800"], ValueError, "surrogate"),
    (["é" * 128], ValueError, "256 bytes"),
    ({"s": {"x" * 254: "int8"}}, ValueError, "256 bytes"),
    ({"a.b": "int8", "a": {"b": "int8"}}, ValueError, "duplicate"),
    ({"a": {"b": {"c": "int8"}, "b.c": "int8"}}, ValueError, "duplicate"),
    ([1], TypeError, "int"),
    ([None], TypeError, "NoneType"),
    ({"s": {1: "int8"}}, TypeError, "int"),
    ("name", TypeError, "found str"),
    (None, TypeError, "NoneType"),
    ([f"f{i}" for i in range(65_537)], ValueError, "65536"),
]


@pytest.mark.parametrize(("fields", "error", "text"), NAMES, ids=[str(n[2]) for n in NAMES])
def test_bad_names_are_refused(fields: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        parse_fields(fields)


@pytest.mark.parametrize(
    "name", ["_id", "__index_level_0__", "_step", "_mask", "a\nb", " ", "é", "a.b", "_"]
)
def test_any_other_name_is_a_column(name: str) -> None:
    assert shown({name: "int8", "s": {name: "int8"}}) == [name, f"s.{name}"]
    assert build_features(parse_fields({name: "int8"})) == {name: Value("int8")}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((name, f"_{name}") for name in RESERVED),
        *((f"__{name}", f"___{name}") for name in RESERVED),
        *((name, name) for name in ("step", "_id", "_steps", "_step_", "", "_", "step_step")),
    ],
)
def test_key_of_a_field_in_a_batch_is_no_key_of_the_batch_itself(name: str, key: str) -> None:
    assert batch_key(name) == key
    assert key not in RESERVED


@given(st.sets(st.text("_step", max_size=8) | st.sampled_from(RESERVED)))
def test_keys_of_different_fields_differ(names: set[str]) -> None:
    assert len({batch_key(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("fields", "features", "error", "text"),
    [
        (["a"], {"b": "int8"}, ValueError, "Unknown field"),
        (["a", "b"], ["int8"], ValueError, "equal length"),
        (["a"], "int8", TypeError, "found str"),
        ({"a": "int8"}, {"a": "int8"}, ValueError, "mapping"),
    ],
)
def test_features_that_do_not_fit_the_names_are_refused(fields, features, error, text) -> None:
    with pytest.raises(error, match=text):
        parse_fields(fields, features)


def test_longest_name_is_allowed() -> None:
    assert shown(["é" * 127 + "a"]) == ["é" * 127 + "a"]
