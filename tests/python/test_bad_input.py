"""Bad input: the exception names field, expected and found; the store does not change."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from model_process import run
from store_helpers import facts
from stream_store import StreamStore

FIELDS: dict[str, Any] = {
    "first": "int64",
    "i8": "int8",
    "i64": "int64",
    "u8": "uint8",
    "u64": "uint64",
    "flag": "bool",
    "f32": "float32",
    "ints": "int64[]",
    "three": "float32[3]",
    "grid": "float32[2,2]",
    "frame": "packed uint8[2,2]",
    "text": "string",
    "blob": "binary",
    "four": "fixed_size_binary[4]",
    "when": "timestamp[us]",
    "day": "date32",
    "price": "decimal128(6, 2)",
    "pair": {"a": "int64", "b": "string"},
}
NAN = float("nan")


@pytest.fixture
def store() -> StreamStore:
    store = StreamStore(fields=FIELDS)
    store.append_step({"first": 1, "ints": [1, 2], "text": "kept"}, step=10)
    return store


WRITES: dict[str, Callable[[StreamStore, str, Any], Any]] = {
    "append": lambda store, name, value: store.append([11, 11], ["first", name], [7, value]),
    "append_step": lambda store, name, value: store.append_step({name: value, "first": 7}),
    "continue": lambda store, name, value: store.append_step({name: value}, step=10),
    "extend": lambda store, name, value: store.extend({name: [value], "first": [7]}),
}


def refused(store: StreamStore, call: Callable[[], Any], kind: Any, *words: str) -> None:
    """Check that the call raises, that its message has all words, and that nothing changed."""
    before = facts(store), store.index_table().tolist()
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message, f"{word!r} is missing in: {message}"
    assert (facts(store), store.index_table().tolist()) == before


# --- values ---


@pytest.mark.parametrize("how", ["append", "append_step", "extend"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("i64", 1.5, ["1.5"]),
        ("i64", NAN, ["NaN"]),
        ("i64", math.inf, ["inf"]),
        ("i64", 2**63, [str(2**63)]),
        ("i64", -(2**63) - 1, [str(-(2**63) - 1)]),
        ("i64", 2.0**63, []),
        ("i64", np.uint64(2**63), [str(2**63)]),
        ("i64", np.float32(0.5), ["0.5"]),
        ("i64", Decimal("1.5"), ["1.5"]),
        ("i64", "3", ["'3'"]),
        ("i64", b"3", ["3"]),
        ("i64", 1j, ["1j"]),
        ("i64", [1, 2], ["2"]),
        ("i64", [], []),
        ("i64", [None], []),
        ("i64", np.zeros((1, 1)), ["(1, 1)"]),
        ("i64", {}, ["dict"]),
        ("i8", 128, ["128"]),
        ("i8", np.int16(-129), ["-129"]),
        ("u8", 300, ["300"]),
        ("u8", -1, ["-1"]),
        ("u8", np.array([256]), ["256"]),
        ("u64", -1, ["-1"]),
        ("u64", 2**64, [str(2**64)]),
        ("flag", 2, ["2"]),
        ("flag", 0.5, ["0.5"]),
        ("flag", "True", ["'True'"]),
        ("f32", "1.0", ["'1.0'"]),
        ("f32", 10**400, []),
        ("f32", np.array(["x"]), ["x"]),
        ("ints", [1, 1.5], ["1.5"]),
        ("ints", [1, NAN], ["NaN"]),
        ("ints", [1, None], ["None"]),
        ("ints", [[1, 2], [3, 4]], ["(2, 2)"]),
        ("ints", np.zeros((2, 2)), ["(2, 2)"]),
        ("ints", [1, [2]], []),
        ("ints", np.array([1, 2.5]), ["2.5"]),
        ("ints", "12", ["'12'"]),
        ("three", [1.0, 2.0], ["3", "2"]),
        ("three", np.zeros(4), ["3", "4"]),
        ("three", [[1, 2, 3]], ["(1, 3)"]),
        ("three", 1.0, []),
        ("grid", np.zeros(4), ["(2, 2)", "(4,)"]),
        ("grid", np.zeros((2, 3)), ["(2, 2)", "(2, 3)"]),
        ("grid", [[1, 2], [3]], []),
        ("grid", [[1, 2], [3, None]], ["None"]),
        ("frame", np.zeros((2, 3), np.uint8), ["(2, 2)", "(2, 3)"]),
        ("frame", np.full((2, 2), 256), ["256"]),
        ("frame", [[1, 2], [3, 4.5]], ["4.5"]),
        ("text", 3, ["3"]),
        ("text", b"\xff\xfe", ["UTF-8"]),
        ("text", "\ud800", ["surrogate"]),
        ("text", ["a", "b"], []),
        ("blob", "text", ["'text'"]),
        ("blob", 3, ["3"]),
        ("four", b"abc", ["4 bytes"]),
        ("four", b"abcde", ["4 bytes"]),
        ("when", "2020-01-01", ["2020-01-01"]),
        ("when", np.datetime64("NaT"), ["NaT"]),
        ("when", np.datetime64(1, "ns"), ["us"]),
        ("when", 1.5, ["1.5"]),
        ("day", np.datetime64("2020-01-01T12"), []),
        ("price", Decimal("1.234"), ["1.234"]),
        ("price", Decimal("12345.67"), ["12345.67"]),
        ("price", 1.5, ["1.5"]),
        ("price", Decimal("NaN"), ["NaN"]),
        ("pair", {"a": 1.5}, ["1.5"]),
        ("pair", {"c": 1}, ["Unknown field", "'c'"]),
        ("pair", 3, ["mapping"]),
    ],
)
def test_a_value_that_does_not_belong(
    store: StreamStore, how: str, name: str, value: Any, words: list[str]
) -> None:
    refused(store, lambda: WRITES[how](store, name, value), (ValueError, TypeError), name, *words)


def test_a_bad_row_deep_in_a_column_refuses_all_of_it(store: StreamStore) -> None:
    for column in ([1] * 500 + [1.5] + [1] * 500, np.r_[np.ones(500), 1.5, np.ones(500)]):
        for name in ("i64", "u8", "ints"):
            refused(store, lambda c=column, n=name: store.extend({"first": range(1001), n: c}),
                    ValueError, name, "1.5")  # fmt: skip


# --- calls ---


@pytest.mark.parametrize(
    ("steps", "names", "words"),
    [
        ([11], ["nope"], ["Unknown field", "'nope'", "first"]),
        ([11], ["i6"], ["Unknown field"]),
        ([11, 11], ["first", "pair.c"], ["Unknown field", "'pair.c'"]),
        ([11, 11], ["i64", "i8"], ["order", "'i8'", "'i64'"]),
        ([11, 11], ["i8", "i8"], ["twice", "'i8'"]),
        ([10], ["first"], ["twice", "'first'"]),
        ([10], ["flag"], ["order", "'flag'", "'text'"]),
        ([11, 11], ["i8"], ["equal length", "2", "1"]),
        ([], ["i8"], ["equal length", "0", "1"]),
        ([9], ["i8"], ["order", "9", "10"]),
        ([12, 11], ["i8", "i8"], ["order", "step 11 after step 12"]),
        ([-(2**63)], ["i8"], ["order"]),
    ],
)
def test_a_wrong_append(
    store: StreamStore, steps: list[int], names: list[str], words: list[str]
) -> None:
    refused(store, lambda: store.append(steps, names, [1] * len(names)), ValueError, *words)


@pytest.mark.parametrize("kind", [list, np.array], ids=["list", "array"])
@pytest.mark.parametrize("step", [1.5, "7", None, True, 2**63, 1j, NAN, np.datetime64(3, "D")])
def test_a_step_that_is_no_int64(store: StreamStore, kind: Any, step: Any) -> None:
    steps = kind([step])
    wrong = (ValueError, TypeError)
    refused(store, lambda: store.append(steps, ["i8"], [1]), wrong, "step")
    if step is not None:
        refused(store, lambda: store.append_step({"i8": 1}, step), wrong, "step")
        refused(store, lambda: store.extend({"i8": [1]}, steps), wrong, "step")


@pytest.mark.parametrize(
    ("columns", "steps", "words"),
    [
        ({"nope": [1]}, None, ["Unknown field", "'nope'"]),
        ({"i8": [1], "u8": [1, 2]}, None, ["equal length", "1", "2"]),
        ({"i8": [1, 2]}, [11], ["equal length", "1", "2"]),
        ({"i8": [1, 2]}, [12, 11], ["order"]),
        ({"i8": [1, 2]}, [11, 11], ["11"]),
        ({"i8": [1]}, [10], ["10"]),
        ({"i8": 5}, None, ["i8"]),
        ({"i8": "5"}, None, ["i8"]),
        ({"i8": {"a": 1}}, None, ["i8"]),
        ({"i8": None}, None, ["i8"]),
        ({"three": np.zeros((2, 4))}, None, ["three", "3", "4"]),
        ({"grid": np.zeros((2, 4))}, None, ["grid", "(2, 4)"]),
        ({"ints": np.zeros((2, 2, 2), int)}, None, ["ints", "(2, 2, 2)"]),
        ({"i64": np.zeros((2, 2), int)}, None, ["i64", "(2, 2)"]),
        ({"i8": np.array(3)}, None, ["i8"]),
        ({"pair": [{"a": 1}, 3]}, None, ["pair"]),
        ({"pair": [{"a": 1}], "pair.a": [1]}, None, ["duplicate", "order"]),
    ],
)
def test_a_wrong_extend(store: StreamStore, columns: Any, steps: Any, words: list[str]) -> None:
    refused(store, lambda: store.extend(columns, steps), (ValueError, TypeError), *words)


@pytest.mark.parametrize(
    "values",
    [
        None,
        5,
        "text",
        np.float32(1),
        np.arange(3),
        object(),
        [("i8", 1)],
        {3: 1},
        {"nope": None},
        {"i8": 1, b"u8": 2},
    ],
)
def test_a_wrong_append_step(store: StreamStore, values: Any) -> None:
    refused(store, lambda: store.append_step(values), (ValueError, TypeError))


def test_steps_end_at_int64(store: StreamStore) -> None:
    store.append_step({"i8": 1}, step=2**63 - 1)
    refused(store, lambda: store.append_step({"i8": 1}), ValueError, "2**63 - 1")
    refused(store, lambda: store.extend({"i8": [1]}), ValueError, "2**63 - 1")
    assert store.append_step({"u8": 1}, step=2**63 - 1) == 2**63 - 1


# --- objects that run code while they are converted ---


class Raises:
    """An object that raises however it is read."""

    def fail(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("not today")

    __array__ = __float__ = __index__ = __len__ = __iter__ = __getitem__ = fail
    __int__ = __bool__ = __eq__ = __str__ = __repr__ = fail  # type: ignore[assignment]
    __hash__ = object.__hash__


@pytest.mark.parametrize("how", list(WRITES))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: (1, x)])
def test_an_object_that_raises(store: StreamStore, how: str, wrap: Any) -> None:
    for name in FIELDS:
        if name == "first" or (how == "continue" and name not in ("when", "price")):
            continue
        refused(store, lambda n=name: WRITES[how](store, n, wrap(Raises())), Exception)
    store.append_step({"i8": 1})


@pytest.mark.parametrize(
    "call",
    [
        lambda store, bad: store.append(bad, ["i8"], [1]),
        lambda store, bad: store.append([11], bad, [1]),
        lambda store, bad: store.append([11], ["i8"], bad),
        lambda store, bad: store.append([bad], ["i8"], [1]),
        lambda store, bad: store.append([11], [bad], [1]),
        lambda store, bad: store.append_step(bad),
        lambda store, bad: store.append_step({bad: 1}),
        lambda store, bad: store.append_step({}, bad),
        lambda store, bad: store.extend(bad),
        lambda store, bad: store.extend({"i8": bad}),
        lambda store, bad: store.extend({"i8": [1]}, bad),
        lambda store, bad: store[bad],
        lambda store, bad: store[bad:],
        lambda store, bad: store.windows(bad, 1),
        lambda store, bad: store.windows([0], bad),
        lambda store, bad: store.windows([0], 1, columns=bad),
        lambda store, bad: store.windows([0], 1, out=bad),
        lambda store, bad: store.read_rows(bad),
        lambda store, bad: store.read_rows([0], bad),
        lambda store, bad: store.read_rows([0], fields=bad),
        lambda store, bad: store.read_rows([0], out=bad),
        lambda store, bad: store.read_rows([0], max_length=bad),
        lambda store, bad: store.decode(bad, "i8"),
        lambda store, bad: store.decode([1], bad),
        lambda store, bad: store.row(bad),
        lambda store, bad: store.rows(bad),
        lambda store, bad: store.row_of(bad),
        lambda store, bad: store.position_of(bad),
        lambda store, bad: store.row_at(bad),
        lambda store, bad: store.row_at([1], bad),
        lambda store, bad: store.segments(bad),
        lambda store, bad: store.index_table(bad),
        lambda store, bad: store.snapshot(bad),
    ],
)  # fmt: skip
def test_an_argument_that_raises(store: StreamStore, call: Any) -> None:
    refused(store, lambda: call(store, Raises()), Exception)
    refused(store, lambda: call(store, object()), (TypeError, ValueError))


APPENDS_AGAIN = """
class Again:
    def __init__(self, action): self.action = action
    def __index__(self): self.action(); return 3
    __float__ = __index__

class AgainArray(Again):
    def __array__(self, *_, **__): self.action(); return np.array([1, 2])

def attempt(call):
    try: call()
    except (ValueError, TypeError, IndexError, RuntimeError) as error: return str(error)

def fresh():
    store = StreamStore(fields={"a": "int64", "b": "int64[]", "c": "float32"})
    store.append_step({"a": 1, "b": [1]})
    return store

store = fresh()
"""


def test_an_object_that_appends_again_does_so_first() -> None:
    script = """
    def nested(): store.append_step({"a": 7, "c": 0.5})
    store.append([5, 5], ["a", "b"], [1, Again(nested)])
    assert [row["a"] for row in store.rows()] == [1, 7, 1], list(store.rows())
    assert store.append_step({"b": Again(nested), "a": 2}) == 7
    assert attempt(lambda: store.append([7, 7], ["b", "c"], [[1], Again(nested)]))
    store.extend({"b": [Again(nested), [4]], "a": [1, 2]})
    for row, entry in zip(store.rows(), store.row_of(np.arange(len(store)))): pass
    print([int(row["a"]) for row in store.rows()], [int(s) for s in store.index_table()["step"]])
    """
    found = run(APPENDS_AGAIN + textwrap.dedent(script))
    assert found.split("]")[0] == "[1, 7, 1, 7, 2, 7, 7, 1, 2", found


@pytest.mark.parametrize("action", ["store.close()", "store.clear()"])
@pytest.mark.parametrize(
    "call",
    [
        "store.append([5, 5], ['a', 'b'], [1, bad])",
        "store.append([5, bad], ['a', 'b'], [1, [2]])",
        "store.append_step({'a': 1, 'b': bad})",
        "store.extend({'a': [1, 1], 'b': [bad, [4]]})",
        "store[bad]",
        "store[bad:]",
        "store[:bad]",
        "store.windows(bad, 1)",
        "store.windows([0], bad)",
        "store.read_rows(bad)",
        "store.read_rows([0], bad)",
        "store.decode(bad, 'a')",
        "store.row(bad)",
        "store.rows(bad)",
        "store.row_of(bad)",
        "store.position_of(bad)",
        "store.row_at(bad)",
        "store.index_table(bad)",
        "store.snapshot(bad)",
    ],
)
def test_an_object_that_pulls_the_store_away(action: str, call: str) -> None:
    script = f"""
    for kind in (Again, AgainArray):
        store = fresh()
        bad = kind(lambda: {action})
        attempt(lambda: {call})
        repr(store)
        assert store.closed or len(store) == len(store[:]["values"])
    """
    run(APPENDS_AGAIN + textwrap.dedent(script))


def test_a_list_that_changes_while_it_is_read() -> None:
    script = """
    names, values = ["a", "b"], [1, None]
    values[1] = Again(values.clear)
    store.append([5, 5], names, values)
    names, steps = ["a", "b", "c"], [9, 9, 9]
    values = [Again(lambda: (names.clear(), values.clear(), steps.clear())), [1], 2.0]
    assert attempt(lambda: store.append(steps, names, values))
    column = [[1], [2], [3]]
    column[0] = Again(column.clear)
    assert attempt(lambda: store.extend({"b": column}))
    mapping = {"a": 1, "b": [1], "c": 1.0}
    mapping["a"] = Again(mapping.clear)
    store.append_step(mapping)
    inner = [1, 2, 3]
    inner[0] = Again(inner.clear)
    attempt(lambda: store.append_step({"b": inner}))
    assert [row["a"] for row in store.rows()][:3] == [1, 1, 3], list(store.rows())
    """
    run(APPENDS_AGAIN + textwrap.dedent(script))


@pytest.mark.parametrize(
    "call",
    [
        "store.append([5, 5], names, [bad, 2])",
        "store.append_step({'a': bad, 'b': 1})",
        "store.extend({'a': [bad], 'b': [1]})",
        "store.decode(bad, 'a')",
        "store.read_rows(bad)",
        "store.windows(bad, 1)",
        "store[bad]",
    ],
)
def test_an_object_that_declares_other_fields(call: str) -> None:
    script = f"""
    names = ["a", "b"]
    store = StreamStore(fields={{"a": "int8", "b": "int8"}})
    def declare():
        others = {{f"f{{i}}": "float64" for i in range(500)}}
        store.define_fields(others | {{"a": "float64[]", "b": "string"}})
        store.append([0, 0], names, [[1.0] * 1000, "text"])
    class Bad(AgainArray):
        def __array__(self, *_, **__): self.action(); return np.zeros(10000, np.int64)
    bad = Bad(declare)
    print(attempt(lambda: {call}))
    assert store.num_rows == 1 and store.row(0)["b"] == "text" and len(store) == 1004, repr(store)
    """
    run(APPENDS_AGAIN + textwrap.dedent(script))


def test_a_finaliser_that_closes_a_store_being_read() -> None:
    run("""
    import gc
    class Recorder:
        def __init__(self, store): self.store, self.me = store, self
        def __del__(self): self.store.close()
    for threshold in range(1, 60):
        store = StreamStore(fields={"a": "int64[]"})
        store.append_step({"a": range(5000)})
        gc.disable(); gc.collect()
        Recorder(store)
        gc.set_threshold(threshold); gc.enable()
        try:
            for _ in range(40):
                store[0:1], store[:], store[[1, 2]], store.windows([0], 1), store.read_rows([0])
                store.row(0), store.row_of([1]), store.index_table(), store.decode([1], "a")
        except ValueError:
            pass
    """)


def test_outputs_that_share_memory_with_inputs() -> None:
    run("""
    store = StreamStore(fields={"a": "int64"})
    store.extend({"a": np.arange(1000) + 2**62})
    memory = np.zeros((10, 8), np.int64)
    starts = memory.reshape(-1)[:10]
    starts[:] = np.arange(10)
    expected = store.windows(starts.copy(), 8)["values"]
    store.windows(starts, 8, out={"values": memory})
    assert (memory == expected).all(), memory
    starts[:] = np.arange(10)
    store.read_rows(starts, 8, out={"a": memory})
    assert (memory == expected).all(), memory
    """)
