"""Every feature of `datasets` and every Arrow type through every path into a store and out of it.

Each test takes the rows of feature_table.py and compares with the samples there, with pyarrow, or
with `datasets`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import Features, IterableDataset

from arrow_model import assert_same
from dataset_helpers import assert_same_dataset, cache, imported
from feature_table import BY_NAME, FEATURE_ROWS, ROWS, Row, canonical
from stream_store import StreamStore

__all__ = ["cache"]  # a fixture

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "feature_page.py"
PAGE = ROOT / "docs" / "guide" / "datasets.md"

every = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_feature = pytest.mark.parametrize("row", FEATURE_ROWS, ids=lambda row: row.name)


def from_table(row: Row) -> StreamStore:
    store = StreamStore()
    assert store.from_arrow(row.table()) == len(row.values)
    return store


def assert_values(store: StreamStore, row: Row, name: str = "x") -> None:
    """Assert that a store has the samples, by row() and by Arrow."""
    expected = [canonical(value, row.arrow) for value in row.values]
    found = [canonical(one[name], row.arrow) for one in store.rows()]
    assert found == expected
    assert_same(pa.table(store)[name], row.array(returned=True), name)


# --- declare, append, extend ---


def declarations() -> list[Any]:
    return [
        pytest.param(row, given, id=f"{row.name}-{number}")
        for row in ROWS
        for number, given in enumerate(row.declarations())
    ]


@pytest.mark.parametrize(("row", "given"), declarations())
def test_a_declared_field_takes_the_values(row: Row, given: Any) -> None:
    appended, extended = (StreamStore(fields={"x": given, "n": "int64"}) for _ in range(2))
    for number, value in enumerate(row.values):
        appended.append_step({"n": number} if value is None else {"x": value, "n": number})
    extended.extend({"x": list(row.values), "n": range(len(row.values))})
    for store in (appended, extended):
        assert store.num_rows == len(row.values)
        expected = [canonical(value, row.arrow) for value in row.values]
        assert [canonical(one["x"], row.arrow) for one in store.rows()] == expected
    assert (appended[:]["values"] == extended[:]["values"]).all()


@pytest.mark.parametrize(("row", "given"), declarations())
def test_a_declared_field_is_the_same_after_it_is_opened_again(
    row: Row, given: Any, tmp_path: Path
) -> None:
    with StreamStore(tmp_path / "s", fields={"x": given}) as store:
        features = store.features
        store.append_step({} if row.values[0] is None else {"x": row.values[0]})
    with StreamStore(tmp_path / "s", "r") as store:
        assert store.features == features
        assert canonical(store.row(0)["x"], row.arrow) == canonical(row.values[0], row.arrow)
        assert store.verify().ok
    StreamStore(tmp_path / "s", fields={"x": given}).close()


# --- Arrow ---


@every
def test_an_arrow_column_comes_back(row: Row) -> None:
    store = from_table(row)
    assert_values(store, row)
    assert pa.table(store).schema.field("x").type == row.out
    declared = StreamStore(fields={"x": row.declared()}) if row.declared() is not None else store
    declared.from_arrow(row.table())
    assert_values(declared, row)


@every
@pytest.mark.parametrize("how", ["slices", "chunks", "offset"])
def test_an_arrow_column_comes_back_from_slices_and_chunks(row: Row, how: str) -> None:
    whole = pa.concat_tables([row.table()] * 3)
    if how == "slices":
        whole = whole.slice(1, 2 * len(row.values))
    elif how == "offset":
        whole = whole.slice(len(row.values) + 1)
    store = StreamStore()
    store.from_arrow(whole)
    values = (row.values * 3)[:]
    if how == "slices":
        values = values[1 : 1 + 2 * len(row.values)]
    elif how == "offset":
        values = values[len(row.values) + 1 :]
    expected = [canonical(value, row.arrow) for value in values]
    assert [canonical(one["x"], row.arrow) for one in store.rows()] == expected


@every
def test_an_arrow_column_comes_back_from_a_stream(row: Row) -> None:
    store = StreamStore()
    store.from_arrow(row.table().to_reader())
    assert_values(store, row)


@every
def test_a_field_of_another_store_is_equal(row: Row) -> None:
    store = from_table(row)
    again = StreamStore()
    again.from_arrow(store)
    assert pa.table(again).equals(pa.table(store)) or "nan" in repr(row.values).lower()
    assert pa.table(again).schema.equals(pa.table(store).schema, check_metadata=True)


# --- reading rows ---


@every
def test_read_rows_gives_the_values_that_row_gives(row: Row) -> None:
    store = from_table(row)
    order = [len(row.values) - 1, 0, 0]
    batch = store.read_rows(order)
    shown = batch["x"]
    for place, number in enumerate(order):
        value = row.values[number]
        if value is None or not isinstance(shown, (list, np.ndarray)):
            continue
        found = shown[place]
        length = batch["_length"].get("x") if isinstance(batch.get("_length"), dict) else None
        if length is not None and isinstance(found, np.ndarray):
            found = found[: length[place]]
        assert canonical(found, row.arrow) == canonical(value, row.arrow)


# --- datasets ---


@every_feature
def test_a_dataset_comes_back(row: Row) -> None:
    ds = row.dataset()
    store = imported(ds)
    assert store.features == ds.features
    assert_values(store, row)
    assert_same_dataset(store.to_dataset(), ds)
    picked = imported(ds.select([len(ds) - 1, 0]))
    assert_same_dataset(picked.to_dataset(), ds.select([len(ds) - 1, 0]))


@every_feature
def test_an_iterable_dataset_of_python_rows_is_stored(row: Row) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"x": value} for value in row.values)

    ds = IterableDataset.from_generator(rows, features=Features({"x": row.feature}))
    store = imported(ds)
    assert store.features == ds.features
    assert_values(store, row)
    if row.declared() is not None:
        declared = StreamStore(fields={"x": row.declared()})
        declared.from_dataset(ds)
        assert_values(declared, row)


@every_feature
def test_an_iterable_dataset_over_arrow_is_stored(row: Row) -> None:
    ds = row.dataset()
    store = imported(ds.to_iterable_dataset())
    assert store.features == ds.features
    assert_values(store, row)


@every_feature
def test_parquet_gives_what_datasets_alone_gives(row: Row, tmp_path: Path) -> None:
    ds = row.dataset()
    if row.parquet == "not possible":
        with pytest.raises((pa.ArrowException, datasets.exceptions.DatasetGenerationError)):
            through_parquet(ds, tmp_path / "plain.parquet")
        return
    expected = through_parquet(ds, tmp_path / "plain.parquet")
    found = through_parquet(imported(ds).to_dataset(), tmp_path / "store.parquet")
    assert_same_dataset(found, expected)
    assert (found.features == ds.features) == (row.parquet == "")


def through_parquet(ds: datasets.Dataset, path: Path) -> datasets.Dataset:
    ds.to_parquet(path)
    return datasets.Dataset.from_parquet(str(path), cache_dir=str(path.parent))


@every_feature
def test_a_struct_has_any_feature(row: Row) -> None:
    kind = pa.struct([("x", row.arrow), ("y", pa.int64())])
    inner = pa.StructArray.from_arrays(
        [row.array(), pa.array(range(len(row.values)))], fields=list(kind)
    )
    features = Features({"s": {"x": row.feature, "y": datasets.Value("int64")}})
    ds = datasets.Dataset(pa.Table.from_arrays([inner], schema=features.arrow_schema))
    store = imported(ds)
    assert store.features == features
    expected = [canonical(value, row.arrow) for value in row.values]
    assert [canonical(one["s"]["x"], row.arrow) for one in store.rows()] == expected
    assert_same_dataset(store.to_dataset(), ds)


ARROW_ROWS = [row for row in ROWS if row.feature is None]


@pytest.mark.parametrize("row", ARROW_ROWS, ids=lambda row: row.name)
def test_a_type_that_datasets_lacks_is_a_dataset_of_equal_values(row: Row) -> None:
    store = from_table(row)
    ds = store.to_dataset()
    assert ds.features == store.features
    kind = ds.data.table["x"].type
    found = [canonical(value, kind) for value in ds.data.table["x"].to_pylist()]
    if row.name in ("map", "list_of_maps"):
        assert repr(found) == repr([as_pairs(value) for value in row.values])
    else:
        assert found == [canonical(value, kind) for value in row.values]
    assert imported(ds).num_rows == len(row.values)


def as_pairs(value: Any) -> Any:
    """Maps as lists of structs, in the canonical form."""
    if isinstance(value, tuple):
        number = value[1]
        item = np.float64(number).tobytes() if isinstance(number, float) else number
        return {"key": value[0], "value": item}
    return None if value is None else [as_pairs(item) for item in value]


def test_the_table_of_the_guide_is_current() -> None:
    spec = importlib.util.spec_from_file_location("feature_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.table() in PAGE.read_text(encoding="utf-8"), f"run {SCRIPT.name}"


def test_the_table_has_every_feature_of_datasets() -> None:
    kinds = set()

    def visit(feature: Any) -> None:
        kinds.add(type(feature).__name__)
        for inner in feature.values() if isinstance(feature, dict) else ():
            visit(inner)
        if hasattr(feature, "feature"):
            visit(feature.feature)

    for row in FEATURE_ROWS:
        visit(row.feature)
    assert set(datasets.features.features._FEATURE_TYPES) <= kinds
    assert len(BY_NAME) == len(ROWS)
