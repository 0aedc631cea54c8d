"""Rows by number in every call that reads them: negative numbers and slices, as in a list."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from stream_store import DroppedError, StreamStore

FIELDS = {
    "n": "int64",
    "items": "int16[]",
    "arm": {"pos": "float32[2]", "tool": {"grip": "bool"}},
    "text": "string",
}


def row_number(i: int) -> dict[str, Any]:
    return {
        "n": i,
        "items": np.arange(i % 3),
        "arm": {"pos": [i, -i], "tool": {"grip": i % 2 == 0}},
        "text": f"row {i}",
    }


def store_of(rows: int, first: int = 0) -> StreamStore:
    store = StreamStore(fields=FIELDS, chunk_bytes=2**20)
    for i in range(rows):
        store.append_step(row_number(i))
    if first:
        store.drop_before(first)
    return store


def chosen(model: list[int | None], rows: Any) -> Any:
    """The numbers that an index selects in a plain list, nested as the index is."""
    if isinstance(rows, slice):
        return model[rows]
    if np.ndim(rows) > 0:
        return [chosen(model, row) for row in rows]
    return model[rows]


def check(batch: dict[str, Any], expected: Any) -> None:
    numbers = np.asarray(expected, np.int64)
    np.testing.assert_array_equal(batch["n"], numbers, strict=True)
    np.testing.assert_array_equal(batch["_step"], numbers, strict=True)
    np.testing.assert_array_equal(batch["_length"]["items"], numbers % 3)
    np.testing.assert_array_equal(batch["arm"]["pos"][..., 1], -numbers.astype(np.float32))
    np.testing.assert_array_equal(batch["arm"]["tool"]["grip"], numbers % 2 == 0)
    texts = np.asarray(batch["text"], object)
    assert texts.ravel().tolist() == [f"row {i}" for i in numbers.ravel()]


def random_slice(choose: random.Random, rows: int) -> slice:
    def bound() -> int | None:
        return choose.choice([None, choose.randrange(-2 * rows - 2, 2 * rows + 2)])

    return slice(bound(), bound(), choose.choice([None, 1, 1, 2, -1, -3]))


@pytest.mark.parametrize("rows", [1, 2, 25])
def test_slices_select_as_in_a_list(rows: int) -> None:
    choose = random.Random(rows)
    store = store_of(rows)
    model: list[int | None] = list(range(rows))
    positions = store.position_of(model)
    for _ in range(150):
        one = random_slice(choose, rows)
        check(store.read_rows(one), model[one])
        np.testing.assert_array_equal(store.position_of(one), positions[one], strict=True)


def test_negative_numbers_select_as_in_a_list_in_every_form() -> None:
    store = store_of(25)
    model: list[int | None] = list(range(25))
    positions = store.position_of(model)
    rng = np.random.default_rng(0)
    wide = rng.integers(-25, 25, (4, 3))
    forms: list[Any] = [-1, -25, np.int8(-3), [-1, 0, 24, -25], [[1, -1], [-2, 2]], range(-5, 5)]
    forms += [wide, wide.astype(np.int16), wide.astype(">i8"), np.asfortranarray(wide), wide[::2]]
    forms += [np.array(-7), np.full((2, 0), -1)]
    for form in forms:
        given = form.copy() if isinstance(form, np.ndarray) else form
        expected = np.asarray(chosen(model, form), np.int64).reshape(np.shape(form))
        check(store.read_rows(form), expected)
        np.testing.assert_array_equal(store.position_of(form), positions[expected])
        np.testing.assert_array_equal(form, given)  # the caller's array is not changed
    for i in (-25, -7, -1, 0, 24):
        assert store.row(i)["n"] == model[i]


def test_windows_begin_at_negative_rows_and_slices() -> None:
    store = store_of(25)
    model: list[int | None] = list(range(25))
    for rows in (-4, [-25, -4, 3], slice(None, 21, 5), slice(-6, -3)):
        starts = np.asarray(chosen(model, rows))
        check(store.read_rows(rows, 4), starts[..., None] + np.arange(4))
    check(store.read_rows(slice(3, 3), 4), np.zeros((0, 4), np.int64))


def test_outputs_are_filled_from_slices_and_negative_rows() -> None:
    store = store_of(25)
    for rows, expected in ((slice(2, 6), [2, 3, 4, 5]), ([-1, -2, 0, -25], [24, 23, 0, 0])):
        out = {"n": np.zeros(4, np.int64), "arm": {"pos": np.zeros((4, 2), np.float32)}}
        read = store.read_rows(rows, out=out)
        check(read, expected)
        assert read["n"] is out["n"]
        assert read["arm"]["pos"] is out["arm"]["pos"]
        np.testing.assert_array_equal(out["n"], expected)
        only = store.read_rows(rows, fields=["arm.pos"], max_length=None)
        np.testing.assert_array_equal(only["arm.pos"][:, 0], expected)
    rows = np.array([-1, -2])
    store.read_rows(rows, fields=["n"], out={"n": rows})  # the output is the memory of the rows
    assert rows.tolist() == [24, 23]
    with pytest.raises(ValueError, match="shape"):
        store.read_rows(slice(0, 5), out={"n": np.zeros(4, np.int64)})


@pytest.mark.parametrize("wrong", [-26, 25, [0, -26], np.array([3, 25]), -(2**63), 2**70])
def test_rows_outside_are_index_errors_that_name_the_range(wrong: Any) -> None:
    store = store_of(25)
    calls: list[Any] = [store.read_rows, store.position_of]
    calls += [store.row] if isinstance(wrong, int) else []
    for call in calls:
        with pytest.raises(IndexError, match=r"outside \[(-25|0), 25\)|int64"):
            call(wrong)
    with pytest.raises(IndexError, match=r"row 23 is outside \[-25, 23\): windows of 3 in 25 rows"):
        store.read_rows(-2, 3)
    with pytest.raises(IndexError, match="windows of 3"):
        store.read_rows(slice(None), 3)


@pytest.mark.parametrize("wrong", [slice("a", None), slice(1.5), slice(0, 5, 0), None, "a", 1.0])
def test_other_objects_are_refused(wrong: Any) -> None:
    store = store_of(5)
    for call in (store.read_rows, store.position_of):
        with pytest.raises((TypeError, ValueError, IndexError)):
            call(wrong)


@pytest.mark.parametrize("wrong", [True, np.False_, [True, False], np.ones(5, bool)])
def test_booleans_are_not_row_numbers(wrong: Any) -> None:
    store = store_of(5)
    for one in (store, store.snapshot(3)):
        for call in (one.read_rows, one.position_of, one.row):
            with pytest.raises((TypeError, IndexError)):
                call(wrong)


@pytest.mark.parametrize("number", [np.int8, np.uint16, np.int64, np.uint64])
def test_row_numbers_of_numpy_count_from_the_end_of_a_snapshot(number: Any) -> None:
    store = store_of(25)
    snapshot = store.snapshot(20)
    wrong, signed = number(20), np.issubdtype(number, np.signedinteger)
    for row in (number(3), number(19), *([number(-1), number(-20)] if signed else [])):
        expected = int(row) % 20
        check(snapshot.read_rows(row), expected)
        check(snapshot.read_rows(slice(row, expected + 1)), [expected])
        assert snapshot.position_of(row) == store.position_of(expected)
        assert snapshot.row(row)["n"] == expected
    for call in (snapshot.read_rows, snapshot.position_of, snapshot.row):
        with pytest.raises(IndexError, match="row 20 is outside"):
            call(wrong)


def test_negative_rows_do_not_reach_before_the_first_row_that_is_retained() -> None:
    store = store_of(25, first=10)
    model = [i if i >= store.first_row else None for i in range(25)]
    assert store.first_row == 10
    for rows in (-1, -15, [-15, 24, -2], slice(None), slice(None, None, -1), slice(-3, None)):
        kept = slice(10, None) if rows == slice(None) else rows
        kept = slice(None, 9, -1) if rows == slice(None, None, -1) else kept
        check(store.read_rows(rows), chosen(model, kept))
    for rows in (-16, [24, -25], slice(0, None), slice(-16, None), slice(12, 5, -1), 9):
        for call in (store.read_rows, store.position_of):
            with pytest.raises(DroppedError, match="before row 10"):
                call(rows)
    with pytest.raises(DroppedError):
        store.row(-16)
    assert len(store.read_rows(slice(3, 3))["n"]) == 0


def test_a_slice_is_of_the_rows_that_are_stored_at_the_call() -> None:
    store = store_of(0)
    assert store.read_rows(slice(None))["n"].tolist() == []
    assert store.position_of(slice(None)).tolist() == []
    store.append_step(row_number(0))
    assert store.read_rows(slice(None))["n"].tolist() == [0]

    class Appends:
        def __index__(self) -> int:
            store.append_step(row_number(store.num_rows))
            return -1

    assert store.read_rows(slice(Appends(), None))["n"].tolist() == [1]
    undeclared = StreamStore()
    assert undeclared.position_of(slice(None)).tolist() == []
    with pytest.raises(IndexError, match="no fields"):
        undeclared.read_rows(slice(0, 1))


@pytest.mark.parametrize("call", ["snapshot", "truncate", "drop_before"])
def test_numbers_of_rows_and_rows_to_drop_are_not_negative(call: str) -> None:
    store = store_of(5)
    with pytest.raises(IndexError, match="-1"):
        getattr(store, call)(-1)
    assert store.num_rows - store.first_row == 5
