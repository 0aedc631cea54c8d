"""from_dataset of an IterableDataset: every value is stored exactly, or refused with a remedy."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Array2D, Array3D, ClassLabel, Dataset, Features, IterableDataset, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_helpers import assert_same_dataset, cache, imported, refusal
from stream_store import StreamStore

__all__ = ["cache"]  # a fixture

LATE = 1999  # a row of the second batch of 1,000 rows


def iterable(row: Callable[[int], dict[str, Any]], rows: int = LATE + 1, **arguments: Any) -> Any:
    """An IterableDataset of the rows of a function."""

    def generate() -> Iterator[dict[str, Any]]:
        yield from map(row, range(rows))

    return IterableDataset.from_generator(generate, **arguments)


def late(first: Any, last: Any) -> Any:
    """A dataset whose column x has one value up to the last row, which has another."""
    return iterable(lambda number: {"x": last if number == LATE else first})


# --- a later value that does not fit ---

SURPRISES: list[tuple[Any, Any, str, str, str]] = [
    # value of the first rows, of the last row, place, text, declaration
    (0, 0.5, "", "0.5", '"float64"'),
    (0, math.nan, "", "nan", '"float64"'),
    (0, 2**63, "", str(2**63), '"decimal128(38, 0)"'),
    (0, "text", "", "'text'", "datasets.Json()"),
    (0, True, "", "True", '"int64"'),
    (True, 2, "", "2", '"int64"'),
    (0.5, 2**53 + 1, "", str(2**53 + 1), '"float64"'),
    ("text", 5, "", "5", "datasets.Json()"),
    (None, "text", "", "'text'", '"string"'),
    ([], ["a"], ", at [0]", "'a'", '"nested list<'),
    ([1, 2], [1, 0.5], ", at [1]", "0.5", '"float64[]"'),
    ([1, 2], [1, None], ", at [1]", "None", '"nested list<'),
    ([1, 2], 3, "", "3", ""),
    ({"a": 1}, {"a": 0.5}, ", at .a", "0.5", '{"a": "float64"}'),
    ({"a": 1}, {"a": 1, "b": 2}, "", "'b'", '{"a": "int64", "b": "int64"}'),
    ({"a": [1]}, {"a": [1, 0.5]}, ", at .a[1]", "0.5", '{"a": "float64[]"}'),
    ([{"a": 1}], [{"a": 1}, {"a": 0.5}], ", at [1].a", "0.5", '"nested list<'),
    ([{"a": 1}], [{"a": 1, "b": 2}], ", at [0]", "'b'", '"nested list<'),
    ([["a"]], [["a", 5]], ", at [0][1]", "5", ""),
    (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 12), "", "datetime", '"timestamp['),
    (dt.datetime(2024, 1, 1), 5, "", "5", ""),
    (Decimal("1.5"), Decimal("1.25"), "", "1.25", '"decimal128('),
    (np.float32(0.5), 0.1, "", "0.1", '"float64"'),
    (b"raw", "text", "", "'text'", ""),
]


@pytest.mark.parametrize(("first", "last", "place", "found", "declared"), SURPRISES)
def test_a_later_value_that_does_not_fit_is_refused_with_a_declaration(
    first: Any, last: Any, place: str, found: str, declared: str
) -> None:
    text = refusal(late(first, last))
    assert f"column 'x', row {LATE}{place}: expected" in text
    assert found in text
    assert "as in the first 1,000 rows" in text
    if declared:
        assert f'declare fields={{"x": {declared}' in text


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        (0, 0.5, "float64"),
        (0, "text", datasets.Json()),
        (True, 2, "int64"),
        (None, "text", "string"),
        ([1, 2], [1, 0.5], "float64[]"),
        ([1, 2], [1, None], "nested list<int64>"),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": "int64", "b": "int64"}),
        ([{"a": 1}], [{"a": 0.5}], "nested list<item: struct<a: double>>"),
    ],
)
def test_the_suggested_declaration_takes_the_value(first: Any, last: Any, field: Any) -> None:
    store = StreamStore(fields={"x": field})
    assert store.from_dataset(late(first, last)) == LATE + 1
    for row, value in ((0, first), (LATE, last)):
        found = store.row(row)["x"]
        if isinstance(field, datasets.Json):
            assert found == datasets.Json().encode_example(value)
        else:
            assert plain(found, value) == value


def plain(found: Any, like: Any) -> Any:
    """A value of row() as the Python object that was given."""
    if isinstance(found, np.ndarray):
        return found.tolist()
    if isinstance(like, dict):
        return {name: plain(found[name], item) for name, item in like.items()}
    return found


DECLARED: list[tuple[Any, Any]] = [
    ("int64", 0.5),
    ("int64", "1"),
    ("int64", 2**63),
    ("uint8", -1),
    ("uint8", 256),
    ("bool", 2),
    ("float32", 1e300),
    ("float16", 70000),
    ("float32[]", [0.5, 1e300]),
    ("int64[]", [1, None]),
    ("int64[]", [1, 0.5]),
    ("int64[2]", [1, 2, 3]),
    ("float32[2,2]", [[1, 2], [3, 4], [5, 6]]),
    ("string", 5),
    ("string", "\ud800"),
    ("string", b"\xff"),
    ("binary", "text"),
    ("date32", dt.datetime(2024, 1, 1, 12)),
    ("timestamp[s]", dt.datetime(2024, 1, 1, 0, 0, 0, 5)),
    ("decimal128(5, 2)", Decimal("1.255")),
    ("decimal128(5, 2)", 0.5),
    (ClassLabel(names=["no", "yes"]), 2),
    (ClassLabel(names=["no", "yes"]), "maybe"),
    ({"a": "int64"}, {"a": 0.5}),
    ({"a": "int64"}, {"b": 1}),
    ("nested list<int64>", [1, None, 0.5]),
    ("nested list<struct<a: int64>>", [{"a": 1, "b": 2}]),
    ("nested list<float>", [1e300]),
]


@pytest.mark.parametrize(("field", "value"), DECLARED)
def test_a_value_that_append_refuses_is_refused_with_declared_fields(
    field: Any, value: Any
) -> None:
    with pytest.raises((ValueError, TypeError)):
        StreamStore(fields={"x": field}).append_step({"x": value})
    text = refusal(iterable(lambda number: {"x": value if number == 3 else None}, 5), {"x": field})
    assert "column 'x', row 3" in text
    assert "expected" in text


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (Value("int64"), 0.5),
        (Value("int64"), "1"),
        (Value("bool"), 2),
        (Value("float32"), 1e300),
        (List(Value("int8")), [1, 0.5]),
        (Array2D((2, 2), "int8"), np.full((2, 2), 0.5)),
        (Array2D((2, 2), "int8"), np.zeros((2, 3))),
        ({"a": Value("int64")}, {"a": 0.5}),
        (List({"a": Value("int64")}), [{"a": 0.5}]),
        (ClassLabel(names=["no"]), 5),
    ],
)
def test_the_features_of_the_dataset_cut_nothing(feature: Any, value: Any) -> None:
    def rows(number: int) -> dict[str, Any]:
        return {"x": value if number == LATE else None}

    text = refusal(iterable(rows, features=Features({"x": feature})))
    assert f"column 'x', row {LATE}" in text


def test_an_integer_that_is_a_float_is_an_integer() -> None:
    store = imported(late(0, 5.0))
    assert store.row(LATE) == {"x": 5}
    assert imported(late(0.5, 5)).row(LATE) == {"x": 5.0}


# --- columns ---


def test_a_later_column_is_refused() -> None:
    ds = iterable(lambda number: {"x": 1, "y": 2} if number == LATE else {"x": 1})
    text = refusal(ds)
    assert f"row {LATE} has a column 'y'" in text
    assert "columns=[" in text
    assert "fields={" in text
    assert imported(ds, columns=["x"]).num_rows == LATE + 1
    declared = StreamStore(fields={"x": "int64", "y": "int64"})
    declared.from_dataset(ds)
    assert declared.row(LATE) == {"x": 1, "y": 2}
    assert declared.row(0) == {"x": 1, "y": None}
    other = StreamStore(fields={"x": "int64"})
    assert other.from_dataset(ds) == LATE + 1, "columns without a field are ignored"


def test_a_column_that_ends_is_missing() -> None:
    ds = iterable(lambda number: {"x": 1} if number == LATE else {"x": 1, "y": 2})
    assert imported(ds).row(LATE) == {"x": 1, "y": None}


def test_columns_that_are_left_out_are_not_converted() -> None:
    ds = iterable(lambda number: {"x": number, "object": object(), "image": np.zeros((2, 2, 2))})
    assert imported(ds, columns=["x"]).row(LATE) == {"x": LATE}
    with pytest.raises(ValueError, match=r"column 'object', row 0: expected .*columns="):
        imported(ds)
    declared = StreamStore(fields={"x": "int64"})
    assert declared.from_dataset(ds) == LATE + 1


def test_steps_come_from_a_column_of_python_rows() -> None:
    ds = iterable(lambda number: {"x": number, "when": 10 * number})
    store = imported(ds, step_column="when")
    assert (store.fields, store.last_step) == (("x",), 10 * LATE)


# --- arrays and tensors ---


@pytest.mark.parametrize("kind", ["numpy", "torch", "lists"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_arrays_come_as_through_a_dataset(kind: str, shape: tuple[int, ...]) -> None:
    def rows(number: int) -> dict[str, Any]:
        array = np.arange(math.prod(shape), dtype=np.int64).reshape(shape) + number
        if kind == "torch":
            return {"x": pytest.importorskip("torch").from_numpy(array)}
        return {"x": array.tolist() if kind == "lists" else array}

    ds = iterable(rows, 1200)
    expected = Dataset.from_generator(lambda: map(rows, range(1200)))
    store = imported(ds)
    assert store.features == expected.features
    assert_same_dataset(store.to_dataset(), expected)


@pytest.mark.parametrize(
    "declared", ["features", "float32[2,3,4]", "packed float32[2,3,4]", "float32[None,3,4]"]
)
def test_arrays_fit_declared_shapes(declared: str) -> None:
    arrays = np.random.default_rng(0).random((1100, 2, 3, 4), np.float32)
    features = Features({"x": Array3D((2, 3, 4), "float32")}) if declared == "features" else None
    ds = iterable(lambda number: {"x": arrays[number]}, len(arrays), features=features)
    store = StreamStore(fields=None if features else {"x": declared})
    store.from_dataset(ds)
    found = np.stack([row["x"] for row in store.rows()])
    np.testing.assert_array_equal(found, arrays)


def test_tensors_with_gradients_and_bfloat16_are_exact() -> None:
    torch = pytest.importorskip("torch")
    ds = iterable(
        lambda number: {
            "grad": torch.full((2,), number / 2, requires_grad=True),
            "half": torch.full((2,), number / 2, dtype=torch.bfloat16),
        },
        100,
    )
    store = StreamStore(fields={"grad": "float32[2]", "half": "float32[2]"})
    store.from_dataset(ds)
    assert store.row(99)["grad"].tolist() == store.row(99)["half"].tolist() == [49.5, 49.5]


# --- media ---


def test_images_are_stored_without_loss() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    ds = iterable(lambda _: {"x": image.fromarray(pixels)}, 3)
    store = imported(ds)
    assert store.features == Features({"x": datasets.Image()})
    np.testing.assert_array_equal(np.asarray(store.to_dataset()[2]["x"]), pixels)


def test_a_filtered_stream_of_jpegs_keeps_its_pixels(tmp_path: Path) -> None:
    """`filter` decodes the images, and compressing them again would change them."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    image.fromarray(pixels).save(tmp_path / "a.jpg", quality=30)
    raw = (tmp_path / "a.jpg").read_bytes()
    ds = Dataset.from_dict(
        {"x": [{"bytes": raw, "path": None}] * 3, "n": [0, 1, 2]},
        features=Features({"x": datasets.Image(), "n": Value("int64")}),
    )
    store = imported(ds.to_iterable_dataset().filter(lambda row: row["n"] > 0))
    shown = store.to_dataset()[1]["x"].convert("RGB")
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(ds[0]["x"].convert("RGB")))
    stored = imported(ds.to_iterable_dataset()).row(0)["x"]
    assert stored == {"bytes": raw, "path": None}, "without a filter, the bytes stay as they are"


# --- every value, by chance ---


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from([0.5, 2.0**53 + 2, 1e300]),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-999, max_value=999),
    st.sampled_from(
        [np.int8(5), np.uint64(2**63), np.float32(0.1), np.float64(0.1), np.bool_(True)]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=2),
    ),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    [None, "int64", "uint8", "float64", "bool", "string", "binary", "date32", "timestamp[us]",
     "int64[]", "float64[]", {"a": "int64", "b": "float64[]"}, "nested list<int64>",
     "nested list<struct<a: int64, b: string>>", "decimal128(10, 2)"]
)  # fmt: skip


def same(found: Any, given: Any) -> bool:
    """Whether a stored value is the one that was given, as Python compares them."""
    if given is None or found is None:
        return found is None and given is None
    if isinstance(given, dict):
        return all(same(found[name], given.get(name)) for name in found) and given.keys() <= (
            found.keys()
        )
    if isinstance(given, list):
        return len(found) == len(given) and all(map(same, found, given))
    if isinstance(found, str) and isinstance(given, bytes):
        return found.encode() == given  # append takes UTF-8 for text
    if isinstance(found, np.datetime64) and isinstance(given, (bool, int, float, np.generic)):
        found = found.view(np.int64)  # numbers are counts
    if isinstance(found, (np.datetime64, dt.date)) and isinstance(given, dt.date):
        return bool(np.datetime64(found) == np.datetime64(given))
    if isinstance(given, (float, np.floating)) and math.isnan(given):
        return math.isnan(found)
    if isinstance(found, np.generic):
        found = found.item()
    if isinstance(given, np.generic):
        given = given.item()
    return bool(found == given)


@given(st.lists(VALUES, min_size=1, max_size=6), FIELDS)
@settings(max_examples=150, deadline=None)
def test_every_value_is_stored_exactly_or_refused(values: list[Any], field: Any) -> None:
    """The first value decides the type of an undeclared column, as the first batch does."""
    rows = [values[0]] * 1000 + values[1:]
    ds = iterable(lambda number: {"x": rows[number]}, len(rows))
    store = StreamStore(fields=None if field is None else {"x": field})
    try:
        store.from_dataset(ds)
    except ValueError as error:
        if "column 'x'" not in str(error) or store.num_rows:
            raise
        return
    assert store.num_rows == len(rows)
    for number in (0, *range(1000, len(rows))):
        found, value = store.row(number)["x"], rows[number]
        if "float" in str(field) and isinstance(value, int) and not same(found, value):
            value = float(value)  # a declared float field rounds
        assert same(found, value), (found, value, store.features)


def test_json_keeps_every_digit_of_a_float() -> None:
    number = 0.12345678901234567

    def rows() -> Iterator[dict[str, Any]]:
        yield {"x": {"score": number, "name": "Zoë"}}

    features = datasets.Features({"x": datasets.Json()})
    store = StreamStore()
    store.from_dataset(datasets.IterableDataset.from_generator(rows, features=features))
    assert json.loads(store.row(0)["x"]) == {"score": number, "name": "Zoë"}
