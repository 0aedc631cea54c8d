"""store[indices]: every kind of index, and objects that are not indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from store_helpers import filled, new_store
from stream_store import StreamStore


@pytest.fixture(scope="module")
def store() -> StreamStore:
    return filled(100)


@pytest.fixture(scope="module")
def everything(store: StreamStore) -> dict[str, Any]:
    return dict(store[:])


INDICES = [
    5,
    -1,
    np.int8(-3),
    np.uint64(7),
    np.array(4),
    [],
    [[]],
    [3, 1, 3, -2],
    [[1, 2], [3, -4]],
    range(5, 50, 7),
    np.arange(20, 30),
    np.arange(24).reshape(2, 3, 4),
    np.arange(40, dtype=np.uint16)[::3],
    np.asfortranarray(np.arange(12).reshape(3, 4)),
    np.arange(9, dtype=">i4"),
    np.zeros((0, 3), int),
    slice(None),
    slice(10, 20),
    slice(-5, None),
    slice(50, 10, -3),
    slice(None, None, -1),
    slice(5, 5),
    slice(2000, 3000),
    slice(0, None, 500),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_index_selects_as_in_numpy(
    store: StreamStore, everything: dict[str, Any], index: Any
) -> None:
    read = store[index]
    assert list(read) == ["step", "types", "values"]
    for name, found in read.items():
        numpy_index = np.asarray(index, int) if isinstance(index, (list, range)) else index
        expected = np.asarray(everything[name][numpy_index])
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.int64
        assert found.flags.owndata
        np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(
    "index", [1100, -1101, [0, 1100], [5, -1101], 2**63, -(2**70), [2**70], np.uint64(2**64 - 1)]
)
def test_positions_outside_the_store_are_index_errors(store: StreamStore, index: Any) -> None:
    with pytest.raises(IndexError):
        store[index]


def test_the_message_names_position_and_length(store: StreamStore) -> None:
    with pytest.raises(IndexError, match=r"position 1204 is outside \[0, 1100\)"):
        store[[3, 1204, 9999]]


@pytest.mark.parametrize(
    "index",
    [
        *(1.0, [1.5], np.array([1.0]), np.array([]), np.float64(1), 1j),
        *(True, [True, False], np.ones(3, bool), np.bool_(True)),
        *(None, ..., (1, 2), b"a", {1}, {"a": 1}, object(), [None], ["a"]),
    ],
    ids=lambda index: type(index).__name__,  # a repr may hold an address, new in each worker
)
def test_objects_other_than_indices_are_refused(store: StreamStore, index: Any) -> None:
    with pytest.raises((IndexError, TypeError)):
        store[index]


def test_the_message_suggests_another_call(store: StreamStore) -> None:
    with pytest.raises(IndexError, match="flatnonzero"):
        store[np.ones(3, bool)]
    with pytest.raises(TypeError, match="one dimension"):
        store[1, 2]
    with pytest.raises(TypeError, match=r"rows\(\).*store\[:\]"):
        iter(store)
    with pytest.raises(TypeError):
        _ = "action" in store


def test_positions_in_mixed_order_are_read_in_that_order() -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": np.arange(20) * 10})
    assert store[[3, 5, 4, 6]]["values"].tolist() == [30, 50, 40, 60]
    assert store[[[6, 4], [5, 3]]]["values"].tolist() == [[60, 40], [50, 30]]
    order = [3, 5, 4, 6, 7, 9, 8, 10, 11, 13, 12, 14]  # as a run of neighbours begins and ends
    assert store[order]["values"].tolist() == [10 * i for i in order]


def test_torch_like_tensors_are_indices(store: StreamStore) -> None:
    class Tensor:
        def __array__(self, *_: Any, **__: Any) -> Any:
            return np.array([[1, 2], [3, 4]])

    assert store[Tensor()]["values"].shape == (2, 2)


def test_empty_store_has_no_positions() -> None:
    for store in (new_store(), StreamStore()):
        assert len(store) == 0
        assert store[[]]["values"].shape == (0,)
        assert store[:]["values"].shape == (0,)
        with pytest.raises(IndexError):
            store[0]
        with pytest.raises(IndexError):
            store[-1]


def test_results_survive_growth_and_close() -> None:
    store = filled(50)
    read = store[:]
    expected = {name: array.copy() for name, array in read.items()}
    for step in range(50, 5000):
        store.append([step], ["observation"], [np.full(50, 7.0)])
    store.close()
    for name, array in read.items():
        np.testing.assert_array_equal(array, expected[name])


def test_large_outputs_do_not_share_memory() -> None:
    store = filled(2000)
    first = store[:]
    kept = {name: array.copy() for name, array in first.items()}
    for _ in range(20):
        for array in store[:].values():
            array[:] = -1  # memory of arrays that died is reused, that of live ones is not
    for name, array in first.items():
        assert array.flags.owndata
        np.testing.assert_array_equal(array, kept[name])
