"""stream_store.ray.write: a Ray dataset as a group, one store per task."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_store import StoreGroup, StreamStore

ray_data = pytest.importorskip("ray.data")
col = pytest.importorskip("ray.data.expressions").col

from stream_store.ray import read, write  # noqa: E402

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("ray_cluster")]


def entries(path: Path) -> list[str]:
    """The names of all files and directories in a directory, hidden ones too."""
    return sorted(one.name for one in path.iterdir()) if path.exists() else []


def rows_of(path: Path) -> list[dict[str, Any]]:
    """All rows of a group, store by store."""
    rows: list[dict[str, Any]] = []
    with StoreGroup(path) as group:
        for name in group:
            rows += group[name].to_arrow().read_all().to_pylist()
    return rows


def numbers_of(path: Path) -> list[int]:
    return sorted(row["id"] for row in rows_of(path))


def test_each_task_writes_a_store(tmp_path: Path) -> None:
    names = write(ray_data.range(1000, override_num_blocks=5), tmp_path / "group")
    with StoreGroup(tmp_path / "group") as group:
        assert list(group) == names
        assert [group[name].num_rows for name in names] == [200] * 5
        assert group.fields == ("id",)
    assert [row["id"] for row in rows_of(tmp_path / "group")] == list(range(1000))
    assert entries(tmp_path / "group") == [".group", *names]


def test_blocks_are_joined_into_larger_stores(tmp_path: Path) -> None:
    dataset = ray_data.range(1000, override_num_blocks=10)
    names = write(dataset, tmp_path / "group", min_rows_per_store=500)
    with StoreGroup(tmp_path / "group") as group:
        assert [group[name].num_rows for name in names] == [500, 500]


def test_a_dataset_that_was_read_is_written_unchanged(tmp_path: Path) -> None:
    fields = {
        "pair": "float32[2]",
        "frame": "packed uint8[3,2]",
        "flags": "bool[3]",
        "list": "int16[]",
        "text": "string",
        "when": "timestamp[us, tz=UTC]",
        "chat": "nested list<struct<role: string>>",
        "part": {"x": "int8", "y": "float32[2]"},
    }
    with StreamStore(tmp_path / "one" / "a", fields=fields) as store:
        for i in range(100):
            row: dict[str, Any] = {
                "pair": [i, 0.5],
                "frame": np.full((3, 2), i),
                "flags": [i % 2 == 0, True, False],
                "list": range(i % 4),
                "text": "x" * (i % 5),
                "when": np.datetime64(i, "us"),
                "chat": [{"role": str(i)}] * (i % 3),
                "part": {"x": i, "y": [1, 2]},
            }
            lacking = list(row)[i % 9 : i % 9 + 1]
            store.append_step({name: row[name] for name in row if name not in lacking}, step=3 * i)
    dataset = read(tmp_path / "one", step_column="step", override_num_blocks=4)
    write(dataset, tmp_path / "two", step_column="step")
    assert rows_of(tmp_path / "two") == rows_of(tmp_path / "one")
    with StoreGroup(tmp_path / "two") as group:
        steps = np.concatenate([store.read_rows(slice(None))["_step"] for store in group.values()])
        assert (steps == 3 * np.arange(100)).all()
        shown = repr(group[next(iter(group))])
        assert "frame: packed uint8[3,2]" in shown, "images are packed"
        assert "text: packed string" in shown


def test_given_fields_decide_the_types_and_columns(tmp_path: Path) -> None:
    dataset = ray_data.from_items([{"a": i, "b": i / 2, "c": "x"} for i in range(10)])
    write(dataset, tmp_path / "group", fields={"b": "float32", "a": "int8"}, columns=["a", "b"])
    with StoreGroup(tmp_path / "group") as group:
        assert group.fields == ("b", "a")
        assert group[next(iter(group))].to_arrow().schema.field("b").type == pa.float32()
    assert sorted(row["a"] for row in rows_of(tmp_path / "group")) == list(range(10))


def test_a_second_write_adds_stores(tmp_path: Path) -> None:
    with StoreGroup(tmp_path / "group", fields={"id": "int32"}) as group:
        group.writer("mine").close()
    write(ray_data.range(10), tmp_path / "group")
    write(ray_data.range(20), tmp_path / "group")
    assert numbers_of(tmp_path / "group") == sorted([*range(10), *range(20)])
    with pytest.raises(ValueError, match="field 'id': int32, not int64"):
        write(ray_data.range(10), tmp_path / "group", fields={"id": "int64"})


# --- failures ---


def test_a_task_that_is_repeated_duplicates_nothing(tmp_path: Path) -> None:
    """The task is killed after it has written its first rows."""
    marker = tmp_path / "killed"

    def kill_once(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["id"][-1] == 499 and not marker.exists():
            marker.touch()
            os._exit(1)
        return batch

    dataset = ray_data.range(1000, override_num_blocks=2).map_batches(kill_once, batch_size=100)
    names = write(dataset, tmp_path / "group")
    assert marker.exists()
    assert numbers_of(tmp_path / "group") == list(range(1000))
    assert entries(tmp_path / "group") == [".group", *names]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(batch: dict[str, Any]) -> dict[str, Any]:
        if 77 in batch["id"]:
            raise RuntimeError("a wrong row")
        return batch

    write(ray_data.range(3), tmp_path / "group")
    before = entries(tmp_path / "group")
    with pytest.raises(Exception, match="a wrong row"):
        write(ray_data.range(100, override_num_blocks=10).map_batches(fail), tmp_path / "group")
    assert entries(tmp_path / "group") == before
    assert numbers_of(tmp_path / "group") == [0, 1, 2]


def test_blocks_of_different_types_are_refused(tmp_path: Path) -> None:
    def mixed(batch: dict[str, Any]) -> dict[str, Any]:
        return {"x": batch["id"].astype(np.int64 if 0 in batch["id"] else np.int32)}

    dataset = ray_data.range(100, override_num_blocks=4).map_batches(mixed)
    with pytest.raises(ValueError, match=r"group.*field 'x'.*give fields"):
        write(dataset, tmp_path / "group")
    assert not (tmp_path / "group").exists()
    write(dataset, tmp_path / "group", fields={"x": "int64"})
    assert sorted(row["x"] for row in rows_of(tmp_path / "group")) == list(range(100))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda i: np.zeros((2, i % 3 + 1)), "'x'.*tensors of different shapes"),
        (lambda i: Fraction(i, 3), "'x'.*Python objects"),
    ],
)
def test_columns_that_no_store_can_hold_are_named(
    tmp_path: Path, column: Any, message: str
) -> None:
    dataset = ray_data.from_items([{"x": column(i)} for i in range(10)], override_num_blocks=1)
    with pytest.raises(ValueError, match=message):
        write(dataset, tmp_path / "group")


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    StreamStore(tmp_path / "store", fields={"id": "int64"}).close()
    dataset = ray_data.range(10)
    with pytest.raises(ValueError, match=r"store: .*this is a store"):
        write(dataset, tmp_path / "store")
    with pytest.raises(ValueError, match="no column 'm'; the columns are id"):
        write(dataset, tmp_path / "group", columns=["m"])
    with pytest.raises(ValueError, match=r"group: .*no column is a field"):
        write(dataset, tmp_path / "group", fields={"m": "int64"})
    with pytest.raises(ValueError, match="min_rows_per_store"):
        write(dataset, tmp_path / "group", min_rows_per_store=0)
    with pytest.raises(TypeError, match=r"a ray\.data\.Dataset"):
        write([{"id": 1}], tmp_path / "group")
    with pytest.raises(ValueError, match=r"'s3://bucket/a' is a URL; expected the path"):
        write(dataset, "s3://bucket/a")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file: .*expected a directory or nothing"):
        write(dataset, tmp_path / "file")


def test_a_dataset_without_rows_makes_a_group_if_the_fields_are_known(tmp_path: Path) -> None:
    none = ray_data.range(10).filter(expr=col("id") > 10)
    assert write(none, tmp_path / "group", fields={"id": "int64"}) == []
    with StoreGroup(tmp_path / "group") as group:
        assert len(group) == 0
    assert write(none, tmp_path / "other") == []
