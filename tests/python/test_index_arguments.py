"""Indices of data sets and stores: ints only, in one dimension; anything else is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSampler, WindowSource


@pytest.fixture
def store() -> StreamStore:
    made = StreamStore(fields={"x": "int64"})
    made.extend({"x": np.arange(10)})
    return made


def datasets(store: StreamStore) -> list[Any]:
    """A data set of each class that is indexed by windows."""
    made: list[Any] = [WindowSource(store, 2, unit="row")]
    try:
        from stream_store.torch import DrawnWindowDataset, WindowDataset
    except ImportError:
        return made
    drawn = DrawnWindowDataset(WindowSampler(store, 2, unit="row"))
    return [*made, WindowDataset(store, 2, unit="row"), drawn]


@pytest.mark.parametrize("index", [True, np.True_, 1.0, "1", None, [1], slice(2)])
def test_one_window_is_an_int(store: StreamStore, index: Any) -> None:
    for dataset in datasets(store):
        with pytest.raises(TypeError, match="i must be an int"):
            dataset[index]


@pytest.mark.parametrize(
    "indices",
    [[[0, 1], [2, 3]], np.zeros((1, 2), np.int64), np.zeros((2, 0), np.int64), np.int64(1)],
)
def test_several_windows_have_one_dimension(store: StreamStore, indices: Any) -> None:
    for dataset in datasets(store):
        with pytest.raises(IndexError, match="one dimension"):
            dataset.__getitems__(indices)


@pytest.mark.parametrize("indices", [[True, False], [0.0, 1.0], np.ones(2, bool)])
def test_several_windows_are_ints(store: StreamStore, indices: Any) -> None:
    for dataset in datasets(store):
        with pytest.raises((IndexError, TypeError), match=r"ints|mask"):
            dataset.__getitems__(indices)


def test_several_windows_are_read_in_their_order(store: StreamStore) -> None:
    for dataset in datasets(store):
        for indices in ([3, 0], np.array([3, 0], np.int32), (3, 0)):
            items = dataset.__getitems__(indices)
            assert [np.asarray(item["x"]).tolist() for item in items] == [[3, 4], [0, 1]]
        assert len(dataset.__getitems__([])) == 0


@pytest.mark.parametrize("index", [True, np.True_, "1"])
def test_a_sample_of_a_batch_is_an_int(store: StreamStore, index: Any) -> None:
    for dataset in datasets(store)[1:]:
        with pytest.raises(TypeError, match="i must be an int"):
            dataset.__getitems__([0, 1])[index]


@pytest.mark.parametrize("index", [True, np.True_])
def test_a_bool_is_no_position_and_no_row(store: StreamStore, index: Any) -> None:
    for read in (
        lambda: store[index],
        lambda: store.row(index),
        lambda: store["x"][index],
        lambda: store.row_of(index),
        lambda: store.position_of(index),
    ):
        with pytest.raises((TypeError, IndexError)):
            read()
