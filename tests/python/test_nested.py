"""Nested cells: the objects that each type takes, the objects that rows return, and the errors."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict, deque
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from store_helpers import new_store
from stream_store import CorruptStoreError, StreamStore, WindowSampler, _core

CHAT = "list<struct<role: string, content: string>>"
UTC = dt.timezone.utc


def stored(text: str, value: Any) -> Any:
    """The value that row() returns for a value of a nested field."""
    store = new_store({"x": f"nested {text}"})
    store.append_step({"x": value})
    store.append([1], ["x"], [value])
    first, second = store.row(0)["x"], store.row(1)["x"]
    assert repr(first) == repr(second)
    (read,) = store.read_rows([0])["x"]
    assert repr(read) == repr(first)
    return first


TAKEN: list[tuple[str, Any, Any]] = [
    ("list<string>", ["a", "", None, "🦉"], ["a", "", None, "🦉"]),
    ("list<string>", ("a", np.str_("b"), b"c"), ["a", "b", "c"]),
    ("list<string>", np.array(["a", "bc"]), ["a", "bc"]),
    ("list<string>", np.array(["a", None], dtype=object), ["a", None]),
    ("large_list<large_string>", deque(["a"]), ["a"]),
    ("list<binary>", [b"\0", bytearray(b"b"), memoryview(b"c"), None], [b"\0", b"b", b"c", None]),
    ("list<fixed_size_binary[2]>", np.array([b"a", b"bc"], "S2"), [b"a\0", b"bc"]),
    ("list<fixed_size_binary[2]>", [np.void(b"a\0")], [b"a\0"]),
    ("list<int8>", range(-1, 2), [-1, 0, 1]),
    ("list<int8>", [1, None, 2.0, np.int64(3), True], [1, None, 2, 3, 1]),
    ("list<int8>", np.array([1, 2], ">i4")[::-1], [2, 1]),
    ("list<int32>", np.array([1.0, 2.0]), [1, 2]),
    ("list<uint64>", [2**64 - 1, 0], [2**64 - 1, 0]),
    ("list<uint64>", np.array([2**64 - 1], "u8"), [2**64 - 1]),
    ("list<int64>", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
    ("list<bool>", [True, 0, 1.0, np.bool_(False), None], [True, False, True, False, None]),
    ("list<bool>", np.array([True, False]), [True, False]),
    ("list<float>", [1, 0.1, None], [1.0, float(np.float32(0.1)), None]),
    ("list<float>", [0.5, -0.0, float("inf")], [0.5, -0.0, float("inf")]),
    ("list<double>", [1, 2**53, 0.1], [1.0, 2.0**53, 0.1]),
    ("list<halffloat>", np.array([0.5, 2], "f2"), [0.5, 2.0]),
    ("list<halffloat>", [65519, 0.1], [65504.0, float(np.float16(0.1))]),
    ("list<list<int16>>", [[], None, [1], (2, None)], [[], None, [1], [2, None]]),
    ("list<list<float>>", np.arange(4.0).reshape(2, 2), [[0.0, 1.0], [2.0, 3.0]]),
    ("list<list<float>>", [np.ones(2, "f8"), range(1)], [[1.0, 1.0], [0.0]]),
    ("list<list<list<int8>>>", np.zeros((1, 0, 3), "i1"), [[]]),
    ("fixed_size_list<int32>[2]", (1, None), [1, None]),
    ("fixed_size_list<int32>[0]", [], []),
    ("list<fixed_size_list<string>[1]>", [["a"], None], [["a"], None]),
    ("list<null>", [None, None], [None, None]),
    ("list<null>", [], []),
    ("struct<>", {}, {}),
    ("list<struct<>>", [{}, None], [{}, None]),
    ("struct<a: int8, b: string>", {"b": "x"}, {"a": None, "b": "x"}),
    ("struct<a: int8, b: string>", OrderedDict(a=1), {"a": 1, "b": None}),
    ("struct<a: list<int8>>", MappingProxyType({"a": [1]}), {"a": [1]}),
    ("struct<a: int8>", np.array([(3,)], [("a", "i4")])[0], {"a": 3}),
    (CHAT, [{"role": "user", "content": "hi"}], [{"role": "user", "content": "hi"}]),
    ("map<string, int32>", {"a": 1, "b": None}, [("a", 1), ("b", None)]),
    ("map<string, int32>", [("a", 1), ["a", 2]], [("a", 1), ("a", 2)]),
    ("map<int8, list<string>>", {1: ["x"]}, [(1, ["x"])]),
    ("list<date32>", [dt.date(2024, 2, 29), 5], ["2024-02-29", "1970-01-06"]),
    ("list<timestamp[us]>", [dt.datetime(1969, 1, 1), None], ["1969-01-01T00:00:00.000000", None]),
    ("list<timestamp[s, tz=Asia/Tokyo]>", [dt.datetime(2024, 1, 1, tzinfo=UTC)],
     ["2024-01-01T00:00:00"]),
    ("list<timestamp[s]>", np.array(["2024-01-01"], "M8[D]"), ["2024-01-01T00:00:00"]),
    ("list<time32[ms]>", [dt.time(0, 0, 1)], ["1000 milliseconds"]),
    ("list<time64[ns]>", [np.timedelta64(5, "us")], ["5000 nanoseconds"]),
    ("list<duration[s]>", [dt.timedelta(minutes=1)], ["60 seconds"]),
    ("list<decimal128(5, 2)>", [Decimal("1.2"), 3, None], [Decimal("1.20"), Decimal("3.00"), None]),
    ("list<decimal256(76, 0)>", [10**75], [Decimal(10**75)]),
    ("list<decimal32(5, -2)>", [1200], [Decimal("12E+2")]),
    ("decimal64(18, 1)", Decimal("-0.1"), Decimal("-0.1")),
    ("month_day_nano_interval", (1, -2, 2**62), (1, -2, 2**62)),
    ("list<month_interval>", [7, None], [7, None]),
    ("list<day_time_interval>", [(1, -1)], [(1, -1)]),
]  # fmt: skip


def plain(value: Any) -> Any:
    """Dates and times as text, as the table above writes them."""
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return str(value) if isinstance(value, (np.datetime64, np.timedelta64)) else value


@pytest.mark.parametrize(
    ("text", "value", "expected"), TAKEN, ids=[f"{text}-{type(v).__name__}" for text, v, _ in TAKEN]
)
def test_cell_comes_back_as_built_in_objects(text: str, value: Any, expected: Any) -> None:
    result = plain(stored(text, value))
    assert repr(result) == repr(expected)


def test_cells_of_other_libraries_are_taken() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 2, requires_grad=True)
    assert stored("list<list<float>>", tensor) == [[1.0, 1.0], [1.0, 1.0]]
    assert stored("list<list<float>>", [tensor[0], [0]]) == [[1.0, 1.0], [0.0]]
    assert stored("list<float>", torch.tensor([1.5], dtype=torch.bfloat16)) == [1.5]
    assert stored("list<int8>", [torch.tensor(3)]) == [3]


def test_cells_of_pyarrow_are_taken_with_their_nulls() -> None:
    pa = pytest.importorskip("pyarrow")
    assert stored("list<int8>", pa.array([1, None])) == [1, None]
    assert stored("list<int8>", pa.chunked_array([[1], [None]])) == [1, None]
    assert stored("struct<a: list<string>>", pa.scalar({"a": ["x", None]})) == {"a": ["x", None]}
    assert stored("list<int8>", [pa.scalar(1), pa.scalar(None, pa.int8())]) == [1, None]
    entries = pa.scalar([("a", 1)], pa.map_(pa.string(), pa.int8()))
    assert stored("map<string, int8>", entries) == [("a", 1)]
    interval = pa.MonthDayNano([1, 2, 3])
    assert stored("list<month_day_nano_interval>", [interval]) == [interval]


def test_the_bits_of_every_nan_are_kept() -> None:
    bits = np.array([0x7FC00001, 0xFF800001, 0x7FA00000], "u4")
    block = _core._encode_nested("list<float>", "x", list(bits.view("f4")))
    assert np.frombuffer(block[-12:], "u4").tolist() == bits.tolist()
    assert block == _core._encode_nested("list<float>", "x", bits.view("f4"))


@pytest.fixture
def chats() -> StreamStore:
    store = new_store({"chat": f"nested {CHAT}", "n": "int64"})
    store.append_step({"chat": [{"role": "user", "content": "hi"}], "n": 1})
    store.append_step({"chat": []})
    store.append_step({"n": 3})
    return store


def test_missing_cells_are_none_and_empty_ones_are_not(chats: StreamStore) -> None:
    assert [row["chat"] for row in chats.rows()] == [[{"role": "user", "content": "hi"}], [], None]
    assert chats.row(2) == {"chat": None, "n": 3}
    read = chats.read_rows([0, 1, 2])
    assert read["chat"].dtype == object
    assert read["chat"].tolist() == [[{"role": "user", "content": "hi"}], [], None]
    assert read["_mask"]["chat"].tolist() == [True, True, False]
    assert list(read["_length"]) == []


def test_read_rows_returns_object_arrays_in_the_shape_of_the_rows(chats: StreamStore) -> None:
    one = chats.read_rows(1)["chat"]
    assert (one.shape, one[()]) == ((), [])
    windows = chats.read_rows([[0, 1]], 2, fields=["chat"])["chat"]
    assert windows.shape == (1, 2, 2)
    assert windows[0, 1].tolist() == [[], None]
    assert chats.read_rows(np.zeros((0, 2), int), 2)["chat"].shape == (0, 2, 2)
    with pytest.raises(ValueError, match="not read"):
        chats.read_rows([0], out={"chat": np.empty(1, object)})


def test_cells_of_two_reads_are_separate_objects(chats: StreamStore) -> None:
    chats.row(0)["chat"].append("changed")
    chats.read_rows([0])["chat"][0][0]["role"] = "changed"
    assert chats.row(0)["chat"] == [{"role": "user", "content": "hi"}]


def test_snapshots_and_reopened_stores_return_the_cells(tmp_path: Any) -> None:
    with StreamStore(
        tmp_path / "s", fields={"x": "nested list<string>", "p": "packed string"}
    ) as a:
        a.append_step({"x": ["a", None], "p": "text"})
        snapshot = a.snapshot()
        a.append_step({"x": [], "p": ""})
        assert [row["x"] for row in snapshot.rows()] == [["a", None]]
    with StreamStore(tmp_path / "s", mode="r") as b:
        assert list(b.rows()) == [{"x": ["a", None], "p": "text"}, {"x": [], "p": ""}]


def test_decode_names_the_reads_of_whole_rows() -> None:
    store = new_store({"x": "nested list<int8>", "s": "packed string", "p": "packed int8[]"})
    for name in store.fields:
        with pytest.raises(ValueError, match=rf"'{name}'.*row\(\) and read_rows\(\)"):
            store.decode([0], name)


def test_samplers_return_object_arrays(chats: StreamStore) -> None:
    sampler = WindowSampler(chats, 2, unit="row", batch_size=3, seed=0)
    for batch in (sampler.sample(), next(iter(sampler.prefetch(2)))):
        assert batch["chat"].shape == (3, 2)
        for step, cell in zip(batch["_step"].flat, batch["chat"].flat, strict=True):
            assert cell == chats.row(int(step))["chat"]


def test_damaged_cell_is_an_error_that_names_row_and_field(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"n": "int64", "x": "nested list<string>"}) as store:
        for row in range(3):
            store.append_step({"n": row, "x": ["a needle", f"{row}"]})
    for file in (tmp_path / "s").rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        if b"a needle1" in content:  # the length of the first text, 8, follows the header
            file.write_bytes(content.replace(b"\x08\x01a needle1", b"\x09\x01a needle1"))
    with StreamStore(tmp_path / "s", mode="r") as store:
        assert store.row(0)["x"] == ["a needle", "0"]
        for read in (lambda: store.row(1), lambda: store.read_rows([0, 1])):
            with pytest.raises(CorruptStoreError, match=r"(row|step) 1: field 'x'"):
                read()


# --- types ---


def test_type_trees_and_texts() -> None:
    tree = _core.nested_type("struct<a: list<utf8>, b: double not null>")
    item = ("bytes", "u", "item", True, 0, ())
    a, b = ("list", "+l", "a", True, 0, (item,)), ("item", "g", "b", False, 8, ())
    assert tree == ("struct", "+s", "", True, 0, (a, b))
    assert _core.nested_text(tree) == "struct<a: list<string>, b: float64 not null>"
    assert _core.nested_text("list<float>") == "list<float32>"


@pytest.mark.parametrize(
    "text", ["", "list<", "list<nope>", "list<int8> x", "struct<a>", "a" * 10**5]
)
def test_text_that_is_not_a_type_is_refused(text: str) -> None:
    for call in (_core.nested_type, _core.nested_text):
        with pytest.raises(ValueError, match="type"):
            call(text)


def test_trees_that_are_not_types_are_refused() -> None:
    loop: list[Any] = []
    deep = ("list", "+l", "", True, 0, loop)
    loop.append(deep)
    for tree, error in (((), TypeError), (5, TypeError), (deep, ValueError)):
        with pytest.raises(error, match="nested type"):
            _core.nested_text(tree)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="format"):
        _core.nested_text(("item", "?", "", True, 0, ()))


def test_block_of_another_type_is_corrupt() -> None:
    block = _core._encode_nested("list<string>", "x", ["a", "b"])
    for wrong in (block[:-1], block + b"\0", b"", b"\xff" * 20):
        with pytest.raises(CorruptStoreError, match="field 'x'"):
            _core._decode_nested("list<string>", "x", wrong)
