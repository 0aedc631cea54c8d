"""from_dataset of streams over Arrow data: joined, changed and resumed streams, and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from datasets import Dataset, Features, IterableDataset, Value
from datasets.distributed import split_dataset_by_node

from dataset_helpers import assert_same_dataset, cache, imported, refusal
from stream_store import StreamStore

__all__ = ["cache"]  # a fixture


def tables_of(*columns: pa.Array) -> Any:
    """An iterable dataset that yields one table for each array."""

    def generate() -> Iterator[tuple[int, pa.Table]]:
        yield from ((number, pa.table({"x": column})) for number, column in enumerate(columns))

    return IterableDataset(datasets.iterable_dataset.ArrowExamplesIterable(generate, {}))


def test_tables_of_later_types_are_exact_or_refused() -> None:
    ints = pa.array([1] * 1000)
    good = tables_of(ints, pa.array([2.0] * 1000), pa.array([3] * 1000, pa.int8()))
    assert imported(good).row(2999) == {"x": 3}
    for bad in (
        pa.array([0.5] * 1000),
        pa.array(["1"] * 1000),
        pa.array([2**63] * 1000, pa.uint64()),
    ):
        text = refusal(tables_of(ints, bad))
        assert "column 'x', row 1000: expected an integer" in text
        assert "declare" in text


@pytest.mark.parametrize("rows", [2, 1500])
@pytest.mark.parametrize("join", [datasets.concatenate_datasets, datasets.interleave_datasets])
def test_joined_streams_with_different_columns_are_stored_as_they_are_iterated(
    join: Any, rows: int
) -> None:
    one = Dataset.from_dict({"a": list(range(rows))})
    two = Dataset.from_dict({"a": list(range(rows)), "b": [["x", None], None] * (rows // 2)})
    for parts in ([one, two], [two, one]):
        ds = join([part.to_iterable_dataset() for part in parts])
        store = imported(ds)
        assert list(store.to_dataset()) == list(ds)


def resumed(ds: Any) -> Any:
    """The dataset from its row 700 on, as after a stop."""
    rows = iter(ds)
    for _ in range(700):
        next(rows)
    ds.load_state_dict(ds.state_dict())
    return ds


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds,
        lambda ds: ds.skip(1100).take(900),
        lambda ds: ds.shard(3, 1),
        lambda ds: ds.shuffle(seed=1, buffer_size=100),
        lambda ds: ds.filter(lambda row: row["x"] % 3 == 0),
        lambda ds: ds.with_format("arrow").filter(lambda table: [True, False] * (len(table) // 2),
                                                  batched=True, batch_size=10).with_format(None),
        lambda ds: ds.batch(7),
        lambda ds: ds.repeat(2),
        lambda ds: split_dataset_by_node(ds, rank=1, world_size=2),
        resumed,
    ],
)  # fmt: skip
def test_a_changed_stream_of_tables_is_stored_as_it_is_iterated(change: Any) -> None:
    whole = Dataset.from_dict({"x": list(range(3000)), "s": [str(n) for n in range(3000)]})
    ds = change(whole.to_iterable_dataset(num_shards=3))
    expected = list(change(whole.to_iterable_dataset(num_shards=3)))
    assert list(imported(ds).to_dataset()) == expected


def test_streamed_tables_of_different_columns_name_the_row_of_a_later_one() -> None:
    def generate() -> Iterator[tuple[int, pa.Table]]:
        for number in range(1500):
            columns = {"x": [number]} | ({"y": [number]} if number == 1200 else {})
            yield number, pa.table(columns)

    ds = IterableDataset(datasets.iterable_dataset.ArrowExamplesIterable(generate, {}))
    assert "row 1200 has a column 'y'" in refusal(ds)
    assert imported(ds, columns=["x"]).num_rows == 1500
    declared = StreamStore(fields={"x": "int64", "y": "int64"})
    declared.from_dataset(ds)
    assert [declared.row(row)["y"] for row in (1199, 1200, 1201)] == [None, 1200, None]


def test_streamed_json_files_of_different_columns_fail_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text('{"a": 1}\n')
    (tmp_path / "2.json").write_text('{"a": 1, "b": 2}\n')
    files = [str(tmp_path / name) for name in ("1.json", "2.json")]
    features = Features({"a": Value("int64")})
    ds = datasets.load_dataset(
        "json", data_files=files, split="train", streaming=True, features=features
    )
    text = refusal(ds)
    assert "reading the iterable dataset failed" in text
    assert "features=" in text


def test_streamed_parquet_is_exact(tmp_path: Path) -> None:
    table = pa.table(
        {
            "f": pa.array([0.1, None, 1e300]),
            "s": pa.array(["a", None, "b" * 100]),
            "l": pa.array([[["a"], []], None, [None]]),
        }
    )
    Dataset(table).to_parquet(tmp_path / "a.parquet")
    ds = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "a.parquet"), split="train", streaming=True
    )
    assert_same_dataset(imported(ds).to_dataset(), Dataset(table))


def test_a_cast_that_would_overflow_is_refused() -> None:
    ds = Dataset.from_dict({"x": [0.5, 1e300]}).to_iterable_dataset()
    ds = ds.cast(Features({"x": Value("float32")}))
    assert "row 1" in refusal(ds)
