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
