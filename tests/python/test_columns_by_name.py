"""store["field"]: a column that is indexed by row, compared with the lists that were appended."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import stream_store
from stream_store import DroppedError, StreamStore

ROWS: list[dict[str, Any]] = [
    {
        "reward": None if i % 4 == 3 else i / 2,
        "count": i,
        "obs": [i, i + 1, i + 2],
        "tokens": list(range(i % 5)) if i % 6 else None,
        "text": None if i % 7 == 2 else f"row {i}",
        "price": Decimal(i) / 4,
        "chat": [{"role": "user", "n": i}],
        "pose": {"x": float(i), "joint": {"angle": i}},
    }
    for i in range(40)
]
FIELDS = {
    "reward": "float32",
    "count": "int64",
    "obs": "int16[3]",
    "tokens": "int32[]",
    "text": "string",
    "price": "decimal128(10, 2)",
    "chat": "nested list<struct<role: string, n: int64>>",
    "pose": {"x": "float64", "joint": {"angle": "int8"}},
}


@pytest.fixture
def store() -> StreamStore:
    store = StreamStore(fields=FIELDS)
    for row in ROWS:
        store.append_step({name: value for name, value in row.items() if value is not None})
    return store


def listed(values: Any) -> Any:
    """Arrays and masked arrays as lists, with None where a value is missing."""
    if isinstance(values, np.ndarray):
        return [listed(item) for item in values.tolist()] if values.ndim else values.tolist()
    if isinstance(values, (list, tuple)):
        return [listed(item) for item in values]
    return values


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(5, 9),
        slice(-3, None),
        slice(None, None, 7),
        slice(None, None, -3),
        slice(30, 2, -9),
        slice(9, 3),
        [0, 39, -1, 3, 3],
        np.array([[1, 2], [-40, 5]]),
        [],
        np.arange(40) % 3 == 0,
    ],
    ids=str,
)
def test_an_index_selects_rows_as_numpy_does(store: StreamStore, name: str, index: Any) -> None:
    expected = np.empty(len(ROWS), object)
    for i, row in enumerate(ROWS):
        expected[i] = row[name]
    chosen = expected[np.asarray(index, int) if isinstance(index, list) else index]
    found = store[name][index]
    assert found.shape[: chosen.ndim] == chosen.shape
    found_flat = found.reshape(-1, *found.shape[chosen.ndim :])
    for place, value in enumerate(chosen.reshape(-1)):
        if value is None:
            one = found_flat[place]
            assert one is None or np.ma.getmaskarray(found_flat)[place].all()
        else:
            assert listed(found_flat[place]) == listed(value)


@pytest.mark.parametrize("name", FIELDS)
def test_one_row_and_iteration_give_the_values_of_row(store: StreamStore, name: str) -> None:
    column = store[name]
    for number, value in enumerate(column):
        assert listed(value) == listed(store.row(number)[name])
    assert listed(column[-1]) == listed(ROWS[-1][name])
    assert listed(column[np.int64(3)]) == listed(ROWS[3][name])
    assert number == len(column) - 1 == 39


def test_leaves_and_inner_structs_have_columns(store: StreamStore) -> None:
    assert store["pose.x"][:].tolist() == [float(i) for i in range(40)]
    assert store["pose.joint"][3] == {"angle": 3}
    assert store["pose.joint.angle"][[5]].dtype == np.int8
    assert store["pose"][2]["joint"] == {"angle": 2}


def test_dtype_and_shape_are_those_of_the_array(store: StreamStore) -> None:
    for name in FIELDS:
        column = store[name]
        values = column[:]
        assert column.dtype == values.dtype
        assert column.shape == values.shape
        assert column.ndim == values.ndim


def test_an_array_of_floats_has_nan_where_a_value_is_missing(store: StreamStore) -> None:
    values = np.asarray(store["reward"])
    assert np.flatnonzero(np.isnan(values)).tolist() == list(range(3, 40, 4))
    assert np.asarray(store["count"], np.float32).sum() == sum(range(40))
    ints = StreamStore(fields={"n": "int64", "m": "int64"})
    ints.extend({"n": [1, None, 3], "m": [1, 2, 3]})
    with pytest.raises(ValueError, match="row 1 has no value"):
        np.asarray(ints["n"])


def test_dropped_rows_keep_their_numbers(tmp_path: Any) -> None:
    with StreamStore(tmp_path / "s", fields={"n": "int64"}, chunk_bytes=1 << 20) as store:
        store.extend({"n": np.arange(400_000)})
        store.drop_before(300_000)
        column = store["n"]
        assert len(column) == 100_000
        assert column[:].tolist() == list(range(300_000, 400_000))
        assert column[::-50_000].tolist() == [399_999, 349_999]
        assert column[300_000] == 300_000
        assert column[np.arange(100_000) == 5].tolist() == [300_005]
        assert next(iter(column)) == 300_000
        for index in (5, slice(5, 10), [5]):
            with pytest.raises(DroppedError):
                column[index]


def test_a_column_follows_its_store(store: StreamStore) -> None:
    column = store["count"]
    store.append_step({"count": 40})
    assert column[-1] == 40
    assert len(column) == 41


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (40, IndexError),
        (-41, IndexError),
        ([0, 40], IndexError),
        ([0.5], IndexError),
        ((1, 2), IndexError),
        ("reward", IndexError),
        (np.ones(3, bool), IndexError),
        (None, IndexError),
        (True, TypeError),
    ],
)
def test_a_bad_index_is_an_error(store: StreamStore, index: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        store["reward"][index]


def test_an_unknown_field_is_a_key_error_that_lists_the_fields(store: StreamStore) -> None:
    with pytest.raises(KeyError, match=r"no field 'rewards'; the fields are 'reward', 'count'"):
        store["rewards"]
    with pytest.raises(KeyError, match="none are declared"):
        StreamStore()["obs"]


def test_a_closed_store_has_no_columns(store: StreamStore) -> None:
    column = store["reward"]
    store.close()
    with pytest.raises(ValueError, match="closed"):
        column[:]


@pytest.mark.parametrize("name", ["keys", "info", "tail", "head", "columns", "sample", "add"])
def test_names_of_other_libraries_are_answered_with_the_right_call(
    store: StreamStore, name: str
) -> None:
    assert not hasattr(store, name)
    with pytest.raises(AttributeError, match=rf"no attribute '{name}': .*(store|stream_store)"):
        getattr(store, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        store.nonsense  # noqa: B018


def test_open_reads_and_creates_nothing(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError):
        stream_store.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with StreamStore(tmp_path / "s", fields=["n"]) as writer:
        reader = stream_store.open(tmp_path / "s")
        writer.append_step({"n": 5})
        assert (reader.mode, reader["n"][-1]) == ("r", 5)


def test_data_frames_have_the_rows(store: StreamStore) -> None:
    frame = store.to_pandas(fields=["count", "text"])
    assert frame["count"].tolist() == list(range(40))
    assert frame.index.tolist() == list(range(40))
    assert store.to_pandas(-2).index.tolist() == [38, 39]
    assert store.to_pandas(5, 7)["text"].tolist() == ["row 5", "row 6"]
    polars = store.to_polars(-3, fields=["reward"])
    assert polars["reward"].to_list() == [18.5, 19.0, None]
    with pytest.raises(ValueError, match="no field 'none'"):
        store.to_pandas(fields=["none"])
    assert len(store.to_pandas(9, 5)) == 0


def test_running_a_cell_again_closes_the_earlier_object(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    first = StreamStore(path, fields=["n"])
    first.append_step({"n": 1})
    with pytest.raises(stream_store.LockedError, match="this process already has it open"):
        StreamStore(path, fields=["n"])
    monkeypatch.setattr("sys.ps1", ">>> ", raising=False)
    with pytest.warns(UserWarning, match="earlier object was closed"):
        second = StreamStore(path, fields=["n"])
    assert first.closed
    second.append_step({"n": 2})
    assert second["n"][:].tolist() == [1, 2]


def test_a_missing_polars_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    store = StreamStore(fields={"x": "float32"})
    with pytest.raises(ImportError, match=r"to_polars needs .*: pip install polars$"):
        store.to_polars()
