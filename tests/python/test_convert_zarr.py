"""from_zarr: groups of versions 2 and 3, in directories and zip files, compared with zarr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore

zarr = pytest.importorskip("zarr")

DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


def filled(dtype: str, shape: tuple[int, ...]) -> Any:
    data = np.random.default_rng(len(dtype)).bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    values = np.frombuffer(data, np.dtype(dtype)).reshape(shape)
    return values.view("u1") % 2 == 1 if dtype == "?" else values


def push_t(path: Path, version: int, *, zipped: bool = False) -> dict[str, Any]:
    """A replay buffer as diffusion policy writes it, with every dtype; returns its arrays."""
    columns = {f"{dtype.strip('?')}_": filled(dtype, (60, 2)) for dtype in DTYPES}
    columns["img"] = filled("u1", (60, 8, 8, 3))
    columns["when"] = np.arange(60).astype("M8[ns]")
    store = zarr.storage.ZipStore(path, mode="w") if zipped else path
    facts = {"version": 3, "nested": {"a": [1]}, "name": "push"}
    root = zarr.open_group(store, mode="w", zarr_format=version, attributes=facts)
    for name, column in columns.items():
        root.create_array(f"data/{name}", data=column, chunks=(7, *column.shape[1:]))
    root.create_array("meta/episode_ends", data=np.array([10, 10, 33, 60]))
    if zipped:
        store.close()
    return columns


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("zipped", [False, True])
def test_replay_buffers_come_in_bit_by_bit(tmp_path: Path, version: int, zipped: bool) -> None:
    path = tmp_path / ("a.zarr.zip" if zipped else "a.zarr")
    columns = push_t(path, version, zipped=zipped)
    store = StreamStore()
    report = store.from_zarr(path, check=True)
    assert store.segments("episode").tolist() == [[0, 10], [10, 33], [33, 60]]
    assert report.episodes == 3
    for name, column in columns.items():
        found = store.read_rows(slice(None), fields=[name])[name]
        assert found.dtype == column.dtype
        assert found.tobytes() == column.tobytes(), name
    first = store.row(0)["file_attrs"]
    assert first == {"version": 3, "nested": '{"a": [1]}', "name": "push"}
    assert not report.changes


def test_arrays_without_ends_are_one_episode(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    root.create_array("x", data=np.arange(1, 11))
    root.create_array("part/y", data=np.arange(1.0, 11.0))
    root.create_array("once", data=np.array(2.5))
    store = StreamStore()
    store.from_zarr(tmp_path / "a.zarr", check=True)
    assert store.fields == ("episode", "once", "part.y", "x")
    assert (store.row(0)["once"], store.row(1)["once"]) == (2.5, None)
    mapped = StreamStore()
    mapped.from_zarr(tmp_path / "a.zarr", map={"value": "part/y"}, check=True)
    assert mapped.read_rows(slice(None))["value"].tolist() == list(range(1, 11))


def test_texts_are_read(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.create_array("text", data=np.array(["a", "é", ""], "U4"))
    store = StreamStore()
    store.from_zarr(tmp_path / "a.zarr", check=True)
    assert [row["text"] for row in store.rows()] == ["a", "é", ""]


def test_chunks_that_are_not_stored_are_named(tmp_path: Path) -> None:
    push_t(tmp_path / "a.zarr", 2)
    (tmp_path / "a.zarr" / "data" / "img" / "1.0.0.0").unlink()
    report = StreamStore().from_zarr(tmp_path / "a.zarr")
    assert report.changes == {
        "data/img": "1 of 9 chunks are not stored and read as the fill value 0"
    }


@pytest.mark.parametrize(
    ("ends", "problem"),
    [
        ([10, 59], "rise to 60 rows, found 59"),
        ([10, 5, 60], "rise to 60 rows"),
        ([], "found no episode"),
        ([1.0, 60.0], "expected a list of ints"),
    ],
)
def test_wrong_ends_are_refused(tmp_path: Path, ends: list[Any], problem: str) -> None:
    push_t(tmp_path / "a.zarr", 3)
    root = zarr.open_group(tmp_path / "a.zarr", mode="a")
    root.create_array("meta/episode_ends", data=np.array(ends or np.zeros(0, int)), overwrite=True)
    with pytest.raises(ValueError, match=rf"a\.zarr: meta/episode_ends: .*{problem}"):
        StreamStore().from_zarr(tmp_path / "a.zarr")


def test_bad_input_names_the_path_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    push_t(path, 2)
    store = StreamStore(tmp_path / "store")
    chunk = path / "data" / "img" / "1.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"img/1\.0\.0\.0: .*bytes, found 50"):
        store.from_zarr(path)
    chunk.unlink()
    root = zarr.open_group(path, mode="a")
    root.create_array("data/short", data=np.arange(59))
    with pytest.raises(ValueError, match=r"a\.zarr: .*short: expected 60 rows, found 59"):
        store.from_zarr(path)
    root.create_array("data/short", data=np.zeros(60, "c8"), overwrite=True)
    with pytest.raises(ValueError, match=r"a\.zarr: data/short: expected numbers"):
        store.from_zarr(path)
    with pytest.raises(FileNotFoundError):
        store.from_zarr(tmp_path / "b.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(ValueError, match=r"b\.zarr: from_zarr: cannot open"):
        store.from_zarr(tmp_path / "b.zarr")
    (tmp_path / "c.zarr.zip").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"c\.zarr\.zip: from_zarr: cannot open"):
        store.from_zarr(tmp_path / "c.zarr.zip")
    zarr.open_group(tmp_path / "d.zarr", mode="w")
    with pytest.raises(ValueError, match="expected arrays, found none"):
        store.from_zarr(tmp_path / "d.zarr")
    assert not store.fields
    store.close()


def test_a_damaged_chunk_names_the_array(tmp_path: Path) -> None:
    push_t(tmp_path / "a.zarr", 3)  # compressed by zstd
    chunk = tmp_path / "a.zarr" / "data" / "img" / "c" / "1" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"a\.zarr: data/img: from_zarr: cannot read rows"):
        StreamStore().from_zarr(tmp_path / "a.zarr")


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"stream-store\[zarr\]"):
        StreamStore().from_zarr(tmp_path)
