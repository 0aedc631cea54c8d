"""Nested cells that are refused: the message names the place, and nothing is appended."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from store_helpers import facts, new_store

CHAT = "list<struct<role: string, content: string>>"


def stored(text: str, value: Any) -> Any:
    """The value that row() returns for a value of a nested field."""
    store = new_store({"x": f"nested {text}"})
    store.append_step({"x": value})
    return store.row(0)["x"]


PLACES: list[tuple[str, Any, str]] = [
    (CHAT, [{"role": "a"}] * 3 + [{"role": 5}], r"x\[3\].role: expected a str but found 5"),
    (CHAT, [{"rolle": "a"}], r"x\[0\]: unknown key 'rolle' in a struct; its fields are role, c"),
    (CHAT, [None, ["user", "hi"]], r"x\[1\]: expected a dict but found \['user', 'hi'\]"),
    (CHAT, "hi", r"x: expected a list but found 'hi'"),
    (CHAT, {"role": "a"}, r"x: expected a list but found \{'role': 'a'\}"),
    (CHAT, (c for c in "ab"), r"x: expected a list but found <generator"),
    ("list<string>", {"a"}, r"x: expected a list but found \{'a'\}"),
    ("list<string>", ["\ud800"], r"x\[0\]: .*lone surrogate at 0"),
    ("list<string>", ["a", b"\xff"], r"x\[1\]: expected UTF-8 \(invalid start byte at byte 0\)"),
    ("list<string>", [["a"]], r"x\[0\]: expected a str but found \['a'\]"),
    ("list<string>", np.array([["a"]]), r"x\[0\]: expected a str but found an array"),
    ("list<int8>", [1, 300], r"x\[1\]: expected an integer in \[-128, 127\] but found 300"),
    ("list<int8>", [1, 1.5], r"x\[1\]: expected an integer .* but found 1.5"),
    ("list<int8>", np.array([1, 300]), r"x\[1\]: expected an integer .* but found 300"),
    ("list<int8>", [[5]], r"x\[0\]: expected a single value"),
    ("list<int8>", [np.array([5])], r"x\[0\]: expected a single value"),
    ("list<uint64>", [-1], r"x\[0\]: expected an integer in \[0, 18446744073709551615\]"),
    ("list<list<int8>>", [[1], [2, "3"]], r"x\[1\]\[1\]: expected an integer"),
    ("list<list<int8>>", np.array([1, 2]), r"x\[0\]: expected a list but found 1"),
    ("list<bool>", [2], r"x\[0\]: expected a bool, 0 or 1 but found 2"),
    ("list<float>", [1.0, 1e300], r"x\[1\]: expected a number within \[-3.4028235e\+38, .*1e\+300"),
    ("list<float>", np.array([1e300]), r"x\[0\]: expected a number within"),
    ("list<halffloat>", [70000], r"x\[0\]: expected a number within \[-65504, 65504\]"),
    ("list<double>", ["1"], r"x\[0\]: expected a number but found '1'"),
    ("fixed_size_list<int8>[2]", [1], r"x.*expected a list of 2 items"),
    ("struct<a: list<int8 not null>>", {"a": [1, None]}, r"x.a\[1\]: expected a value"),
    ("struct<a: int8 not null>", {}, r"x.a: expected a value"),
    ("map<string, int8>", {None: 1}, r"x\[0\].key: expected a value"),
    ("map<string, int8>", {"a": 300}, r"x\[0\].value: expected an integer"),
    ("map<string, int8>", [("a",)], r"x\[0\]: expected a pair"),
    ("map<string, int8>", "ab", r"x: expected a dict or a list of pairs"),
    ("list<null>", [1], r"x\[0\]: expected None but found 1"),
    ("list<timestamp[s]>", [dt.datetime(2024, 1, 1, 0, 0, 0, 1)], r"x\[0\]: expected a value ex"),
    ("list<date32>", ["2024"], r"x\[0\]: expected a date"),
    ("list<decimal128(3, 2)>", [Decimal(10)], r"x\[0\]: expected at most 3 digits"),
    ("list<decimal128(3, 2)>", [0.5], r"x\[0\]: expected a Decimal"),
    ("list<fixed_size_binary[3]>", [b"ab"], r"x\[0\]: expected 3 bytes"),
    ("month_day_nano_interval", (1, 2), r"x: expected a triple"),
    ("month_day_nano_interval", (2**31, 2, 3), r"x: expected a triple .* within its range"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value", "message"), PLACES)
def test_error_names_the_field_and_the_place_and_nothing_is_appended(
    text: str, value: Any, message: str
) -> None:
    store = new_store({"n": "int64", "x": f"nested {text}"})
    store.append_step({"n": 0})
    before = facts(store)
    for call in (
        lambda: store.append_step({"n": 1, "x": value}),
        lambda: store.append([1, 1], ["n", "x"], [1, value]),
    ):
        with pytest.raises((ValueError, TypeError), match=rf"field 'x' \(nested .*\): {message}"):
            call()
        assert facts(store) == before


def test_cells_without_value_are_refused_by_append() -> None:
    store = new_store({"x": "nested list<int8>"})
    with pytest.raises(ValueError, match="leave a missing field out"):
        store.append([0], ["x"], [None])


def test_list_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for text in ("list<list<list<int8>>>", "list<string>", "list<list<struct<a: int8>>>"):
        with pytest.raises((ValueError, TypeError), match="field 'x'"):
            new_store({"x": f"nested {text}"}).append_step({"x": loop})


def test_cell_after_a_failed_one_is_whole() -> None:
    store = new_store({"x": "nested list<list<string>>"})
    for _ in range(3):
        with pytest.raises(TypeError):
            store.append_step({"x": [["a"], ["b", 5]]})
        store.append_step({"x": [["c"]]})
    assert [row["x"] for row in store.rows()] == [[["c"]]] * 3


def test_foreign_code_may_append_to_the_same_store() -> None:
    store = new_store({"x": "nested list<int64>"})

    class Index:
        def __index__(self) -> int:
            store.append_step({"x": [7, None]})
            return 5

    store.append_step({"x": [None, Index(), 6]})
    assert [row["x"] for row in store.rows()] == [[7, None], [None, 5, 6]]


def test_list_that_changes_while_it_is_converted_is_refused() -> None:
    class Clear:
        def __index__(self) -> int:
            items.clear()
            return 5

    items: list[Any] = [Clear(), 1]
    with pytest.raises(ValueError, match="changed its length"):
        new_store({"x": "nested list<int64>"}).append_step({"x": items})


class Broken(dict):  # type: ignore[type-arg]
    """A mapping whose methods raise."""

    def __iter__(self) -> Any:
        raise RuntimeError("no keys")

    keys = items = values = __iter__  # type: ignore[assignment]


class Endless:
    """An object that pretends to be a list of another library, and returns itself."""

    def to_list(self) -> Endless:
        return self

    as_py = to_list


class Lying(list):  # type: ignore[type-arg]
    """A list whose length is wrong."""

    def __len__(self) -> int:
        return 10**9


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([Broken(a=1)], ValueError),
        (Endless(), TypeError),
        ([Endless()], TypeError),
        ([{"a": Endless()}], TypeError),
        ([{1: 2}], ValueError),
        ([{("a",): 2}], ValueError),
        (np.zeros((2, 2), [("a", "i4")]), TypeError),
        (np.array(5), TypeError),
        (memoryview(b"ab"), TypeError),
        (type, TypeError),
    ],
)
def test_objects_that_misbehave_are_errors(value: Any, error: type[Exception]) -> None:
    store = new_store({"x": "nested list<struct<a: int8>>"})
    with pytest.raises(error):
        store.append_step({"x": value})
    assert store.num_rows == 0


def test_lists_are_taken_by_their_items_not_by_their_length() -> None:
    assert stored("list<int8>", Lying([1, 2])) == [1, 2]


def test_deep_types_end_at_their_limit() -> None:
    deepest = "list<" * 63 + "int8" + ">" * 63
    value: Any = 5
    for _ in range(63):
        value = [value]
    assert stored(deepest, value) == value
    with pytest.raises(ValueError, match="64"):
        new_store({"x": f"nested list<{deepest}>"})


def test_error_of_a_list_field_names_the_nested_declaration() -> None:
    store = new_store({"a": "float32[]", "b": "int8[2,2]"})
    with pytest.raises(ValueError, match=r"'nested list<float32>' to keep None inside lists"):
        store.append_step({"a": [1, None]})
    with pytest.raises(ValueError, match=r"'nested list<list<int8>>'"):
        store.append_step({"b": [[1, None], [2, 3]]})


def test_error_shows_a_short_part_of_a_large_value() -> None:
    store = new_store({"x": "nested list<struct<a: int8>>"})
    for value in ({"a": "x" * 10**6}, "y" * 10**6, [["z" * 10**6] * 100]):
        with pytest.raises(TypeError) as caught:
            store.append_step({"x": value})
        assert len(str(caught.value)) < 1000
