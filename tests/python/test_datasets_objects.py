"""from_dataset of rows with objects that are no plain lists, dicts and numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Features, IterableDataset, Json, Value

from dataset_helpers import cache, imported
from stream_store import StreamStore

__all__ = ["cache"]  # a fixture

LATE = 1100  # a row of the second batch of 1,000 rows


class Rows:
    """A generator of rows that `datasets` need not pickle, so that they may hold any object."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def __call__(self) -> Iterator[Any]:
        yield from self._rows

    def __reduce__(self) -> Any:
        return Rows, ([],)


def stream(rows: list[Any], **arguments: Any) -> IterableDataset:
    """An iterable dataset of rows."""
    return IterableDataset.from_generator(Rows(rows), **arguments)


def refusal(rows: list[Any], fields: Any = None, **arguments: Any) -> str:
    """The error of an import, after which the store is empty."""
    store = StreamStore(fields=fields)
    with pytest.raises(ValueError, match="from_dataset: ") as refused:
        store.from_dataset(stream(rows, **arguments))
    assert store.num_rows == 0
    assert "field ''" not in str(refused.value)
    return str(refused.value)


def endless_list() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def endless_dict() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["k"] = cycle
    return cycle


def doubled_list() -> list[Any]:
    """A list that contains itself twice, so every level has twice the items."""
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    return cycle


def deep_list() -> Any:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    return deep


def sparse_tensor() -> Any:
    return pytest.importorskip("torch").eye(2).to_sparse()


class LazyMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError("boom")

    def __iter__(self) -> Iterator[str]:
        return iter(["k"])

    def __len__(self) -> int:
        return 1


class LazySequence(Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        raise OSError("boom")

    def __len__(self) -> int:
        return 1


class LazyArray:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("boom")


@pytest.mark.parametrize(
    "make",
    [endless_list, endless_dict, doubled_list, deep_list, sparse_tensor, LazyMapping, LazySequence,
     LazyArray],
)  # fmt: skip
@pytest.mark.parametrize(
    "fields", [None, "int64[]", {"k": "int64"}, "nested list<list<int64>>", Json()]
)
@pytest.mark.parametrize("row", [0, LATE])
def test_a_value_that_cannot_be_read_is_refused_with_column_and_row(
    make: Any, fields: Any, row: int
) -> None:
    before = {"k": 1} if isinstance(fields, dict) else [1]
    before = [[1]] if fields == "nested list<list<int64>>" else before
    rows = [{"x": before}] * row + [{"x": make()}]
    text = refusal(rows, None if fields is None else {"x": fields})
    assert f"column 'x', row {row}" in text
    assert "expected" in text
    assert "columns=[" in text or "declare" in text


@pytest.mark.parametrize("fields", [None, {"x": "float64[]"}, {"x": "nested list<float64>"}])
@pytest.mark.parametrize("row", [0, LATE])
def test_an_array_with_a_mask_is_refused_with_column_and_row(fields: Any, row: int) -> None:
    masked = np.ma.array([1.5, 2], mask=[0, 1])
    text = refusal([{"x": [0.5]}] * row + [{"x": masked}], fields)
    assert f"column 'x', row {row}" in text
    assert "without a mask" in text


def test_a_row_that_cannot_be_read_is_refused_with_its_column() -> None:
    text = refusal([{"k": 1}, LazyMapping()])
    assert "column 'k', row 1" in text
    assert "KeyError: 'boom'" in text


D, S = np.timedelta64(5, "D"), np.timedelta64(432000, "s")
TAKEN: list[tuple[Any, Any, Any]] = [
    # the value, the feature of the column, the value of row()
    (np.array([1, 2], ">i4"), "int32[]", [1, 2]),
    (np.array([0.5, 2], ">f4"), "float32[]", [0.5, 2]),
    ([np.array([1, 2], ">i4")], "nested list<list<int32>>", [[1, 2]]),
    (np.array(3), "int64", 3),
    (np.array("text"), "string", "text"),
    (np.array(0.5, ">f8"), "float64", 0.5),
    (2**63, "uint64", 2**63),
    ([2**64 - 1, 0], "uint64[]", [2**64 - 1, 0]),
    (D, "duration[s]", S),
    (np.array([5], "m8[h]"), "duration[s][]", [np.timedelta64(18000, "s")]),
    (np.datetime64("2020-01-01"), "date32", np.datetime64("2020-01-01")),
    (np.datetime64("2020-01-01T05"), "timestamp[s]", np.datetime64("2020-01-01T05:00:00")),
    (range(3), "int64[]", [0, 1, 2]),
    ({"a": range(2)}, {"a": "int64[]"}, {"a": [0, 1]}),
    (pa.array([1, 2]), "int64[]", [1, 2]),
    (pa.array(["x", None]), "nested list<string>", ["x", None]),
    (pa.array([1, None]), "nested list<int64>", [1, None]),
    (pa.chunked_array([["x"], ["y"]]), "nested list<string>", ["x", "y"]),
    (pa.scalar("x"), "string", "x"),
]


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return all(same(found[name], item) for name, item in expected.items())
    if isinstance(found, np.ndarray):
        return list(found) == expected
    return bool(found == expected)


@pytest.mark.parametrize(("value", "field", "expected"), TAKEN)
def test_objects_are_stored_as_their_own_types(value: Any, field: Any, expected: Any) -> None:
    guessed = imported(stream([{"x": value}, {"x": None}]))
    declared = StreamStore(fields={"x": field})
    declared.from_dataset(stream([{"x": value}, {"x": None}]))
    assert guessed.features == declared.features
    for store in (guessed, declared):
        assert same(store.row(0)["x"], expected)
        assert store.row(1)["x"] is None


def test_later_objects_fit_a_column_of_plain_values() -> None:
    rows = [{"x": ["a"]}] * LATE + [{"x": pa.array(["b", None])}]
    assert imported(stream(rows)).row(LATE)["x"] == ["b", None]


def missing_time() -> Any:
    return pytest.importorskip("pandas").NaT


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (np.datetime64("NaT"), "expected no NaT"),
        (np.timedelta64("NaT", "s"), "expected no NaT"),
        (missing_time, "expected no NaT"),
        ("\ud800", "surrogates not allowed"),
        (1j, "type complex"),
        (Decimal("NaN"), "expected a finite Decimal, found NaN"),
        (2**64, '"decimal128(38, 0)"'),
    ],
)
def test_a_value_without_a_type_is_refused_with_row_and_cause(value: Any, cause: str) -> None:
    value = value() if callable(value) else value
    text = refusal([{"x": None}, {"x": value}])
    assert "column 'x', row 1: expected" in text
    assert cause in text
    assert "no common type" not in text
    assert "columns=[" in text


def test_a_later_missing_time_is_refused_as_append_does() -> None:
    rows: list[Any] = [{"x": dt.datetime(2020, 1, 1)}] * LATE + [{"x": missing_time()}]
    assert f"column 'x', row {LATE}: expected no NaT" in refusal(rows)


@pytest.mark.parametrize("mode", ["HSV", "La"])
def test_an_image_that_no_format_holds_is_refused_with_its_mode(mode: str) -> None:
    image = pytest.importorskip("PIL.Image").new(mode, (2, 2))
    text = refusal([{"x": image}])
    assert "column 'x', row 0" in text
    assert f"cannot write mode {mode}" in text


def test_values_of_several_types_have_no_common_type() -> None:
    text = refusal([{"x": 1}, {"x": "text"}])
    assert "the values of the first 2 rows have no common type" in text
    assert "datasets.Json()" in text
    text = refusal([{"x": 2**63}, {"x": -1}])
    assert 'fields={"x": "decimal128(38, 0)"}' in text


# --- features and casts ---


def test_integers_become_text_where_the_features_say_so() -> None:
    text = Features({"x": Value("string")})
    for ds in (
        stream([{"x": 5}, {"x": np.int8(-1)}, {"x": None}], features=text),
        stream([{"x": 5}, {"x": -1}, {"x": None}], features=Features({"x": Value("int64")})).cast(
            text
        ),
    ):
        assert [row["x"] for row in imported(ds).rows()] == ["5", "-1", None]
    assert imported(
        stream([{"x": 5}], features=Features({"x": Value("float32")}))
    ).row(0) == {"x": 5.0}  # fmt: skip


def test_a_cast_that_is_not_applied_is_refused_with_a_remedy() -> None:
    for kind, value in (("string", [1]), ("int64", object())):
        text = refusal([{"x": value}], features=Features({"x": Value(kind)}))
        assert "column 'x', row 0: expected" in text
        assert "ds.map" in text
    assert "row 0" in refusal([{"x": 0.5}], features=Features({"x": Value("int64")}))
    surplus = refusal([{"x": {"a": 1, "b": 2}}], features=Features({"x": {"a": Value("int64")}}))
    assert "'b'" in surplus


# --- Arrow data that is no table ---


@pytest.mark.parametrize("fields", [None, {"x": "int64"}])
@pytest.mark.parametrize("library", ["Array", "ChunkedArray", "polars"])
def test_one_column_without_a_name_is_refused_with_a_remedy(library: str, fields: Any) -> None:
    values: Any = pa.array([1])
    if library == "ChunkedArray":
        values = pa.chunked_array([values])
    elif library == "polars":
        values = pytest.importorskip("polars").Series([1])
    with pytest.raises(ValueError, match="columns") as refused:
        StreamStore(fields=fields).from_arrow(values)
    assert not isinstance(refused.value, pa.ArrowException)
    if fields is None:
        assert "pyarrow.table(" in str(refused.value)


def test_a_column_of_a_frame_that_arrow_cannot_hold_is_named() -> None:
    polars = pytest.importorskip("polars")
    big = polars.Series([1], dtype=polars.Int128)
    frame = polars.DataFrame({"a": [1], "big": big})
    for fields in (None, {"big": "int64"}):
        with pytest.raises(ValueError, match=r"column 'big'.*cast the column first"):
            StreamStore(fields=fields).from_arrow(frame)
    store = StreamStore()
    assert store.from_arrow(frame.select("a")) == 1
