"""Decoded reads: row(), rows(), read_rows(), decode(), and look-ups of rows and positions."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from store_helpers import filled, new_store
from stream_store import StreamStore, WindowSampler


@pytest.fixture
def ragged() -> StreamStore:
    store = new_store({"x": "float32[]", "n": "int16", "flag": "bool", "text": "string"})
    store.append_step({"x": [1, 2, 3], "n": 1, "text": "one"})
    store.append_step({"n": 2, "flag": True})
    store.append_step({})
    store.append_step({"x": [], "text": "", "flag": False}, step=10)
    store.append_step({"x": [4], "n": 5, "text": "fünf"})
    return store


def test_read_rows_pads_and_masks(ragged: StreamStore) -> None:
    read = ragged.read_rows([0, 1, 2, 3, 4])
    assert list(read) == ["x", "n", "flag", "text", "_step", "_mask", "_length"]
    assert read["x"].dtype == np.float32
    assert read["x"].tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0], [4, 0, 0]]
    assert read["n"].dtype == np.int16
    assert read["n"].tolist() == [1, 2, 0, 0, 5]
    assert read["flag"].tolist() == [False, True, False, False, False]
    assert read["text"] == ["one", "", "", "", "fünf"]
    assert read["_step"].tolist() == [0, 1, 2, 10, 11]
    assert read["_mask"]["x"].tolist() == [True, False, False, True, True]
    assert read["_mask"]["text"].tolist() == [True, False, False, True, True]
    assert read["_mask"]["flag"].dtype == np.bool_
    assert list(read["_length"]) == ["x"]
    assert read["_length"]["x"].tolist() == [3, 0, 0, 0, 1]


def test_read_rows_returns_the_shape_of_its_indices(ragged: StreamStore) -> None:
    one = ragged.read_rows(4, fields=["n", "text"])
    assert one["n"].shape == ()
    assert one["text"] == "fünf"
    assert "x" not in one
    windows = ragged.read_rows([[0, 2], [1, 1]], 3)
    assert windows["x"].shape == (2, 2, 3, 3)
    assert windows["n"].tolist() == [[[1, 2, 0], [0, 0, 5]], [[2, 0, 0], [2, 0, 0]]]
    assert windows["text"][0][1] == ["", "", "fünf"]
    empty = ragged.read_rows(np.zeros((0, 2), int), 2)
    assert empty["x"].shape[:3] == (0, 2, 2)
    assert empty["text"] == []


def test_max_length_pads_and_cuts(ragged: StreamStore) -> None:
    read = ragged.read_rows([0, 4], max_length={"x": 2})
    assert read["x"].tolist() == [[1, 2], [4, 0]]
    assert read["_length"]["x"].tolist() == [3, 1]
    assert ragged.read_rows([0], max_length={"x": 5})["x"].tolist() == [[1, 2, 3, 0, 0]]
    for wrong in ({"n": 2}, {"nope": 2}, {"x": -1}):
        with pytest.raises(ValueError):  # noqa: PT011
            ragged.read_rows([0], max_length=wrong)


def test_read_rows_fills_given_outputs(ragged: StreamStore) -> None:
    out: dict[str, Any] = {
        "x": np.full((2, 4), 9, np.float32),
        "n": np.zeros(2, np.int16),
        "_step": np.zeros(2, int),
        "_mask": {"n": np.zeros(2, bool)},
        "_length": {"x": np.zeros(2, int)},
    }
    read = ragged.read_rows([0, 4], out=out)
    assert read["x"] is out["x"]
    assert read["_mask"]["n"] is out["_mask"]["n"]
    assert out["x"].tolist() == [[1, 2, 3, 0], [4, 0, 0, 0]]
    assert out["_length"]["x"].tolist() == [3, 1]
    for wrong in (
        {"n": np.zeros(2, np.int32)},
        {"n": np.zeros(3, np.int16)},
        {"nope": np.zeros(2)},
        {"x": np.zeros(2, np.float32)},
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            ragged.read_rows([0, 4], out=wrong)


@pytest.mark.parametrize(
    "out",
    [
        {"n": np.zeros((4, 1), np.int16)},
        {"n": np.zeros(4, np.int16)},
        {"x": np.zeros((4, 3), np.float32)},
        {"x": np.zeros((2, 3, 2), np.float32)},
        {"_step": np.zeros(4, np.int64)},
        {"_mask": {"n": np.zeros(4, bool)}},
        {"_length": {"x": np.zeros((4, 1), np.int64)}},
    ],
    ids=str,
)
def test_outputs_of_the_right_size_and_the_wrong_shape_are_refused(
    ragged: StreamStore, out: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="shape"):
        ragged.read_rows([0, 3], 2, max_length={"x": 3}, out=out)


@pytest.mark.parametrize(
    ("rows", "length"),
    [([0, -6], None), (5, None), ([3], 3), ([-2], 3), (0, 6), ([2**62], 2), (slice(2, None), 2)],
)
def test_rows_out_of_range_are_index_errors(
    ragged: StreamStore, rows: Any, length: int | None
) -> None:
    with pytest.raises(IndexError, match="outside"):
        ragged.read_rows(rows, length)
    with pytest.raises(IndexError, match="outside"):
        ragged.read_rows(rows, length, fields=["text"])


def test_wrong_arguments_of_read_rows_are_refused(ragged: StreamStore) -> None:
    for arguments, error in (
        ({"length": 0}, ValueError),
        ({"length": 1.5}, TypeError),
        ({"fields": ["nope"]}, ValueError),
        ({"fields": "x"}, ValueError),
        ({"out": [1]}, TypeError),
    ):
        with pytest.raises(error):
            ragged.read_rows([0], **arguments)  # type: ignore[arg-type]


def test_rows_iterates_over_the_rows_of_its_call(ragged: StreamStore) -> None:
    rows = ragged.rows()
    ragged.append_step({"n": 9})
    ragged.close()
    assert [row["n"] for row in rows] == [1, 2, None, None, 5]


def test_rows_and_row_count_from_the_end(ragged: StreamStore) -> None:
    assert [row["n"] for row in ragged.rows(1, 3)] == [2, None]
    assert [row["n"] for row in ragged.rows(-2)] == [None, 5]
    assert ragged.row(-1)["n"] == 5
    assert isinstance(ragged.row(0)["n"], np.int16)
    for i in (5, -6):
        with pytest.raises(IndexError):
            ragged.row(i)


def test_every_dtype_decodes_the_same_everywhere() -> None:
    datasets = pytest.importorskip("datasets")
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9)
    values: dict[str, tuple[Any, Any]] = {
        "i8": ("int8", -5),
        "u64": ("uint64", 2**64 - 1),
        "f16": ("float16", np.float16(0.1)),
        "f32": ("float32", np.float32(0.1)),
        "b": ("bool", True),
        "date": (datasets.Value("date32"), np.datetime64("2024-05-06")),
        "ts": ("timestamp[us]", np.datetime64(moment)),
        "time": (datasets.Value("time64[ns]"), np.timedelta64(5, "ns")),
        "dur": (datasets.Value("duration[ms]"), np.timedelta64(7, "ms")),
        "dec": (datasets.Value("decimal128(10, 3)"), Decimal("1.250")),
        "fixed": (datasets.Value("fixed_size_binary[3]"), b"abc"),
        "pack": ("packed float32[3]", np.arange(3, dtype=np.float32)),
        "null": (datasets.Value("null"), None),
        "label": (datasets.ClassLabel(names=["a", "b"]), 1),
    }
    store = new_store({name: feature for name, (feature, _) in values.items()})
    store.append_step({name: value for name, (_, value) in values.items()})
    store.append_step({})
    row, read = store.row(0), store.read_rows([0, 1])
    for name, (_, value) in values.items():
        if value is None:
            assert row[name] is None
            continue
        assert np.all(np.asarray(row[name]) == np.asarray(value)), name
        assert np.all(np.asarray(read[name][0]) == np.asarray(value)), name
    assert row["date"].dtype == "M8[D]"
    assert read["ts"].dtype == "M8[us]"
    assert read["time"].dtype == "m8[ns]"
    assert read["dec"].dtype == object
    assert read["dec"][1] == 0
    assert read["fixed"] == [b"abc", b""]


def test_decode_returns_the_dtype_of_the_field() -> None:
    store = filled(3)
    read = store[:]
    rewards = read["values"][read["types"] == 2]
    assert store.decode(rewards, "reward").dtype == np.float32
    assert store.decode(rewards.reshape(3, 1), "reward").tolist() == [[0.0], [0.5], [1.0]]
    assert store.decode(3, "action").shape == ()
    with pytest.raises(ValueError, match="Unknown field"):
        store.decode(rewards, "nope")
    with pytest.raises(TypeError):
        store.decode([1.5], "reward")
    packed = new_store({"x": "packed uint8[8]"})
    with pytest.raises(ValueError, match="x"):
        packed.decode([1], "x")


@pytest.mark.parametrize("wrong", [3, "reward", b"reward"])
def test_rows_and_samplers_refuse_fields_that_are_not_a_list(wrong: Any) -> None:
    store = filled(3)
    message = f"fields must be a list of names, not {wrong!r}$"
    with pytest.raises(ValueError, match=message):
        store.read_rows([0], fields=wrong)
    with pytest.raises(ValueError, match=message):
        WindowSampler(store, 1, unit="row", fields=wrong)


def test_look_ups_agree_with_the_index_table(ragged: StreamStore) -> None:
    table = ragged.index_table()
    assert table.dtype.names == ("start", "type", "step")
    assert table["start"].tolist() == [0, 3, 4, 7, 8, 9, 9, 10, 10, 11, 12]
    assert ragged.num_field_writes == len(table)
    positions = np.arange(len(ragged)).reshape(1, -1)
    rows = ragged.row_of(positions)
    assert rows.shape == positions.shape
    np.testing.assert_array_equal(ragged[positions]["step"], np.array([0, 1, 2, 10, 11])[rows])
    assert ragged.position_of([0, 1, 2, 3, 4]).tolist() == [0, 7, 9, 9, 10]
    steps = [0, 1, 2, 10, 11]
    asked = np.arange(-1, 13)
    for side in ("left", "right"):
        np.testing.assert_array_equal(
            ragged.row_at(asked, side), np.searchsorted(steps, asked, side)
        )
    assert ragged.row_of(3) == 0
    for call, wrong in ((ragged.row_of, -1), (ragged.position_of, -6)):
        for outside in (wrong, 10**6):
            with pytest.raises(IndexError):
                call(outside)
    with pytest.raises(ValueError, match="left"):
        ragged.row_at(3, "middle")  # type: ignore[arg-type]


def test_the_index_table_may_be_of_some_rows(ragged: StreamStore) -> None:
    assert ragged.index_table(3)["step"].tolist() == [10] * 3 + [11] * 3
    assert ragged.index_table(-1, None)["step"].tolist() == [11] * 3
    assert len(ragged.index_table(2, 1)) == 0


def test_segments_end_at_true_and_begin_at_a_new_int() -> None:
    store = new_store({"done": "bool", "cut": "bool", "episode": "int32"})
    for step in range(10):
        store.append_step({"done": step in {2, 6}, "cut": step == 4, "episode": step // 4})
    assert store.segments("done").tolist() == [[0, 3], [3, 7], [7, 10]]
    assert store.segments(["done", "cut"]).tolist() == [[0, 3], [3, 5], [5, 7], [7, 10]]
    assert store.segments("episode").tolist() == [[0, 4], [4, 8], [8, 10]]
    assert store.segments("done").dtype == np.int64
    with pytest.raises(ValueError, match="Unknown field"):
        store.segments("nope")
    assert new_store().segments("done").shape == (0, 2)


def test_row_windows_may_span_many_records() -> None:
    store = filled(500)
    rows = np.random.default_rng(0).integers(0, 490, (7, 3))
    read = store.read_rows(rows, 10)
    assert read["observation"].shape == (7, 3, 10, 8)
    np.testing.assert_array_equal(read["action"], rows[..., None] + np.arange(10))
    again = store.read_rows(rows[..., None] + np.arange(10))
    np.testing.assert_array_equal(read["observation"], again["observation"])
