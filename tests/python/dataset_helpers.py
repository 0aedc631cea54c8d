"""Helpers of the tests with HuggingFace Datasets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from arrow_model import assert_same
from stream_store import StreamStore


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test its own cache of `datasets`, and turn progress bars off."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    datasets.disable_progress_bars()
    yield folder
    datasets.enable_caching()


def table_of(ds: datasets.Dataset) -> pa.Table:
    """The rows of a dataset in its own order, as a table."""
    whole: pa.Table = ds.with_format("arrow")[:]
    return whole


def assert_same_dataset(a: datasets.Dataset, b: datasets.Dataset) -> None:
    """Assert that two datasets have equal features and rows, bit for bit."""
    assert a.features == b.features
    assert a.num_rows == b.num_rows
    one, other = table_of(a), table_of(b)
    for name in a.column_names:
        assert_same(one[name], other[name], name)


def imported(ds: Any, **arguments: Any) -> StreamStore:
    """A temporary store with the rows of a dataset."""
    store = StreamStore()
    store.from_dataset(ds, **arguments)
    return store


def contents(store: StreamStore) -> tuple[Any, ...]:
    """Every value with its type and position: all of a store except its steps."""
    index = store.index_table()
    rows = store.row_at(index["step"]) if store.num_rows else index["step"]
    return (
        store.num_rows,
        store[:]["values"].tolist(),
        index["start"].tolist(),
        index["type"].tolist(),
        [int(row) for row in rows],
    )


def refusal(ds: Any, fields: Any = None, **arguments: Any) -> str:
    """The error of an import, after which the store is as it was."""
    store = StreamStore(fields=fields)
    if fields is not None:
        store.append_step({})
    before = store.num_rows, store.fields
    with pytest.raises(ValueError, match="from_dataset: ") as refused:
        store.from_dataset(ds, append=fields is not None, **arguments)
    assert (store.num_rows, store.fields) == before
    return str(refused.value)
