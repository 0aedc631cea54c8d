"""Reads of a store that has dropped rows begin at first_row, and readers keep what they hold."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import stream_store
from model_process import line_of, start
from stream_store import DroppedError, StreamStore, WindowSampler

FIELDS = {"episode": "int64", "obs": "float32[3]", "text": "string"}
CHUNK = 2**20
COUNT, FIRST = 100, 37


def row_of(number: int) -> dict[str, object]:
    return {
        "episode": number // 10,
        "obs": [number, number / 2, -number],
        "text": "" if number % 3 else f"row {number}",
    }


def plain(row: dict[str, object]) -> dict[str, object]:
    return row | {"episode": int(row["episode"]), "obs": np.asarray(row["obs"]).tolist()}


def fill(store: StreamStore, numbers: range) -> None:
    for number in numbers:
        store.append_step(row_of(number), step=number * 2)


@pytest.fixture(params=["writer", "reader", "safe reader", "temporary", "snapshot"])
def store(request, tmp_path: Path):
    """A store of rows FIRST to COUNT - 1, of COUNT."""
    path = None if request.param == "temporary" else tmp_path / "store"
    writer = StreamStore(path, fields=FIELDS, chunk_bytes=CHUNK)
    fill(writer, range(COUNT))
    assert writer.drop_before(FIRST) == FIRST
    if "reader" in request.param:
        yield StreamStore(path, "r", safe_reads="safe" in request.param)
    else:
        yield writer.snapshot() if request.param == "snapshot" else writer
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with StreamStore(tmp_path / "run", fields=FIELDS, chunk_bytes=CHUNK) as store:
        fill(store, range(COUNT))
        store.drop_before(FIRST)
    return tmp_path / "run"


KEPT = [row_of(number) for number in range(FIRST, COUNT)]


def test_facts_count_what_was_appended_and_what_is_left(store: StreamStore) -> None:
    assert (store.first_row, store.num_rows, store.kept_rows) == (FIRST, COUNT, COUNT - FIRST)
    assert store.first_position == int(store.position_of(FIRST))
    assert store.last_step == 2 * (COUNT - 1)
    assert store.complete_rows == COUNT
    assert store.num_field_writes == 3 * (COUNT - FIRST)
    assert f"{COUNT - FIRST} rows from row {FIRST} on" in repr(store)


def test_rows_begin_at_the_first_row(store: StreamStore) -> None:
    assert [plain(row) for row in store.rows()] == KEPT
    assert [plain(row) for row in store.rows(-3)] == KEPT[-3:]
    assert [plain(row) for row in store.rows(FIRST + 5, FIRST + 7)] == KEPT[5:7]
    assert plain(store.row(FIRST)) == KEPT[0]
    read = store.read_rows(range(FIRST, COUNT))
    assert read["episode"].tolist() == [row["episode"] for row in KEPT]
    assert read["obs"].tolist() == [row["obs"] for row in KEPT]
    assert read["_step"].tolist() == list(range(2 * FIRST, 2 * COUNT, 2))


def test_positions_begin_at_the_first_position(store: StreamStore) -> None:
    first, end = store.first_position, len(store)
    everything = store[:]
    assert len(everything["values"]) == end - first
    windows = store.windows(range(first, end - 4), 5)
    assert (windows["values"][:, 0] == everything["values"][:-4]).all()
    assert store.row_of(range(first, end))[0] == FIRST
    assert store.position_of(range(FIRST, COUNT))[0] == first
    assert store[first:]["values"].tolist() == everything["values"].tolist()
    assert store[-1]["values"] == everything["values"][-1]


def test_searches_and_tables_begin_at_the_first_row(store: StreamStore) -> None:
    assert store.row_at([0, 2 * FIRST, 2 * FIRST + 1]).tolist() == [FIRST, FIRST, FIRST + 1]
    table = store.index_table()
    assert table["step"].tolist() == [2 * row for row in range(FIRST, COUNT) for _ in range(3)]
    assert table["start"][0] == store.first_position
    starts = [FIRST, 40, 50, 60, 70, 80, 90]
    assert store.segments("episode").tolist() == [
        [a, b] for a, b in zip(starts, [*starts[1:], COUNT], strict=True)
    ]


def test_dropped_rows_and_positions_raise_an_error_that_names_both(store: StreamStore) -> None:
    first = store.first_position
    calls = [
        (lambda: store.row(FIRST - 1), FIRST - 1, FIRST),
        (lambda: store.row(0), 0, FIRST),
        (lambda: store.row(-COUNT), 0, FIRST),
        (lambda: store.read_rows([FIRST, 5]), 5, FIRST),
        (lambda: store.read_rows([5], 3), 5, FIRST),
        (lambda: list(store.rows(5)), 5, FIRST),
        (lambda: store.index_table(5), 5, FIRST),
        (lambda: store.position_of([5]), 5, FIRST),
        (lambda: store.row_of([7]), 7, first),
        (lambda: store.windows([7], 2), 7, first),
        (lambda: store[7], 7, first),
        (lambda: store[7:9], 7, first),
        (lambda: store[[first, 7]], 7, first),
        (lambda: store.snapshot(5), 5, FIRST),
        (lambda: store.to_arrow(5), 5, FIRST),
    ]
    for call, asked, left in calls:
        with pytest.raises(DroppedError) as caught:
            call()
        assert isinstance(caught.value, IndexError)
        assert isinstance(caught.value, stream_store.Error)
        words = str(caught.value).replace(",", " ").replace("[", " ").split()
        assert str(asked) in words, caught.value
        assert str(left) in words, caught.value


def test_exchange_begins_at_the_first_row(store: StreamStore) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("datasets")
    numbers = [row["episode"] for row in KEPT]
    assert pyarrow.table(store)["episode"].to_pylist() == numbers
    assert store.to_arrow().read_all()["episode"].to_pylist() == numbers
    dataset = store.to_dataset(step_column="step")
    assert dataset["episode"][:] == numbers
    assert dataset["step"][0] == 2 * FIRST
    copy = StreamStore()
    assert copy.from_arrow(store) == len(KEPT)
    assert (copy.first_row, [plain(row) for row in copy.rows()]) == (0, KEPT)


def test_a_changed_begin_makes_another_dataset() -> None:
    pytest.importorskip("datasets")
    store = StreamStore(fields=FIELDS)
    fill(store, range(20))
    assert len(store.to_dataset()) == 20
    store.drop_before(5)
    assert len(store.to_dataset()) == 15


def test_torch_datasets_begin_at_the_first_row(path: Path) -> None:
    pytest.importorskip("torch")
    from stream_store.torch import WindowDataset

    with StreamStore(path, "r") as store:
        dataset = WindowDataset(store, 4, unit="row")
        assert len(dataset) == COUNT - FIRST - 3
        assert dataset[0]["_step"].tolist() == [2 * (FIRST + i) for i in range(4)]


def test_a_checkpoint_keeps_the_numbers(store: StreamStore, tmp_path: Path) -> None:
    assert store.checkpoint(tmp_path / "copy") in (COUNT, COUNT - FIRST)
    with StreamStore(tmp_path / "copy", "r") as copy:
        assert (copy.first_row, copy.num_rows) == (FIRST, COUNT)
        assert copy.first_position == store.first_position
        assert [plain(row) for row in copy.rows()] == KEPT
    assert stream_store.verify(tmp_path / "copy").ok


def test_a_pickled_store_begins_there_too(path: Path) -> None:
    with StreamStore(path, "r") as store:
        with pickle.loads(pickle.dumps(store)) as copy:
            assert [plain(row) for row in copy.rows()] == KEPT
        with pickle.loads(pickle.dumps(store.snapshot(50))) as copy:
            assert [plain(row) for row in copy.rows()] == KEPT[: 50 - FIRST]


def test_verify_counts_from_the_first_row(path: Path) -> None:
    report = stream_store.verify(path)
    assert report.ok
    assert (report.first_row, report.held_bytes) == (FIRST, 0)
    assert report.retention == stream_store.Retention()


# --- dropping ---


def test_drop_before_follows_a_list(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = StreamStore(path, fields={"value": "int64"})
    first = count = 0
    chance = np.random.default_rng(7)
    for turn in range(60):
        more = int(chance.integers(0, 50))
        if more:
            store.extend({"value": range(count, count + more)})
        count += more
        if count:
            row = int(chance.integers(first, count))
            assert store.drop_before(row) == row - first
            first = row
        assert (store.first_row, store.num_rows) == (first, count)
        assert [int(row["value"]) for row in store.rows()] == list(range(first, count))
        if turn % 10 == 9:
            store.close()
            store = StreamStore(path)
    store.close()
    assert stream_store.verify(path).ok


@pytest.mark.parametrize("number", [-1, 10, 11, 2**63, -(2**70)])
def test_a_row_that_is_not_there_cannot_be_dropped_to(number: int) -> None:
    store = StreamStore(fields={"value": "int64"})
    store.extend({"value": range(10)})
    with pytest.raises(IndexError, match=str(number)) as error:
        store.drop_before(number)
    assert not isinstance(error.value, DroppedError)
    assert "10" in str(error.value)
    assert (store.first_row, store.num_rows) == (0, 10)
    with pytest.raises(TypeError):
        store.drop_before(1.5)


def test_dropping_before_the_begin_is_refused() -> None:
    store = StreamStore(fields={"value": "int64"})
    store.extend({"value": range(10)})
    assert store.drop_before(0) == 0
    assert store.drop_before(5) == 5
    assert store.drop_before(5) == 0
    with pytest.raises(DroppedError, match=r"drop_before row 4.*row 5"):
        store.drop_before(4)
    with pytest.raises(stream_store.Error):
        store.truncate(4)
    assert (store.first_row, store.num_rows) == (5, 10)


def test_only_a_writer_with_fields_drops(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="define_fields"):
        StreamStore().drop_before(0)
    store = StreamStore(tmp_path / "store", fields={"value": "int64"})
    store.extend({"value": range(10)})
    for reader in (StreamStore(tmp_path / "store", "r"), store.snapshot()):
        for number in (3, -1):
            with pytest.raises(OSError, match="drop_before needs a store opened for writing"):
                reader.drop_before(number)
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.drop_before(3)


# --- readers that hold dropped rows ---

#: 3 chunks of values.
MANY = 3 * CHUNK // 8


def many(store: StreamStore, first: int) -> None:
    store.extend({"value": np.arange(first, first + MANY)})


@pytest.mark.parametrize("temporary", [True, False])
def test_readers_keep_dropped_rows_until_they_refresh(tmp_path: Path, temporary: bool) -> None:
    path = None if temporary else tmp_path / "store"
    store = StreamStore(path, fields={"value": "int64"}, chunk_bytes=CHUNK)
    many(store, 0)
    snapshot, rows = store.snapshot(), store.rows()
    window = store.windows([10], 5)
    many(store, MANY)
    assert store.drop_before(MANY + 5) == MANY + 5
    assert store.held_bytes >= 2 * CHUNK
    assert "dropped chunks" in repr(store)
    assert (snapshot[:]["values"] == np.arange(MANY)).all()
    assert [int(row["value"]) for _, row in zip(range(100), rows, strict=False)] == list(range(100))
    assert window["values"].tolist() == [[10, 11, 12, 13, 14]]
    assert (snapshot.first_row, snapshot.num_rows) == (0, MANY)
    with pytest.raises(DroppedError):
        store.row(10)
    del snapshot, rows
    assert store.held_bytes == 0
    assert (store[:]["values"] == np.arange(MANY + 5, 2 * MANY)).all()


def test_a_reader_in_another_process_keeps_dropped_rows_until_it_refreshes(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = StreamStore(path, fields={"value": "int64"}, chunk_bytes=CHUNK)
    many(store, 0)
    script = """
    store = StreamStore(sys.argv[1], "r")
    snapshot = store.snapshot()
    print(store.num_rows, flush=True)
    input()
    rows = snapshot[:]["values"]
    print(bool((rows == np.arange(len(rows))).all()), len(rows), flush=True)
    input()
    del snapshot
    print(store.first_row, flush=True)
    try:
        store.row(0)
    except stream_store.DroppedError as error:
        print("dropped", flush=True)
    input()
    """
    with start(script, path) as child:
        assert line_of(child.stdout) == str(MANY)
        many(store, MANY)
        store.drop_before(MANY + 1)
        assert not (path / "values.000000000000").exists()
        assert store.held_bytes >= 2 * CHUNK
        assert stream_store.verify(path).held_bytes == store.held_bytes
        print("", file=child.stdin, flush=True)
        assert line_of(child.stdout) == f"True {MANY}"
        print("", file=child.stdin, flush=True)
        assert line_of(child.stdout) == str(MANY + 1)
        assert line_of(child.stdout) == "dropped"
        assert store.held_bytes == 0
        child.communicate("\n")


# --- samplers ---


def test_sampling_with_replacement_returns_retained_rows_only() -> None:
    store = StreamStore(fields={"value": "int64"})
    store.extend({"value": range(1000)})
    sampler = WindowSampler(store, 2, unit="row", batch_size=200, seed=1)
    assert sampler.sample()["value"].min() < 500
    for first in (500, 900, 990):
        store.drop_before(first)
        seen = np.concatenate([sampler.sample()["value"].ravel() for _ in range(20)])
        assert seen.min() == first
        assert seen.max() == 999


def test_an_epoch_keeps_the_rows_it_started_with() -> None:
    store = StreamStore(fields={"value": "int64"}, chunk_bytes=CHUNK)
    store.extend({"value": range(1000)})
    sampler = WindowSampler(store, 1, unit="row", batch_size=64, replacement=False, seed=2)
    batches = iter(sampler)
    seen = [next(batches)["value"].ravel()]
    store.drop_before(900)
    store.extend({"value": range(1000, 1100)})
    seen += [batch["value"].ravel() for batch in batches]
    assert sorted(np.concatenate(seen).tolist()) == list(range(1000))
    following = np.concatenate([batch["value"].ravel() for batch in sampler])
    assert sorted(following.tolist()) == list(range(900, 1100))


def test_a_state_whose_rows_are_gone_names_them(path: Path) -> None:
    options = {"length": 1, "unit": "row", "batch_size": 4, "replacement": False}
    with StreamStore(path) as store:
        sampler = WindowSampler(store, **options)
        batches = iter(sampler)
        seen = [next(batches)["episode"] for _ in range(3)]
        state = json.loads(json.dumps(sampler.state_dict()))
        rest = [batch["episode"].tolist() for batch in batches]
        again = WindowSampler(store, **options)
        again.load_state_dict(state)
        assert [batch["episode"].tolist() for batch in again] == rest
        assert len(seen) + len(rest) == (COUNT - FIRST + 3) // 4
        store.drop_before(50)
        with pytest.raises(DroppedError, match=rf"rows \[{FIRST}, {COUNT}\).*\[{FIRST}, 50\)"):
            WindowSampler(store, **options).load_state_dict(state)
