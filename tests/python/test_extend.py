"""extend(): columns of every kind equal the same rows appended one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from store_helpers import facts, filled, new_store


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def rows_of(feature: Any, column: Any) -> list[Any]:
    store = new_store({"x": feature})
    store.extend({"x": column})
    return [plain(row["x"]) for row in store.rows()]


@pytest.mark.parametrize(
    ("feature", "column", "expected"),
    [
        ("int64", np.arange(3), [0, 1, 2]),
        ("int64", np.arange(3)[:, None], [0, 1, 2]),
        ("int64", np.arange(6, dtype=">u2")[::2], [0, 2, 4]),
        ("int64", [1, 2, 3], [1, 2, 3]),
        ("int64", (1, None, 3), [1, None, 3]),
        ("int64", [True, 2.0, np.int8(3)], [1, 2, 3]),
        ("int64", [2**53 + 1, 0, 1], [2**53 + 1, 0, 1]),
        ("uint64", [2**64 - 1, 0], [2**64 - 1, 0]),
        ("float64", [1, 2.5, np.float32(0.5), None], [1.0, 2.5, 0.5, None]),
        ("float32[]", np.arange(6).reshape(3, 2), [[0, 1], [2, 3], [4, 5]]),
        ("float32[]", np.arange(3), [[0], [1], [2]]),
        ("float32[]", [[1, 2], [], None, 3.5], [[1, 2], [], None, [3.5]]),
        ("int64[]", [[], [1], np.arange(2, dtype=np.int8)], [[], [1], [0, 1]]),
        ("float64[]", [np.arange(2), [0.5], np.ones(2, np.float32)], [[0, 1], [0.5], [1, 1]]),
        ("float32[2,2]", np.arange(8).reshape(2, 2, 2), [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
        ("packed uint8[3]", np.arange(6, dtype=np.uint8).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        ("bool", [True, None, 0], [True, None, False]),
        ("string", ["a", None, "bcd", ""], ["a", None, "bcd", ""]),
        ("string", np.array(["a", "bcd"]), ["a", "bcd"]),
        ("binary", [b"a", b"\x00"], [b"a", b"\x00"]),
        ("timestamp[s]", np.array([1, 2], "M8[s]"), None),
        ("int64", np.array([1, None], object), [1, None]),
        ("int64", range(3), [0, 1, 2]),
    ],
)
def test_a_column_equals_its_rows_appended_one_by_one(
    feature: str, column: Any, expected: Any
) -> None:
    found = rows_of(feature, column)
    if expected is None:
        expected = [np.asarray(item).tolist() for item in column]
    assert found == expected
    one_by_one = new_store({"x": feature})
    for value in column:
        one_by_one.append_step({"x": value})
    assert [plain(row["x"]) for row in one_by_one.rows()] == found


def test_extend_returns_rows_and_continues_steps() -> None:
    store = filled(2)
    assert store.extend({"action": [1, 2], "done": [True, None]}) == 2
    assert store.extend({"done": [True]}, steps=[10]) == 1
    assert store.extend({}, steps=np.array([20, 30])) == 2
    assert store.extend({}) == 0
    assert store.extend({"action": []}) == 0
    assert store[22:]["step"].tolist() == [2, 2, 3, 10]
    assert store.num_rows == 7
    assert store.last_step == 30
    assert store.append_step({}) == 31


def test_column_order_does_not_matter() -> None:
    store = new_store()
    store.extend({"done": [True], "action": [3], "observation": [[1.0, 2.0]]})
    assert store[:]["types"].tolist() == [0, 0, 1, 3]


@pytest.mark.parametrize(
    ("columns", "steps", "message"),
    [
        ({"nope": [1]}, None, "Unknown field"),
        ({"action": [1, 2], "done": [True]}, None, "equal length"),
        ({"action": [1, 2]}, [1], "equal length"),
        ({"action": [1, 2]}, [5, 5], "step"),
        ({"action": [1, 2]}, [1, 0], "step"),
        ({"action": [1]}, [0], "step"),
        ({"action": [1.5]}, None, "action"),
        ({"action": [1, "a"]}, None, "action"),
        ({"action": np.array([1.0, np.nan])}, None, "action"),
        ({"action": np.zeros((2, 2), int)}, None, "action"),
        ({"observation": np.zeros((2, 2, 2))}, None, "observation"),
        ({"action": [[1, 2]]}, None, "action"),
    ],
)
def test_refused_columns_change_nothing(columns: Any, steps: Any, message: str) -> None:
    store = filled(2)
    before = facts(store)
    with pytest.raises((ValueError, TypeError), match=message):
        store.extend(columns, steps)
    assert facts(store) == before


@pytest.mark.parametrize("columns", [3, None, [1], "action", {"action": 3}, {"action": "text"}])
def test_extend_refuses_all_but_mappings_of_columns(columns: Any) -> None:
    with pytest.raises(TypeError):
        filled(2).extend(columns)


def test_many_numpy_rows_are_extended_at_once() -> None:
    store = new_store()
    n = 10_000
    rng = np.random.default_rng(0)
    columns = {
        "observation": rng.normal(size=(n, 8)),
        "action": np.arange(n),
        "reward": rng.normal(size=n).astype(np.float32),
        "done": rng.random(n) < 0.1,
    }
    store.extend(columns)
    read = store.read_rows(np.arange(n))
    for name, column in columns.items():
        np.testing.assert_array_equal(read[name], column, strict=True)


def test_columns_of_decimals_are_stored() -> None:
    datasets = pytest.importorskip("datasets")
    store = new_store({"x": datasets.Value("decimal128(20, 2)")})
    store.extend({"x": [Decimal("1.25"), None, Decimal("-3")]})
    assert [row["x"] for row in store.rows()] == [Decimal("1.25"), None, Decimal("-3.00")]


def test_columns_of_arrow_arrays_are_stored() -> None:
    pa = pytest.importorskip("pyarrow")
    store = new_store({"a": "int64", "b": "float64[]", "c": "string"})
    store.extend(
        {
            "a": pa.chunked_array([[1, 2], [3]]),
            "b": pa.array([[1.0], None, [2.0, 3.0]]),
            "c": pa.array(["x", None, "z"]),
        }
    )
    assert [row["a"] for row in store.rows()] == [1, 2, 3]
    assert store.row(1)["b"] is None
    assert store.row(2)["b"].tolist() == [2, 3]
    assert [row["c"] for row in store.rows()] == ["x", None, "z"]


@pytest.mark.parametrize(
    ("dtype", "words"),
    [("float32", [0x7F800001, 0x3F800000, 0xFF800123]), ("float16", [0x7C01, 0x0001, 0xFC12])],
)
def test_bits_of_nans_survive_mixed_columns(dtype: str, words: list[int]) -> None:
    bits = f"u{np.dtype(dtype).itemsize}"
    array = np.array(words, bits).view(dtype)
    store = new_store({"x": f"{dtype}[]", "y": dtype})
    store.extend({"x": [array, [1.5], list(array), [1]]})
    store.extend({"y": [*array, 1.5, 2]})
    for row in (0, 2):
        assert store.row(row)["x"].view(bits).tolist() == words
    found = store.read_rows(np.arange(4, 7))["y"]
    assert found.view(bits).tolist() == words
