"""append() and append_step(): accepted values, stored values, refused calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from store_helpers import NAMES, append_rows, bits, facts, filled, new_store
from stream_store import StreamStore


def one(feature: Any, value: Any) -> Any:
    """Append one value and read it back with row()."""
    store = new_store({"x": feature})
    store.append([0], ["x"], [value])
    return store.row(0)["x"]


def test_append_keeps_values_types_and_steps() -> None:
    store = new_store()
    store.append([7] * 4, NAMES, [[0.5, 1.5], 3, 2.5, True])
    read = store[:]
    assert read["values"].tolist() == [*bits(0.5, 1.5), 3, *bits(2.5), 1]
    assert read["types"].tolist() == [0, 0, 1, 2, 3]
    assert read["step"].tolist() == [7] * 5


def test_append_takes_any_sequences() -> None:
    store = new_store()
    store.append(np.array([1, 1]), ("action", "done"), (np.int32(4), np.bool_(1)))
    store.append((2,), np.array(["action"]), np.array([5]))
    store.append(range(3, 4), ["reward"], [np.float32(1.5)])
    assert [row["action"] for row in store.rows()] == [4, 5, None]


@pytest.mark.parametrize(
    ("feature", "value", "expected"),
    [
        ("int64", 2**63 - 1, 2**63 - 1),
        ("int64", -(2**63), -(2**63)),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("int8", True, 1),
        ("int8", 3.0, 3),
        ("bool", 0, False),
        ("bool", 1.0, True),
        ("float32", 3, 3.0),
        ("float64", np.float16(0.5), 0.5),
        ("int64", np.uint8(200), 200),
        ("int64", [5], 5),
        ("int64", np.array([5]), 5),
        ("int64", np.array(5), 5),
        ("int64[]", 5, [5]),
        ("int64[]", [], []),
        ("int64[]", (1, 2), [1, 2]),
        ("int64[]", [1, 2.0, True], [1, 2, 1]),
        ("int64[]", [2**53 + 1, 1], [2**53 + 1, 1]),
        ("uint64[]", [2**64 - 1, 0], [2**64 - 1, 0]),
        ("float64[]", [1, 2.5, np.float32(0.5), True], [1, 2.5, 0.5, 1]),
        ("float32[3]", np.arange(3), [0, 1, 2]),
        ("float32[2,2]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("packed uint8[2,2]", np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        ("string", "häß€𝄞", "häß€𝄞"),
        ("string", "", ""),
        ("binary", b"\x00\xff", b"\x00\xff"),
        ("timestamp[ns]", np.datetime64("2020-01-01", "D"), np.datetime64("2020-01-01", "ns")),
        ("timestamp[s]", 10, np.datetime64(10, "s")),
    ],
)
def test_a_value_is_read_back_as_expected(feature: str, value: Any, expected: Any) -> None:
    found = one(feature, value)
    assert found.tolist() == expected if isinstance(found, np.ndarray) else found == expected


def test_arrays_of_any_memory_layout_are_stored_right() -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for array in (base[::2, ::-1], base.T[:4, :2].T, base.astype(">f4")[:2], base[:2]):
        store = new_store({"x": f"float32[{array.shape[0]},{array.shape[1]}]"})
        store.append([0], ["x"], [array])
        np.testing.assert_array_equal(store.row(0)["x"], array)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("int64", 1.5),
        ("int64", float("nan")),
        ("int64", 2**63),
        ("uint64", -1),
        ("uint8", 300),
        ("bool", 2),
        ("int64", "3"),
        ("float32", "3"),
        ("int64[]", [1, 1.5]),
        ("int64[]", [[1], [2]]),
        ("int64[]", np.zeros((2, 2))),
        ("int64[]", [1, None]),
        ("int64", [1, 2]),
        ("int64", []),
        ("float32[3]", [1.0, 2.0]),
        ("float32[2,2]", np.zeros((2, 3))),
        ("float32[2,2]", np.zeros(4)),
        ("float32[2,2]", 1.0),
        ("string", 3),
        ("binary", "text"),
        ("string", "\ud800"),
        ("int64", None),
        ("int64", object()),
        ("int64", {}),
        ("float64", 1j),
    ],
)
def test_an_invalid_value_is_refused_and_named(feature: str, value: Any) -> None:
    store = new_store({"a": "int64", "x_field": feature})
    store.append([0], ["a"], [1])
    before = facts(store)
    with pytest.raises((ValueError, TypeError), match="x_field"):
        store.append([1, 1], ["a", "x_field"], [2, value])
    assert facts(store) == before
    store.append([1], ["a"], [2])


@pytest.mark.parametrize(
    ("steps", "names", "message"),
    [
        ([9], ["nope"], "Unknown field"),
        ([9, 9], ["action", "observation"], "order"),
        ([9, 9], ["action", "action"], "twice.*order"),
        ([9, 9], ["action"], "equal length"),
        ([9], ["action", "reward"], "equal length"),
        ([3], ["action"], "step"),
        ([9, 8], ["action", "action"], "step"),
    ],
)
def test_refused_calls_change_nothing(steps: list[int], names: list[str], message: str) -> None:
    store = filled(5)
    before = facts(store)
    with pytest.raises(ValueError, match=message):
        store.append(steps, names, [1] * len(names))
    assert facts(store) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (5, ["action"], [1]),
        ([5], "action", [1]),
        ([5], ["action"], 1),
        ([5], [3], [1]),
        ([5.0], ["action"], [1]),
        ([None], ["action"], [1]),
        ({5}, ["action"], [1]),
        ([5], {"action": 1}, [1]),
        (["5"], ["action"], [1]),
    ],
)
def test_arguments_of_the_wrong_kind_are_type_errors(arguments: Any) -> None:
    store = filled(2)
    with pytest.raises((TypeError, IndexError)):
        store.append(*arguments)
    assert store.num_rows == 2


def test_a_step_may_be_continued_with_later_fields() -> None:
    store = new_store()
    store.append([0], ["observation"], [[1.0]])
    assert store.complete_rows == 0
    store.append([0, 0, 1], ["action", "done", "action"], [4, True, 5])
    assert store.row(0)["action"] == 4
    assert store.num_rows == 2
    assert store.complete_rows == 1
    with pytest.raises(ValueError, match="order"):
        store.append([1], ["observation"], [[1.0]])


def test_a_hook_may_append_and_change_the_list_that_is_read() -> None:
    store = new_store({"a": "int64", "b": "int64"})
    values: list[Any] = [1]

    class Rude:
        def __index__(self) -> int:
            store.append([0], ["a"], [7])
            values.clear()
            return 5

    values += [Rude()]
    with pytest.raises(ValueError, match="twice"):
        store.append([0, 0], ["a", "b"], values)  # the inner append came first
    assert store.num_rows == 1
    assert store[:]["values"].tolist() == [7]

    class Raises:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise KeyError("mine")

    before = facts(store)
    with pytest.raises((KeyError, TypeError)):
        store.append([1, 1], ["a", "b"], [1, Raises()])
    assert facts(store) == before


def test_a_hook_may_close_the_store() -> None:
    store = new_store({"a": "int64", "b": "int64"})

    class Closes:
        def __index__(self) -> int:
            store.close()
            return 5

    with pytest.raises(ValueError, match="closed"):
        store.append([0, 0], ["a", "b"], [Closes(), 1])


def test_append_step_takes_any_order_and_counts_steps() -> None:
    store = new_store()
    assert store.append_step({"done": True, "action": 1, "observation": None}) == 0
    assert store.append_step({}) == 1
    assert store.append_step({"reward": 2.5}, step=10) == 10
    assert store.append_step({"reward": 3.5}) == 11
    assert store.row(0) == {"observation": None, "action": 1, "reward": None, "done": True}
    assert set(store.row(1).values()) == {None}
    assert store[:]["step"].tolist() == [0, 0, 10, 11]


@pytest.mark.parametrize("values", [[("action", 1)], 3, None, "action"])
def test_append_step_refuses_all_but_mappings(values: Any) -> None:
    with pytest.raises(TypeError, match="mapping"):
        new_store().append_step(values)


def test_default_step_stops_at_the_end_of_int64() -> None:
    store = new_store()
    store.append_step({"action": 1}, step=2**63 - 1)
    with pytest.raises(ValueError, match="last step"):
        store.append_step({"action": 1})
    with pytest.raises(ValueError, match="int64"):
        store.append_step({"action": 1}, step=2**63)


def test_a_store_without_fields_refuses_appends() -> None:
    store = StreamStore()
    with pytest.raises(ValueError, match="Unknown field"):
        store.append([0], ["a"], [1])
    with pytest.raises((ValueError, RuntimeError)):
        store.append_step({})


def test_names_are_recognised_after_other_names_were_used() -> None:
    store = new_store()
    for step in range(3):
        store.append([step] * 2, ["action", "done"], [step, True])
        store.append([step + 10] * 2, ["observation", "reward"], [[1.0], step])
        break
    append_rows(store, 2, first=20)
    assert store.num_rows == 4
    assert store.row(-1)["action"] == 21


def test_class_labels_are_checked() -> None:
    datasets = pytest.importorskip("datasets")
    store = new_store({"label": datasets.ClassLabel(names=["cat", "dog"])})
    for value in ("dog", 0, -1, np.int64(1)):
        store.append_step({"label": value})
    assert [int(row["label"]) for row in store.rows()] == [1, 0, -1, 1]
    for value in (2, "bird", np.int8(5), [1, 1]):
        with pytest.raises(ValueError, match="label"):
            store.append_step({"label": value})


def test_large_arrays_are_appended_without_the_gil() -> None:
    store = new_store({"x": "float64[]", "y": "string"})
    array = np.random.default_rng(0).normal(size=100_000)
    store.append([0, 0], ["x", "y"], [array, "ä" * 100_000])
    np.testing.assert_array_equal(store.row(0)["x"], array)
    assert store.row(0)["y"] == "ä" * 100_000
