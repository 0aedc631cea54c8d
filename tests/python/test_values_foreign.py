"""Missing values of pandas, and lists and mappings whose own code fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from store_helpers import facts, new_store

FLOATS = [2.5, None]
FLAT = ["float64[]", "float64[2]", "packed float32[]", "packed float32[2]"]


class LazyList(Sequence[Any]):
    """A list whose items cannot be read."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: Any) -> Any:
        raise KeyError("boom")


class LazyDict(Mapping[str, Any]):
    """A dict whose values cannot be read."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __getitem__(self, key: str) -> Any:
        raise KeyError("boom")


# --- missing values of pandas ---


def pandas_arrays() -> list[Any]:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    arrays = [pd.array(FLOATS, dtype=dtype) for dtype in ("Float64", "Float32", "double[pyarrow]")]
    return [*arrays, *map(pd.Series, arrays)]


def test_missing_values_of_pandas_are_none_in_nested_cells() -> None:
    pd = pytest.importorskip("pandas")
    for array in pandas_arrays():
        store = new_store({"x": "nested list<double>", "xs": "nested list<list<double>>"})
        store.append_step({"x": array, "xs": [array, pd.NA, [2.5, pd.NA]]})
        store.extend({"x": [array], "xs": [[array, None, FLOATS]]})
        expected = {"x": FLOATS, "xs": [FLOATS, None, FLOATS]}
        assert [store.row(0), store.row(1)] == [expected] * 2


@pytest.mark.parametrize(
    ("dtype", "kind", "values"),
    [
        ("Int64", "int64", [2**62 + 1, None]),
        ("boolean", "bool", [True, None]),
        ("string", "string", ["a", None]),
        ("str", "string", ["a", None]),
        ("category", "string", ["a", None]),
        ("timestamp[us][pyarrow]", "timestamp[us]", [None]),
    ],
)
def test_other_missing_values_of_pandas_are_none(dtype: str, kind: str, values: list[Any]) -> None:
    pd = pytest.importorskip("pandas")
    for array in (pd.array(values, dtype=dtype), pd.Series(values, dtype=dtype)):
        store = new_store({"x": f"nested list<{kind}>"})
        store.append_step({"x": array})
        assert store.row(0)["x"] == values


@pytest.mark.parametrize("field", FLAT)
def test_missing_values_of_pandas_are_refused_in_flat_fields(field: str) -> None:
    pd = pytest.importorskip("pandas")
    for array in [*pandas_arrays(), pd.array([2, None], dtype="Int64"), [2.5, pd.NA]]:
        store = new_store({"x": field})
        before = facts(store)
        with pytest.raises(ValueError, match=r"field 'x' .*expected a list without None"):
            store.append_step({"x": array})
        with pytest.raises(ValueError, match=r"field 'x' .*row 0: expected a list without None"):
            store.extend({"x": [array]})
        assert facts(store) == before


@pytest.mark.parametrize("field", [*FLAT, "nested list<double>"])
def test_nan_of_a_column_of_floats_is_a_value(field: str) -> None:
    pd = pytest.importorskip("pandas")
    store = new_store({"x": field})
    store.append_step({"x": pd.Series([2.5, np.nan])})
    np.testing.assert_array_equal(store.row(0)["x"], [2.5, np.nan])


# --- code of values that fails ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("float64[]", LazyList()),
        ("float64[2]", [LazyList()]),
        ("int64", LazyList()),
        ("string", LazyList()),
        ("packed int8[]", LazyList()),
        ("nested list<double>", LazyList()),
        ("nested list<list<string>>", [LazyList()]),
        ("nested list<struct<a: int64>>", [LazyDict()]),
        ("nested list<map<string, int64>>", [LazyDict()]),
        ("nested map<string, int64>", LazyDict()),
    ],
)
def test_code_of_a_value_that_fails_is_reported_with_its_field(field: str, value: Any) -> None:
    store = new_store({"n": "int64", "x": field})
    before = facts(store)
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: store.append_step({"n": 1, "x": value}), "field 'x'"),
        (lambda: store.extend({"n": [1, 2], "x": [None, value]}), "field 'x' .*row 1: "),
    ]
    for call, place in calls:
        with pytest.raises(
            ValueError, match=rf"{place}.*reading the Lazy.* failed: KeyErr"
        ) as info:
            call()
        assert facts(store) == before
        if "row" not in place:
            assert isinstance(info.value.__cause__, KeyError)


def test_code_of_a_struct_whose_feature_encodes_is_reported_with_its_field() -> None:
    datasets = pytest.importorskip("datasets")
    label = datasets.ClassLabel(names=["a"])
    store = new_store({"x": datasets.List({"a": label})})
    with pytest.raises(ValueError, match=r"field 'x' .*x\[1\]: reading the LazyDict failed: KeyE"):
        store.append_step({"x": [{"a": "a"}, LazyDict()]})


def test_code_of_structs_and_columns_that_fails_is_reported_with_its_field() -> None:
    store = new_store({"n": "int64", "x": {"a": "int64", "b": {"a": "int64"}}})
    before = facts(store)
    rows: list[tuple[Any, str]] = [
        ({"n": 1, "x": LazyDict()}, "field 'x': reading the LazyDict"),
        ({"n": 1, "x": {"a": 1, "b": LazyDict()}}, "field 'x.b': reading the LazyDict"),
    ]
    columns: list[tuple[Any, str]] = [
        ({"n": [1, 2], "x": [None, LazyDict()]}, "field 'x': row 1: .*reading the LazyDict"),
        ({"n": [1], "x": LazyDict()}, "field 'x': reading the LazyDict"),
        ({"n": LazyList()}, r"field 'n' \(int64\): reading the LazyList"),
    ]
    for call, cases in ((store.append_step, rows), (store.extend, columns)):
        for value, message in cases:
            with pytest.raises(ValueError, match=rf"{message} failed: KeyError: 'boom'") as info:
                call(value)
            assert info.value.__cause__ is not None
            assert facts(store) == before
