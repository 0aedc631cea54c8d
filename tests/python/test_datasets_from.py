"""from_dataset: order of rows, choice of columns, streams, and refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, List, Value

from dataset_helpers import cache, contents, imported
from store_helpers import FIELDS, append_rows, filled
from stream_store import StreamStore

__all__ = ["cache"]  # a fixture


def numbers(count: int) -> Dataset:
    """Rows of a number, its list, its text and a struct; every seventh row lacks a field."""
    return Dataset(
        pa.table(
            {
                "n": pa.array([None if i % 7 == 6 else i for i in range(count)], pa.int32()),
                "l": pa.array([[float(i)] * (i % 4) for i in range(count)], pa.list_(pa.float32())),
                "t": pa.array([None if i % 7 == 5 else f"row {i}" for i in range(count)]),
                "s": pa.array(
                    [None if i % 7 == 4 else {"x": i % 2 == 0} for i in range(count)],
                    pa.struct([("x", pa.bool_())]),
                ),
                "i": pa.array(range(count)),
            }
        )
    )


MAPPINGS: dict[str, Callable[[Dataset], Dataset]] = {
    "shuffle": lambda ds: ds.shuffle(seed=3),
    "select": lambda ds: ds.select([5, 3, 3, 0, 199, 42]),
    "select range": lambda ds: ds.select(range(3, 190)),
    "select step": lambda ds: ds.select(range(3, 190, 7)),
    "select none": lambda ds: ds.select([]),
    "sort": lambda ds: ds.sort("n", reverse=True),
    "filter": lambda ds: ds.filter(lambda i: i % 3 == 0, input_columns="i"),
    "shard": lambda ds: ds.shard(4, 1, contiguous=False),
    "contiguous shard": lambda ds: ds.shard(4, 1),
    "shuffled shuffle": lambda ds: ds.shuffle(seed=1).shuffle(seed=2).select(range(50)),
    "split": lambda ds: ds.train_test_split(0.3, seed=1)["test"],
    "concatenated": lambda ds: datasets.concatenate_datasets(
        [ds.select(range(5)), ds.shuffle(seed=1)]
    ),
    "concatenated columns": lambda ds: datasets.concatenate_datasets(
        [ds.select_columns(["n", "l"]), ds.remove_columns(["n", "l"])], axis=1
    ),
    "formatted": lambda ds: ds.with_format("numpy", columns=["n"]),
    "skip and take": lambda ds: ds.skip(3).take(40),
}


@pytest.mark.filterwarnings("ignore:Specifying null_placement")  # datasets' own sort
@pytest.mark.parametrize("name", MAPPINGS)
def test_rows_come_in_the_order_of_the_dataset(name: str) -> None:
    ds = MAPPINGS[name](numbers(200))
    store = imported(ds)
    plain = ds.with_format(None)
    assert store.num_rows == plain.num_rows
    if plain.num_rows:
        expected = imported(Dataset.from_list(list(plain), features=plain.features))
        assert contents(store) == contents(expected)


def test_rows_are_picked_from_many_small_batches() -> None:
    ds = numbers(5000)
    small = Dataset(pa.Table.from_batches(ds.data.table.to_batches(max_chunksize=7)))
    order = np.random.default_rng(1).permutation(5000)
    assert contents(imported(small.select(order))) == contents(imported(ds.select(order)))


def test_large_rows_are_picked() -> None:
    images = np.arange(40 * 300_000, dtype=np.uint32).view(np.uint8)[: 40 * 300_000]
    values = pa.FixedSizeListArray.from_arrays(pa.array(images), 300_000)
    ds = Dataset(pa.table({"image": values, "i": range(40)})).shuffle(seed=1)
    store = StreamStore(fields={"image": "packed uint8[300000]", "i": "int64"})
    store.from_dataset(ds)
    for row in store.rows():
        at = int(row["i"]) * 300_000
        np.testing.assert_array_equal(row["image"], images[at : at + 300_000])


# --- columns ---


def test_undeclared_columns_are_ignored_and_fields_keep_their_order() -> None:
    store = StreamStore(fields={"t": "string", "n": "int64"})
    store.from_dataset(numbers(10))
    assert store.fields == ("t", "n")
    assert store.index_table(0, 1)["type"].tolist() == [0, 1]
    assert store.row(2) == {"t": "row 2", "n": 2}


def test_columns_choose_what_is_imported() -> None:
    store = imported(numbers(10), columns=["t", "i"])
    assert store.fields == ("t", "i")
    declared = StreamStore(fields={"n": "int64", "t": "string"})
    declared.from_dataset(numbers(10), columns=["t"])
    assert declared.row(1) == {"n": None, "t": "row 1"}


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        (["x"], ValueError, "no column 'x'"),
        ("n", TypeError, "list of names"),
        (["n", "n"], ValueError, "duplicate"),
        ([], ValueError, "no fields"),
    ],
)
def test_invalid_columns_are_refused(columns: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        imported(numbers(3), columns=columns)


def test_all_columns_that_cannot_be_stored_are_named() -> None:
    ds = Dataset.from_dict({"ok": [1], "m" * 256: [2], "n" * 300: [3], "": [4]})
    with pytest.raises(ValueError, match="cannot be stored") as refusal:
        imported(ds)
    for part in ("256 bytes", "300 bytes", "columns=['ok', '']"):
        assert part in str(refusal.value)
    assert imported(ds, columns=["ok", ""]).fields == ("ok", "")


def test_the_data_decides_what_is_nested_and_what_is_packed() -> None:
    ds = Dataset.from_dict(
        {
            "plain": [[1], [2, 3], None],
            "holes": [[1], [2, None], None],
            "short": ["a" * 64, "b" * 64, None],
            "long": ["a" * 64, "b" * 65, None],
            "in_struct": [{"l": [None], "t": "c" * 100}, None, {"l": None, "t": None}],
        }
    )
    store = imported(ds)
    assert store.features == ds.features
    assert store.to_dataset()[:] == ds[:]
    texts = {spec[0]: (spec[4], bool(spec[7])) for spec in store._field_specs()}
    assert texts["plain"] == (False, False)
    assert texts["holes"] == (False, True)
    assert texts["short"] == (False, False)
    assert texts["long"] == (True, False)
    assert texts["in_struct.l"] == (False, True)
    assert texts["in_struct.t"] == (True, False)


def test_classes_must_have_the_same_numbers() -> None:
    def labelled(names: list[str]) -> Dataset:
        return Dataset.from_dict({"c": [0, 1]}, features=Features({"c": ClassLabel(names=names)}))

    store = StreamStore(fields={"c": ClassLabel(names=["no", "yes"])})
    store.from_dataset(labelled(["no", "yes"]))
    with pytest.raises(ValueError, match=r"yes, no.*no, yes"):
        store.from_dataset(labelled(["yes", "no"]))
    assert store.num_rows == 2


def test_a_declared_type_must_fit() -> None:
    store = StreamStore(fields={"n": "string", "l": "int64[]", "t": "string"})
    with pytest.raises(ValueError, match="2 columns do not fit") as refusal:
        store.from_dataset(numbers(5))
    for part in ("'n' is int32", "string", "list<float32>", "list<int64>", "cast"):
        assert part in str(refusal.value)


# --- steps ---


def test_steps_are_counted_or_taken_from_a_column() -> None:
    store = imported(numbers(5))
    assert store.row_at(4) == 4
    ds = numbers(5).add_column("when", [3, 5, 8, 13, 21])
    store = imported(ds, step_column="when")
    assert store.last_step == 21
    assert "when" not in store.fields
    assert store.from_dataset(numbers(2), append=True) == 2
    assert store.last_step == 23


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_steps_of_small_signed_integers_keep_their_sign(bits: int) -> None:
    steps = pa.array([-3, -1, 0, 5], getattr(pa, f"int{bits}")())
    ds = Dataset(pa.table({"when": steps, "n": [10, 20, 30, 40]}))
    for order in ([0, 1, 2, 3], [1, 3]):  # in the order of the table, and picked
        store = imported(ds.select(order), step_column="when")
        assert store[:]["step"].tolist() == [[-3, -1, 0, 5][i] for i in order]


def test_rows_are_picked_from_batches_of_unequal_size() -> None:
    sizes = [3, 1, 5, 2, 0, 4]
    chunks, first = [], 0
    for size in sizes:
        chunks.append(pa.array(range(first, first + size), pa.int64()))
        first += size
    table = pa.table({"n": pa.chunked_array(chunks)})
    ds = Dataset(table)
    order = np.random.default_rng(0).permutation(15).tolist()
    for picked in (order, [3, 2, 4, 9, 8, 10, 14], [14] * 3):
        store = imported(ds.select(picked))
        assert store[:]["values"].tolist() == picked


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([1, 1], "row 1"),
        ([2, 1], "row 1"),
        ([1, None], "row 1"),
        (["a", "b"], "integers"),
        ([0.5, 1.5], "integers"),
    ],
)
def test_invalid_steps_are_refused(steps: list[Any], said: str) -> None:
    ds = Dataset.from_dict({"when": steps, "n": [1, 2]})
    with pytest.raises(ValueError, match=said):
        imported(ds, step_column="when")
    with pytest.raises(ValueError, match="no step column 'x'"):
        imported(ds, step_column="x")


# --- streams ---


def rows(count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"n": None if i % 3 == 0 else i, "l": [float(i)] * (i % 3)}


FEATURES = Features({"n": Value("int16"), "l": List(Value("float32"))})


def test_an_iterable_dataset_is_streamed() -> None:
    ds = IterableDataset.from_generator(rows, gen_kwargs={"count": 2500}, features=FEATURES)
    expected = Dataset.from_list(list(rows(2500)), features=FEATURES)
    store = imported(ds)
    assert store.features == FEATURES
    assert contents(store) == contents(imported(expected))


def test_an_iterable_dataset_over_arrow_is_streamed(tmp_path: Path) -> None:
    ds = numbers(3000)
    assert contents(imported(ds.to_iterable_dataset())) == contents(imported(ds))
    ds.to_parquet(tmp_path / "a.parquet")
    streamed = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "a.parquet"), split="train", streaming=True
    )
    assert contents(imported(streamed)) == contents(imported(ds))
    assert contents(imported(streamed.take(10).skip(3))) == contents(
        imported(ds.select(range(3, 10)))
    )


def test_an_iterable_dataset_that_was_mapped_is_streamed() -> None:
    ds = numbers(100).to_iterable_dataset().map(lambda row: {"i": row["i"] * 2})
    store = imported(ds, columns=["i", "t"])
    assert store.row(30)["i"] == 60


def test_an_error_of_an_iterable_dataset_is_raised() -> None:
    class OwnError(Exception):
        pass

    def failing() -> Iterator[dict[str, Any]]:
        yield from ({"n": i} for i in range(3000))
        raise OwnError("the sensor fell off")

    ds = IterableDataset.from_generator(failing, features=Features({"n": Value("int64")}))
    store = filled(3)
    with pytest.raises(OwnError, match="fell off"):
        StreamStore(fields={"n": "int64"}).from_dataset(ds)
    assert store.num_rows == 3


def test_an_empty_iterable_dataset_has_no_rows() -> None:
    ds = IterableDataset.from_generator(rows, gen_kwargs={"count": 0}, features=FEATURES)
    assert imported(ds).num_rows == 0


# --- refusals ---


def test_a_dataset_dict_needs_a_split() -> None:
    both = DatasetDict({"train": numbers(3), "test": numbers(3)})
    with pytest.raises(ValueError, match=r"'train'.*'test'"):
        imported(both)
    assert imported(both["test"]).num_rows == 3


@pytest.mark.parametrize("wrong", [None, [1], pa.table({"a": [1]}), "name", object()])
def test_objects_other_than_datasets_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="Dataset"):
        imported(wrong)


def test_a_persistent_store_with_rows_needs_append(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append_rows(store, 3)
        with pytest.raises(ValueError, match="append=True"):
            store.from_dataset(filled(2).to_dataset())
        assert store.from_dataset(filled(2).to_dataset(), append=True) == 2
        assert store.num_rows == 5


# --- all or nothing ---


def test_a_failure_in_the_last_row_leaves_nothing(tmp_path: Path) -> None:
    lists = [[1]] * 50_000 + [[None]]
    ds = Dataset(pa.table({"n": range(50_001), "l": pa.array(lists, pa.list_(pa.int64()))}))
    with StreamStore(tmp_path / "s", fields={"n": "int64", "l": "int64[]"}) as store:
        store.append_step({"n": 1})
        with pytest.raises(ValueError, match="row 50000"):
            store.from_dataset(ds, append=True)
        assert (store.num_rows, len(store)) == (1, 1)
        with pytest.raises(ValueError, match="row 0"):
            store.from_dataset(ds.select([50_000, 3]), append=True)
        store.append_step({"n": 2})
    with StreamStore(tmp_path / "s", "r") as reader:
        assert reader[:]["values"].tolist() == [1, 2]
        assert reader.recovery.state == "clean"


def test_a_reader_sees_all_rows_or_none(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"n": "int64"}) as store:
        store.append_step({"n": -1})
        with StreamStore(tmp_path / "s", "r") as reader:
            seen: set[int] = set()

            def batches() -> Iterator[pa.RecordBatch]:
                for first in range(0, 60_000, 20_000):
                    yield pa.record_batch({"n": pa.array(range(first, first + 20_000))})
                    seen.add(reader.num_rows)

            source = pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())
            store.from_arrow(source, append=True)
            assert seen == {1}
            assert reader.num_rows == 60_001


def test_a_killed_import_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import os, pyarrow as pa
        from stream_store import StreamStore
        store = StreamStore({str(tmp_path / "s")!r}, fields={{"n": "int64"}})
        store.append_step({{"n": 1}})
        def batches():
            for i in range(20):
                yield pa.record_batch({{"n": pa.array(range(10_000))}})
            os.kill(os.getpid(), 9)
        source = pa.RecordBatchReader.from_batches(pa.schema({{"n": pa.int64()}}), batches())
        store.from_arrow(source, append=True)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ)
    assert done.returncode == -9
    with StreamStore(tmp_path / "s") as store:
        assert store.recovery.state == "process_crash"
        assert store.recovery.rows_cut == 0
        assert store[:]["values"].tolist() == [1]
        store.append_step({"n": 2})
        assert store[:]["values"].tolist() == [1, 2]


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Handle Ctrl-C as in a terminal: a process in the background may be set to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_an_import() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": pa.array([1])})
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            yield pa.record_batch({"n": pa.array([1])})

    store = StreamStore(fields={"n": "int64"})
    source = pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())
    with pytest.raises(KeyboardInterrupt):
        store.from_arrow(source)
    assert store.num_rows == 0
    store.append_step({"n": 1})


# --- directories and files that cannot be read ---


def broken(folder: Path, how: str) -> None:
    """A directory of save_to_disk that cannot be loaded."""
    rows = 0 if how == "no rows" else 3
    ds = Dataset.from_dict({"n": list(range(rows))}, features=Features({"n": Value("int64")}))
    ds.save_to_disk(folder)
    (data,) = folder.rglob("*.arrow") if how in ("damaged", "file is missing") else [None]
    if how == "damaged":
        data.write_bytes(b"no Arrow data")
    elif how == "file is missing":
        data.unlink()
    elif how == "nothing":
        for file in list(folder.iterdir()):
            file.unlink()


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("no rows", ValueError, "no data files, because it had no rows"),
        ("nothing", ValueError, "the directory is empty"),
        ("damaged", OSError, "cannot be read"),
        ("file is missing", OSError, "arrow"),
    ],
)
def test_a_saved_directory_that_cannot_be_read_is_named(
    tmp_path: Path, how: str, error: type[Exception], said: str
) -> None:
    broken(tmp_path / "saved", how)
    with pytest.raises(error, match=said) as refusal:
        StreamStore().load_dataset(str(tmp_path / "saved"), "train")
    assert "saved" in str(refusal.value)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no Parquet PAR1")
    with pytest.raises(OSError, match=r"a\.parquet.*cannot be read"):
        StreamStore().load_dataset("parquet", "train", data_files=str(tmp_path / "a.parquet"))
