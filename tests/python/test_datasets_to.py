"""to_dataset: the file it writes, when it writes it again, and failures to write it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from dataset_helpers import cache
from store_helpers import append_rows, filled, new_store
from stream_store import StreamStore
from stream_store._exchange import to_dataset as module

__all__ = ["cache"]  # a fixture


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_dataset_has_the_declared_features() -> None:
    fields = {
        "label": datasets.ClassLabel(names=["a", "b"]),
        "image": "packed uint8[2,2]",
        "pose": {"x": "float32"},
        "a.b": "string",
    }
    store = StreamStore(fields=fields)
    store.append_step({"label": "b", "image": [[1, 2], [3, 4]], "pose": {"x": 1}, "a.b": "t"})
    ds = store.to_dataset("train")
    assert ds.features == store.features
    assert ds.features["image"] == datasets.Array2D((2, 2), "uint8")
    assert ds.features["label"].names == ["a", "b"]
    assert str(ds.split) == "train"
    assert ds[0] == {"label": 1, "image": [[1, 2], [3, 4]], "pose": {"x": 1.0}, "a.b": "t"}
    assert all(field.nullable for field in ds.data.schema)
    assert ds.info.features == ds.features


def test_an_unchanged_store_reuses_its_file(cache: Path) -> None:
    store = filled(10)
    ds = store.to_dataset()
    (path,) = [Path(file["filename"]) for file in ds.cache_files]
    assert path.is_relative_to(cache)
    written = path.stat().st_mtime_ns
    again = store.to_dataset("test")
    assert again._fingerprint == ds._fingerprint
    assert path.stat().st_mtime_ns == written
    assert store.snapshot().to_dataset()._fingerprint == ds._fingerprint
    assert store.snapshot(9).to_dataset()._fingerprint != ds._fingerprint


def test_a_changed_store_writes_a_new_file() -> None:
    store = new_store()
    seen = {store.to_dataset()._fingerprint}

    def changed() -> None:
        fingerprint = store.to_dataset()._fingerprint
        assert fingerprint not in seen
        seen.add(fingerprint)

    append_rows(store, 3)
    changed()
    store.append([3], ["observation"], [[1.0]])
    changed()
    store.append([3], ["action"], [1])  # continues the same row
    changed()
    store.clear()
    append_rows(store, 3)
    changed()
    store.from_dataset(store.to_dataset())
    changed()
    assert store.to_dataset(step_column="t")._fingerprint not in seen
    assert filled(3).to_dataset()._fingerprint not in seen


def test_two_persistent_stores_have_files_of_their_own(tmp_path: Path) -> None:
    prints = []
    for name in "ab":
        with StreamStore(tmp_path / name, fields={"a": "int64"}) as store:
            store.append_step({"a": 1})
            prints.append(store.to_dataset()._fingerprint)
    with StreamStore(tmp_path / "a", "r") as store:
        assert store.to_dataset()._fingerprint == prints[0]
    assert prints[0] != prints[1]


def test_an_incomplete_file_is_written_again() -> None:
    store = filled(10)
    ds = store.to_dataset()
    path = Path(ds.cache_files[0]["filename"])
    del ds
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not arrow at all"):
        path.write_bytes(damaged)
        assert store.to_dataset().num_rows == 10
        assert len(path.read_bytes()) == len(whole)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_no_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    store = filled(10)

    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, "_check_space", fail)
        with pytest.raises(type(error)):
            store.to_dataset()
    assert files(cache) in ([], ["stream_store.arrow.lock"])
    assert store.to_dataset().num_rows == 10


def test_free_space_is_checked_before_writing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="HF_DATASETS_CACHE"):
        filled(10).to_dataset()
    assert [name for name in files(cache) if not name.endswith(".lock")] == []


def test_leftovers_of_a_killed_writer_are_removed(cache: Path) -> None:
    store = filled(10)
    folder = Path(store.to_dataset().cache_files[0]["filename"]).parent
    (folder / "stream_store.arrow").unlink()
    (folder / "stream_store.arrow.123.tmp").write_bytes(b"half")
    assert store.to_dataset().num_rows == 10
    assert not list(cache.rglob("*.tmp"))


def test_a_dataset_outlives_its_store_and_pickles(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"a": "int64"}) as store:
        store.append_step({"a": 7})
        ds = store.to_dataset()
    del store
    copy = pickle.loads(pickle.dumps(ds))
    assert copy[0] == {"a": 7}
    assert len(pickle.dumps(ds)) < 20_000, "the path travels, not the data"


def add_one(row: dict[str, Any]) -> dict[str, Any]:
    return {"action": row["action"] + 1}


def test_map_works_in_two_processes() -> None:
    ds = filled(10).to_dataset().map(add_one, num_proc=2)
    assert ds["action"][:] == list(range(1, 11))


def test_every_file_is_new_without_caching() -> None:
    store = filled(10)
    datasets.disable_caching()
    a, b = store.to_dataset(), store.to_dataset()
    assert a.cache_files != b.cache_files
    assert a._fingerprint != b._fingerprint
    assert a[:] == b[:]


def test_progress_bars_follow_the_settings_of_datasets(capfd: pytest.CaptureFixture[str]) -> None:
    filled(10).to_dataset()
    assert capfd.readouterr() == ("", "")
    datasets.enable_progress_bars()
    try:
        filled(10).to_dataset()
    finally:
        datasets.disable_progress_bars()
    assert "10/10" in capfd.readouterr().err


def test_an_empty_store_is_an_empty_dataset() -> None:
    ds = new_store().to_dataset("train")
    assert ds.num_rows == 0
    assert ds.features == new_store().features


@pytest.mark.parametrize("split", ["", "a b", "train[:3]", "../x", "a/b"])
def test_invalid_split_names_are_refused(split: str) -> None:
    with pytest.raises(ValueError, match="split"):
        filled(1).to_dataset(split)


def test_invalid_arguments_of_to_dataset_are_refused() -> None:
    with pytest.raises(TypeError, match="split"):
        filled(1).to_dataset(3)
    with pytest.raises(ValueError, match="is the name of a field"):
        filled(1).to_dataset(step_column="action")
    with pytest.raises(ValueError, match="step_column"):
        filled(1).to_dataset(step_column="")
    with pytest.raises(ValueError, match="step_column must be a name or None, not 1"):
        filled(1).to_dataset(step_column=1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no fields are declared"):
        StreamStore().to_dataset()
    closed = filled(1)
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.to_dataset()


def test_files_are_plain_arrow_streams() -> None:
    ds = filled(10).to_dataset()
    with pa.memory_map(ds.cache_files[0]["filename"]) as source:
        table = pa.ipc.open_stream(source).read_all()
    assert table.num_rows == 10
    assert table["action"].to_pylist() == list(range(10))
