"""windows(): shapes, columns, given outputs, and starts outside the store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from store_helpers import filled, new_store
from stream_store import StreamStore

WIDTH = 30


@pytest.fixture(scope="module")
def store() -> StreamStore:
    return filled(100)


def test_windows_equal_indexing(store: StreamStore) -> None:
    starts = np.random.default_rng(1).integers(0, len(store) - WIDTH + 1, (4, 5))
    read = store.windows(starts, WIDTH)
    assert list(read) == ["values", "types", "step"]
    single = store[starts[..., None] + np.arange(WIDTH)]
    for name, found in read.items():
        np.testing.assert_array_equal(found, single[name], strict=True)  # type: ignore[literal-required]


@pytest.mark.parametrize("starts", [3, [3], [], [[1, 2]], (4, 5), np.zeros((2, 0), int), range(3)])
def test_starts_may_have_any_shape(store: StreamStore, starts: Any) -> None:
    read = store.windows(starts, 4)
    assert read["values"].shape == (*np.shape(starts), 4)


def test_further_columns_follow_from_the_index_table(store: StreamStore) -> None:
    starts = [0, 7, 500]
    read = store.windows(starts, WIDTH, columns=("number", "offset", "row", "types", "values"))
    assert list(read) == ["number", "offset", "row", "types", "values"]
    assert read["number"].dtype == np.float32
    positions = np.add.outer(starts, np.arange(WIDTH))
    table = store.index_table()
    entry = np.searchsorted(table["start"], positions, side="right") - 1
    np.testing.assert_array_equal(read["offset"], positions - table["start"][entry])
    np.testing.assert_array_equal(read["row"], store.row_of(positions))
    for type_id, name in store.type_to_field.items():
        here = read["types"] == type_id
        expected = store.decode(read["values"][here], name).astype(np.float32)
        np.testing.assert_array_equal(read["number"][here], expected)


def test_the_number_of_a_packed_value_is_its_word() -> None:
    """A word of `packed float32[4]` holds two numbers, so it has no number of its own."""
    store = StreamStore(fields={"p": "packed float32[4]", "n": "int64"})
    store.append_step({"p": [1.5, -2.0, 0.0, 7.25], "n": 3})
    read = store.windows([0], 3, columns=("values", "number"))
    words = np.array([1.5, -2.0, 0.0, 7.25], np.float32).view(np.int64)
    assert read["values"].tolist() == [[*words.tolist(), 3]]
    assert read["number"].tolist() == [[*words.astype(np.float32).tolist(), 3.0]]


@pytest.mark.parametrize("shape", [(5, 2), (10,), (1, 10), (2, 5, 1), (1, 2, 5), (10, 1)])
def test_outputs_of_the_right_size_and_the_wrong_shape_are_refused(
    store: StreamStore, shape: tuple[int, ...]
) -> None:
    for name, dtype in {"values": np.int64, "number": np.float32}.items():
        out = np.full(shape, 9, dtype)
        with pytest.raises(ValueError, match="shape"):
            store.windows([0, 1], 5, columns=(name,), out={name: out})  # type: ignore[misc]
        assert (out == 9).all()


def test_the_last_window_of_a_store_can_be_read(store: StreamStore) -> None:
    last = len(store) - WIDTH
    np.testing.assert_array_equal(
        store.windows(last, WIDTH)["values"], store[-WIDTH:]["values"], strict=True
    )
    assert store.windows([0], len(store))["values"].shape == (1, len(store))


@pytest.mark.parametrize("start", [-1, 1071, 2**40, -(2**63)])
def test_a_start_out_of_range_is_named(store: StreamStore, start: int) -> None:
    with pytest.raises(IndexError, match=rf"window.*{start}.*1100"):
        store.windows([0, start], WIDTH)


def test_a_store_shorter_than_a_window_has_none() -> None:
    for store in (new_store(), StreamStore(), filled(1)):
        with pytest.raises(IndexError):
            store.windows([0], 12)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"width": 0}, ValueError),
        ({"width": -3}, ValueError),
        ({"width": 2.5}, TypeError),
        ({"columns": ("nope",)}, ValueError),
        ({"columns": "values"}, TypeError),
        ({"columns": (3,)}, TypeError),
        ({"out": {"row": np.zeros((2, 5), int)}}, ValueError),
        ({"out": {"nope": np.zeros((2, 5), int)}}, ValueError),
        ({"out": {"values": np.zeros((2, 4), int)}}, ValueError),
        ({"out": {"values": np.zeros((2, 5))}}, ValueError),
        ({"out": {"values": np.zeros((2, 10), int)[:, ::2]}}, ValueError),
        ({"out": {"values": [[0] * 5] * 2}}, TypeError),
        ({"out": 3}, TypeError),
        ({"starts": [0.5]}, IndexError),
        ({"starts": None}, TypeError),
        ({"wrong": 1}, TypeError),
    ],
)
def test_wrong_arguments_of_windows_are_refused(
    store: StreamStore, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.windows(**{"starts": [0, 1], "width": 5} | arguments)


@pytest.mark.parametrize("wrong", [None, 3, "values", b"values"])
def test_columns_must_be_a_list_of_names(store: StreamStore, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"columns must be a list of names, not {wrong!r}"):
        store.windows([0], 5, columns=wrong)


def test_a_read_only_output_is_refused(store: StreamStore) -> None:
    array = np.zeros((1, 5), int)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        store.windows([0], 5, out={"values": array})


def test_given_outputs_are_filled_and_returned(store: StreamStore) -> None:
    values = np.full((2, 5), -1)
    number = np.zeros((2, 5), np.float32)
    read = store.windows(
        [0, 9], 5, columns=("values", "number", "row"), out={"values": values, "number": number}
    )
    assert read["values"] is values
    assert read["number"] is number
    np.testing.assert_array_equal(values, store.windows([0, 9], 5)["values"])


def test_large_batches_are_right_and_their_memory_is_recycled() -> None:
    store = filled(3000)
    starts = np.random.default_rng(2).integers(0, len(store) - 128, 256)
    expected = store[starts[:, None] + np.arange(128)]["values"]
    for _ in range(5):
        np.testing.assert_array_equal(store.windows(starts, 128)["values"], expected)


def test_many_threads_read_windows_while_one_appends() -> None:
    import threading

    store = filled(2000)
    size = len(store)
    starts = np.arange(0, size - 128, 77)
    expected = store.windows(starts, 128)["values"]
    wrong: list[int] = []

    def read() -> None:
        for _ in range(30):
            if not np.array_equal(store.windows(starts, 128)["values"], expected):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(10_000, 12_000):
        store.append([step], ["observation"], [np.zeros(20)])
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.num_rows == 4000
