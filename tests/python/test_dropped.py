"""What a store says about the rows that it retains, and how ranges of rows are counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import stream_store
from stream_store import DroppedError, StreamStore, WindowSampler
from stream_store._arguments import row_range


def filled(path: Path | None = None) -> StreamStore:
    store = StreamStore(path, fields={"obs": "float32[]", "done": "bool"})
    store.extend({"obs": [[0.5] * (i % 3) for i in range(10)], "done": [i == 4 for i in range(10)]})
    return store


def test_a_store_that_dropped_nothing_begins_at_zero(tmp_path: Path) -> None:
    empty = StreamStore()
    assert (empty.first_row, empty.first_position, empty.kept_rows) == (0, 0, 0)
    with filled(tmp_path / "run") as store:
        reader = StreamStore(tmp_path / "run", "r")
        for each in (store, reader, store.snapshot(), store.snapshot(4)):
            assert (each.first_row, each.first_position) == (0, 0)
            assert each.kept_rows == each.num_rows
        reader.close()
        with pytest.raises(ValueError, match="closed"):
            reader.first_row  # noqa: B018


@pytest.mark.parametrize("name", ["first_row", "first_position", "kept_rows"])
def test_the_begin_cannot_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(StreamStore(), name, 3)


def test_dropped_error_is_an_index_error_and_one_of_ours() -> None:
    assert issubclass(DroppedError, IndexError)
    assert issubclass(DroppedError, stream_store.Error)
    assert DroppedError.__module__ == "stream_store"


def test_ranges_begin_at_the_first_row_by_default() -> None:
    store = filled()
    assert len(list(store.rows())) == len(list(store.rows(0))) == 10
    assert store.index_table().tolist() == store.index_table(0).tolist()
    assert store.index_table(None, 3).tolist() == store.index_table(0, 3).tolist()
    assert [row["done"] for row in store.rows(None, 2)] == [False, False]
    assert len(store[:]["values"]) == len(store[0:]["values"]) == len(store)
    assert store[::-1]["values"].tolist() == store[:]["values"].tolist()[::-1]
    assert store[:-3]["values"].tolist() == store[:]["values"].tolist()[:-3]


def test_arrow_ranges_begin_at_the_first_row_by_default() -> None:
    pytest.importorskip("pyarrow")
    store = filled()
    assert store.to_arrow().read_all().num_rows == 10
    assert store.to_arrow(None, 3).read_all().num_rows == 3
    assert store.to_arrow(0, 0).read_all().num_rows == 0


@dataclass
class Retained:
    """The facts of a store that row_range() reads."""

    first_row: int
    num_rows: int

    def range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        store: Any = self
        return row_range(store, start, stop)


def test_ranges_of_rows_count_as_slices_do_from_the_first_row_on() -> None:
    store = Retained(first_row=40, num_rows=100)
    assert store.range(None, None) == (40, 100)
    assert store.range(None, 50) == (40, 50)
    assert store.range(None, 10) == (40, 40)  # none of them is left
    assert store.range(40, 1000) == (40, 100)
    assert store.range(-60, None) == (40, 100)
    assert store.range(-5, -2) == (95, 98)
    assert store.range(70, 60) == (70, 70)
    assert store.range(1000, None) == (100, 100)


@pytest.mark.parametrize("start", [0, 39, -61, -1000])
def test_a_range_never_begins_with_dropped_rows(start: int) -> None:
    with pytest.raises(DroppedError, match="begin before row 40, the first that the store still"):
        Retained(first_row=40, num_rows=100).range(start, None)


def test_states_of_samplers_have_the_first_row_of_their_epoch() -> None:
    def sampler() -> WindowSampler:
        return WindowSampler(store, length=2, unit="row", replacement=False, batch_size=3)

    store = filled()
    first = sampler()
    batches = iter(first)
    next(batches)
    state = first.state_dict()
    assert state["first_rows"] == [0]
    rest = [batch["_step"].tolist() for batch in batches]
    older = {key: value for key, value in state.items() if key != "first_rows"}
    for each in (state, older):
        resumed = sampler()
        resumed.load_state_dict(each)
        assert [batch["_step"].tolist() for batch in resumed] == rest
    for wrong in ([0, 0], [11], [-1], 0):
        with pytest.raises((ValueError, TypeError)):
            sampler().load_state_dict({**state, "first_rows": wrong})


# --- with dropped rows ---


@pytest.fixture
def store() -> StreamStore:
    """Ten rows of 1, 2, 3, 1, … values, of which the first three were dropped: 6 values."""
    store = filled()
    store.drop_before(3)
    return store


def test_numbers_go_on_and_ranges_begin_at_the_first_row(store: StreamStore) -> None:
    assert (store.first_row, store.num_rows, store.kept_rows) == (3, 10, 7)
    assert (store.first_position, len(store)) == (6, 19)
    assert "7 rows from row 3 on, 13 values" in repr(store)
    assert len(list(store.rows())) == 7
    assert len(store.index_table()) == store.num_field_writes == 14
    assert store.segments("done").tolist() == [[3, 5], [5, 10]]
    assert store.row_at([0, 5, 99]).tolist() == [3, 5, 10]
    assert store.position_of([3, 4]).tolist() == [6, 7]
    assert len(store[:]["values"]) == len(store[::-1]["values"]) == 13
    assert store[::-1]["values"].tolist() == store[:]["values"].tolist()[::-1]
    assert store[::2]["step"].tolist() == store[6::2]["step"].tolist()
    assert len(store[:3]["values"]) == 0


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store[0:],
        lambda store: store[5],
        lambda store: store[-16],
        lambda store: store[[5, 10]],
        lambda store: store[10:2:-1],
        lambda store: store.windows([5], 2),
        lambda store: store.row(2),
        lambda store: store.row(-8),
        lambda store: store.rows(0),
        lambda store: store.rows(-8),
        lambda store: store.index_table(0),
        lambda store: store.read_rows([4, 2]),
        lambda store: store.read_rows([2], length=3),
        lambda store: store.row_of(5),
        lambda store: store.position_of([2]),
        lambda store: store.snapshot(2),
    ],
)
def test_reading_what_was_dropped_names_what_is_left(store: StreamStore, read: Any) -> None:
    with pytest.raises(DroppedError, match=r"position 6\b|row 3\b"):
        read(store)


def test_what_never_existed_is_still_an_index_error_of_its_own(store: StreamStore) -> None:
    reads: list[Any] = [
        lambda: store.row(10),
        lambda: store.row(-11),
        lambda: store[19],
        lambda: store[-20],
        lambda: store.read_rows([-11]),
        lambda: store.windows([6], 14),
    ]
    for read in reads:
        with pytest.raises(IndexError) as raised:
            read()
        assert not isinstance(raised.value, DroppedError)


def test_snapshots_keep_the_rows_that_are_dropped_later(store: StreamStore) -> None:
    snapshot = store.snapshot()
    store.drop_before(8)
    assert (snapshot.first_row, store.first_row) == (3, 8)
    assert [row["done"] for row in snapshot.rows()] == [False, True] + [False] * 5
    assert store.snapshot(8).kept_rows == 0
    assert store.snapshot(8).last_step is None
    assert "0 rows from row 8 on, 0 values" in repr(store.snapshot(8))


def test_arrow_begins_at_the_first_row(store: StreamStore) -> None:
    pa = pytest.importorskip("pyarrow")
    assert pa.table(store).num_rows == 7
    assert store.to_arrow(stop=2).read_all().num_rows == 0
    assert store.to_arrow(-2).read_all().num_rows == 2
    with pytest.raises(DroppedError, match="row 3"):
        store.to_arrow(0)


def test_datasets_hold_the_rows_that_are_left(store: StreamStore) -> None:
    pytest.importorskip("datasets")
    assert len(store.to_dataset()) == 7
    store.drop_before(5)
    assert len(store.to_dataset()) == 5  # another file in the cache


def test_a_sampler_state_names_the_rows_that_are_missing(store: StreamStore) -> None:
    def sampler() -> WindowSampler:
        return WindowSampler(store, length=2, unit="row", replacement=False, batch_size=2)

    batches = iter(first := sampler())
    next(batches)
    state = first.state_dict()
    assert state["first_rows"] == [3]
    resumed = sampler()
    resumed.load_state_dict(state)
    store.drop_before(5)
    with pytest.raises(DroppedError, match=r"rows \[3, 5\) were dropped"):
        sampler().load_state_dict(state)
    rest = [batch["_step"].tolist() for batch in batches]
    assert [batch["_step"].tolist() for batch in resumed] == rest  # it began before the drop
