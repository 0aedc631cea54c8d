"""Columns of random types, up to depth 4, come back from every path between Arrow and a store."""

from __future__ import annotations

import itertools
from typing import Any

import datasets
import pyarrow as pa
from datasets import Dataset, Features, IterableDataset
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_helpers import cache, imported
from stream_store import StreamStore
from test_nested_properties import LEVEL_1, NESTED, values_of

__all__ = ["cache"]  # a fixture

TYPES = st.one_of(NESTED, LEVEL_1)


@st.composite
def tables(draw: st.DrawFn, *, of_datasets: bool = False) -> pa.Table:
    """A table of one to three random columns, in slices and chunks."""
    count = draw(st.integers(0, 6))
    columns = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        kind = draw(TYPES.filter(has_feature) if of_datasets else TYPES)
        cells = st.lists(values_of(kind), min_size=count, max_size=count)
        columns[name] = pa.array(draw(cells), kind)
    table = pa.table(columns)
    cuts = [0, *sorted(draw(st.lists(st.integers(0, count), max_size=2))), count]
    table = pa.concat_tables(table.slice(a, b - a) for a, b in itertools.pairwise(cuts))
    first = draw(st.integers(0, count))
    return table.slice(first, draw(st.integers(0, count)))


def plain(value: Any) -> Any:
    """A value of pyarrow in a form in which equal values are equal: floats by their text."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return repr(value) if isinstance(value, float) else value


def assert_same_tables(found: pa.Table, expected: pa.Table) -> None:
    found.validate(full=True)
    assert found.schema.equals(expected.schema), (found.schema, expected.schema)
    assert plain(found.to_pydict()) == plain(expected.to_pydict())


def assert_same_datasets(found: Dataset, expected: Dataset) -> None:
    assert found.features == expected.features
    assert_same_tables(found.data.table, expected.data.table)


@given(tables())
@settings(max_examples=60, deadline=None)
def test_any_arrow_table_comes_back(table: pa.Table) -> None:
    store = StreamStore()
    store.from_arrow(table)
    found = pa.table(store)
    assert_same_tables(found, table)
    again = StreamStore(fields=None)
    again.from_arrow(store)  # a stream of one batch
    assert_same_tables(pa.table(again), table)


def has_feature(kind: Any) -> bool:
    """Whether `datasets` has a feature for an Arrow type."""
    try:
        feature = Features.from_arrow_schema(pa.schema([("x", kind)]))
        return bool(feature.arrow_schema.field("x").type == kind)
    except (ValueError, TypeError):
        return False


@given(tables(of_datasets=True))
@settings(max_examples=60, deadline=None)
def test_any_dataset_comes_back(table: pa.Table) -> None:
    ds = Dataset(table)
    store = imported(ds)
    assert store.features == ds.features
    assert_same_datasets(store.to_dataset(), ds)
    if ds.num_rows:  # `datasets` makes no iterable of an empty one
        assert_same_datasets(imported(ds.to_iterable_dataset()).to_dataset(), ds)


@given(TYPES.filter(has_feature), st.data())
@settings(max_examples=80, deadline=None)
def test_any_python_rows_come_as_through_a_dataset(kind: Any, data: st.DataObject) -> None:
    cells = data.draw(st.lists(values_of(kind), min_size=1, max_size=4))
    expected = Dataset(pa.table({"x": pa.array(cells, kind)}))
    rows = IterableDataset.from_generator(
        lambda: ({"x": cell} for cell in cells), features=expected.features
    )
    store = imported(rows)
    assert store.features == expected.features
    assert_same_datasets(store.to_dataset(), expected)


def test_the_strategy_has_types_that_datasets_has() -> None:
    assert has_feature(pa.list_(pa.struct([("a", pa.string())])))
    assert not has_feature(pa.map_(pa.string(), pa.int64()))
    assert datasets.__version__
