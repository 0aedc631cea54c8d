"""stream_store.ray.read: the rows of stores as a Ray dataset, task by task."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_store import DroppedError, Error, StoreGroup, StreamStore

ray_data = pytest.importorskip("ray.data")
col = pytest.importorskip("ray.data.expressions").col

from stream_store.ray import read  # noqa: E402

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("ray_cluster")]

FIELDS = {
    "number": "int64",
    "pair": "float32[2]",
    "frame": "packed uint8[2,3,2]",
    "list": "float32[]",
    "text": "string",
    "chat": "nested list<struct<role: string, length: int8>>",
    "part": {"x": "int8", "y": "float32[2]"},
    "end": "bool",
}


def row_of(number: int) -> dict[str, Any]:
    """A row in which some fields are missing."""
    row = {
        "number": number,
        "pair": np.array([number, -1], np.float32),
        "frame": np.full((2, 3, 2), number % 256, np.uint8),
        "list": np.arange(number % 4, dtype=np.float32),
        "text": "x" * (number % 5),
        "chat": [{"role": "user", "length": number % 100}] * (number % 3),
        "part": {"x": number % 100, "y": [number, 0.5]},
        "end": number % 7 == 6,
    }
    return {name: value for place, (name, value) in enumerate(row.items()) if (number + place) % 9}


def write_store(path: Path, numbers: range, fields: Any = FIELDS) -> Path:
    with StreamStore(path, "x", fields=fields) as store:
        for number in numbers:
            store.append_step(row_of(number), step=10 * number)
    return path


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stores; one of them is empty, and the rows of the others are numbered from 0."""
    path = tmp_path_factory.mktemp("group")
    write_store(path / "a", range(500))
    write_store(path / "b", range(0))
    write_store(path / "c", range(500, 800))
    return path


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with lists in place of arrays."""
    return [
        {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def expected_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for store in sorted(path.iterdir()):
        with StreamStore(store, "r") as opened:
            rows += opened.to_arrow().read_all().to_pylist()
    return rows


def numbers_of(dataset: Any) -> list[int]:
    return sorted(row["n"] for row in dataset.take_all())


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A store of 1,000 rows with their numbers."""
    with StreamStore(tmp_path / "counted", fields={"n": "int64", "half": "float32"}) as store:
        store.extend({"n": np.arange(1000), "half": np.arange(1000) / 2})
    return tmp_path / "counted"


# --- the rows of a dataset ---


def test_a_dataset_has_the_rows_of_all_stores(group: Path) -> None:
    dataset = read(group, override_num_blocks=5, step_column="step")
    assert dataset.count() == 800
    rows = sorted(plain(dataset.take_all()), key=lambda row: row["step"])
    assert [row.pop("step") for row in rows] == list(range(0, 8000, 10))
    assert rows == expected_rows(group)


def test_tensors_are_one_array_with_zeros_where_they_are_missing(group: Path) -> None:
    batch = read([group / "a"], ["frame", "pair"], override_num_blocks=1).take_batch(100)
    assert batch["frame"].dtype == np.uint8
    assert batch["pair"].dtype == np.float32
    for number in range(100):
        row = row_of(number)
        assert (batch["frame"][number] == row.get("frame", np.zeros((2, 3, 2)))).all()
        assert (batch["pair"][number] == row.get("pair", np.zeros(2))).all()


def test_without_tensors_columns_have_the_types_of_the_store(group: Path) -> None:
    dataset = read(group, tensors=False, override_num_blocks=1)
    own = pa.schema(StreamStore(group / "a", "r"))
    types = dict(zip(dataset.schema().names, dataset.schema().types, strict=True))
    assert types["pair"] == own.field("pair").type == pa.list_(pa.float32(), 2)
    assert types["part"] == own.field("part").type
    assert plain(dataset.limit(50).take_all()) == expected_rows(group)[:50]


def test_columns_of_steps_rows_and_paths_tell_where_a_row_is_from(group: Path) -> None:
    dataset = read(group, ["number"], step_column="when", row_column="row", include_paths=True)
    assert dataset.schema().names == ["when", "row", "number", "path"]
    rows = sorted(dataset.take_all(), key=lambda row: row["when"])
    assert len(rows) == 800
    for place, row in enumerate(rows):
        inside = place if place < 500 else place - 500
        assert row["when"] == 10 * place
        assert row["row"] == inside
        assert row["path"] == str(group / ("a" if place < 500 else "c"))


def test_a_task_reads_one_range_of_rows(counted: Path) -> None:
    blocks = read(counted, override_num_blocks=8).map_batches(
        lambda batch: {"first": batch["n"][:1], "last": batch["n"][-1:]}, batch_size=None
    )
    ranges = sorted((row["first"], row["last"]) for row in blocks.take_all())
    assert len(ranges) == 8
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 999
    assert all(before[1] + 1 == after[0] for before, after in pairwise(ranges))
    assert all(100 <= last + 1 - first <= 150 for first, last in ranges)


@pytest.mark.parametrize("parts", [1, 3, 12])
def test_ranges_end_where_segments_end(tmp_path: Path, parts: int) -> None:
    rng = np.random.default_rng(parts)
    ends = rng.random(600) < 0.05
    for name, some in (("a", ends[:400]), ("b", ends[400:])):
        with StreamStore(tmp_path / name, fields={"n": "int64", "end": "bool"}) as store:
            store.extend({"n": np.arange(len(some)), "end": some})
    dataset = read(tmp_path, segment_by="end", override_num_blocks=parts, include_paths=True)
    firsts = dataset.map_batches(
        lambda batch: {"n": batch["n"][:1], "path": batch["path"][:1]}, batch_size=None
    )
    begins = {str(tmp_path / "a"): {0} | {int(i) + 1 for i in np.flatnonzero(ends[:400])}}
    begins[str(tmp_path / "b")] = {0} | {int(i) + 1 for i in np.flatnonzero(ends[400:])}
    assert all(row["n"] in begins[row["path"]] for row in firsts.take_all())
    assert dataset.count() == len(dataset.take_all()) == 600


def test_selected_columns_are_the_only_ones_that_are_read(tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    with StreamStore(path, fields={"n": "int64", "chat": "nested list<string>"}) as store:
        store.extend({"n": np.arange(200), "chat": [["abc"]] * 200})
        damaged = int(store.position_of(100)) + 1  # the number of bytes of a cell
    values = next(path.glob("values.*"))
    data = np.fromfile(values, np.int64)
    data[damaged] = -1
    data.tofile(values)
    dataset = read(path)
    assert numbers_of(dataset.select_columns(["n"])) == list(range(200))
    assert dataset.select_columns([]).count() == 200
    with pytest.raises(Exception, match=r"row \d+"):
        dataset.take_all()


def test_blocks_have_the_target_size_of_ray(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "big", fields={"frame": "packed uint8[100,100]"}) as store:
        store.extend({"frame": np.zeros((800, 100, 100), np.uint8)})  # 8 MB
    context = ray_data.DataContext.get_current()
    target = context.target_max_block_size
    context.target_max_block_size = 1 << 20
    try:
        dataset = read(tmp_path / "big", override_num_blocks=1).materialize()
    finally:
        context.target_max_block_size = target
    sizes = [
        metadata.size_bytes
        for bundle in dataset.iter_internal_ref_bundles()
        for metadata in bundle.metadata
    ]
    assert sum(sizes) > 8_000_000
    assert all(size <= 1.5 * (1 << 20) for size in sizes)
    assert sorted(sizes)[1] >= 0.5 * (1 << 20), "only the last one may be smaller"


def test_a_limit_takes_the_first_rows_of_tasks(counted: Path) -> None:
    dataset = read(counted, override_num_blocks=4)
    assert {row["n"] % 250 for row in dataset.limit(5).take_all()} == {0, 1, 2, 3, 4}
    assert dataset.limit(700).count() == 700


def test_data_larger_than_the_object_store_streams(tmp_path: Path) -> None:
    """The object store of the tests has 80 MiB."""
    with StreamStore(
        tmp_path / "big", fields={"n": "int64", "frame": "packed uint8[1000,100]"}
    ) as s:
        for first in range(0, 1500, 500):
            frames = np.zeros((500, 1000, 100), np.uint8)
            s.extend({"n": np.arange(first, first + 500), "frame": frames})
    total = 0
    dataset = read(tmp_path / "big", override_num_blocks=12)
    for batch in dataset.iter_batches(batch_size=100):
        total += int(batch["n"].sum()) + int(batch["frame"][:, 0, 0].sum())
    assert total == 1500 * 1499 // 2


# --- stores that change ---


def test_rows_appended_later_are_not_in_the_dataset(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "live", fields={"n": "int64"}) as store:
        store.extend({"n": np.arange(100)})
        dataset = read(tmp_path / "live")
        store.extend({"n": np.arange(100, 200)})
        assert numbers_of(dataset) == list(range(100))
        assert read(tmp_path / "live").count() == 200


def test_dropped_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bounded"
    with StreamStore(path, fields={"n": "int64"}) as store:
        store.extend({"n": np.arange(100)})
        dataset = read(path)
        store.drop_before(50)
        assert numbers_of(read(path)) == list(range(50, 100))
        with pytest.raises(DroppedError, match=rf"{path}.*rows \[0, \d+\).*begins with row 50"):
            dataset.take_all()


def test_rows_that_are_left_are_read_after_a_drop(tmp_path: Path) -> None:
    path = tmp_path / "bounded"
    with StreamStore(path, fields={"n": "int64"}) as store:
        store.extend({"n": np.arange(100)})
        store.drop_before(20)
        dataset = read(path, override_num_blocks=1)
        store.drop_before(20)
        assert numbers_of(dataset) == list(range(20, 100))
        tail = read(path, override_num_blocks=4).filter(expr=col("n") >= 80)
        store.extend({"n": np.arange(100)})
        assert numbers_of(tail) == list(range(80, 100))


def test_rows_that_were_replaced_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "changed"
    with StreamStore(path, fields={"n": "int64"}) as store:
        store.extend({"n": np.arange(100)})
        dataset = read(path)
        store.truncate(50)
        store.extend({"n": np.arange(100)})
        with pytest.raises(Error, match=rf"{path}.*replaced or truncated"):
            dataset.take_all()


def test_a_store_that_vanished_is_named(counted: Path) -> None:
    dataset = read(counted)
    counted.rename(counted.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match="counted"):
        dataset.take_all()


# --- Ray's own ways ---


def test_a_task_that_is_repeated_duplicates_nothing(counted: Path, tmp_path: Path) -> None:
    marker = tmp_path / "killed"

    def kill_once(batch: dict[str, Any]) -> dict[str, Any]:
        import os

        if batch["n"][0] == 250 and not marker.exists():
            marker.touch()
            os._exit(1)
        return batch

    dataset = read(counted, override_num_blocks=4).map_batches(kill_once, batch_size=None)
    assert numbers_of(dataset) == list(range(1000))
    assert marker.exists()


def test_two_trainers_share_the_rows(counted: Path) -> None:
    halves = read(counted, override_num_blocks=10).streaming_split(2, equal=True)
    seen: list[list[int]] = [[], []]

    def train(rank: int) -> None:
        for batch in halves[rank].iter_batches(batch_size=64):
            seen[rank] += batch["n"].tolist()

    threads = [threading.Thread(target=train, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(some) for some in seen] == [500, 500]
    assert sorted(seen[0] + seen[1]) == list(range(1000))


# --- few rows, and wrong arguments ---


@pytest.mark.parametrize("rows", [0, 1])
def test_stores_with_few_rows_have_a_schema(tmp_path: Path, rows: int) -> None:
    write_store(tmp_path / "few", range(rows))
    dataset = read(tmp_path / "few")
    assert dataset.count() == rows
    assert dataset.schema().names == list(FIELDS)
    assert plain(dataset.take_all()) == expected_rows(tmp_path)


def test_a_group_without_stores_has_a_schema(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "group", fields=FIELDS)
    dataset = read(group)
    assert dataset.count() == 0
    assert dataset.schema().names == list(FIELDS)
    write_store(tmp_path / "group" / "a", range(3))
    assert read(group).count() == 3


def test_fields_that_a_store_of_a_group_has_added_are_left_out(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "group", fields={"n": "int64"})
    with group.writer("a") as store:
        store.add_fields({"more": "int64"})
        store.append_step({"n": 1, "more": 2})
    assert read(tmp_path / "group").take_all() == [{"n": 1}]


def test_a_store_of_a_group_with_other_fields_is_named(tmp_path: Path) -> None:
    for name, kind in (("a", "int64"), ("b", "float32")):
        StreamStore(tmp_path / "group" / name, fields={"n": kind}).close()
    with pytest.raises(ValueError, match=r"group.*store b.*other fields"):
        read(tmp_path / "group")


REFUSALS: list[Any] = [
    ("nothing", {}, FileNotFoundError, "nothing: .*but found nothing"),
    ("plain", {}, FileNotFoundError, "plain: .*a directory without stores"),
    ([], {}, ValueError, "at least one path"),
    (7, {}, TypeError, "not 7"),
    ("store", {"fields": ["m"]}, ValueError, "store: .*no field 'm'; the fields are n"),
    ("store", {"fields": ["n", "n"]}, ValueError, "duplicate"),
    ("store", {"fields": []}, ValueError, "fields must name at least one"),
    ("store", {"segment_by": "m"}, ValueError, "store: .*segment_by"),
    ("store", {"step_column": "n"}, ValueError, "'n' already"),
    ("store", {"step_column": "x", "row_column": "x"}, ValueError, "'x' already"),
    ("store", {"override_num_blocks": 0}, ValueError, "override_num_blocks"),
    ("store", {"nodes": ["0123"]}, ValueError, "node '0123' is not alive"),
    ("store", {"nodes": "some"}, ValueError, "nodes must be 'all'"),
    ({}, {}, ValueError, "at least one node"),
    (["store", "other"], {}, ValueError, "other differs from .*store: field 'n'"),
]


@pytest.mark.parametrize(("paths", "arguments", "kind", "message"), REFUSALS)
def test_wrong_arguments_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paths: Any,
    arguments: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").mkdir()
    StreamStore("store", fields={"n": "int64"}).close()
    StreamStore("other", fields={"n": "float32"}).close()
    with pytest.raises(kind, match=message):
        read(paths, **arguments)


def test_stores_without_a_path_of_their_own_are_refused(counted: Path) -> None:
    with pytest.raises(ValueError, match="a temporary store"):
        read(StreamStore(fields={"n": "int64"}))
    with StreamStore(counted, "r") as store:
        with pytest.raises(ValueError, match=f"a snapshot of {counted}"):
            read(store.snapshot())
        assert read(store).count() == 1000


def test_columns_that_do_not_exist_are_named(counted: Path) -> None:
    with pytest.raises(ValueError, match="no column 'm'; the columns are n, half"):
        read(counted).select_columns(["m"]).take_all()
