"""Damaged Parquet and Arrow files: every error names the file, in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from cli_helpers import cli
from stream_store import StreamStore

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PLACES = 25  # where a file is damaged
BAD_TEXT = [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]


def table() -> Any:
    rows = np.arange(3000)
    return pa.table({"a": rows, "b": rows / 7, "s": [f"text {i}" for i in rows]})


def write(path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table(), path, row_group_size=500)
        return
    make = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as file, make(file, table().schema) as writer:
        writer.write_table(table(), 500)


def damages(data: bytes) -> Iterator[bytes]:
    """The file cut off, and with zeros, ones and other bytes at many places."""
    for i in range(PLACES):
        place = i * len(data) // PLACES
        yield data[:place]
        for wrong in (b"\0" * 40, b"\xff" * 40, bytes(range(40))):
            yield data[:place] + wrong + data[place + 40 :]


def refusals(path: Path, named: Path, convert: Callable[[], object]) -> int:
    """Damage a file in all ways; how many are refused, each with an error that names `named`."""
    data = path.read_bytes()
    errors: list[ValueError] = []
    for damaged in damages(data):
        path.write_bytes(damaged)
        try:
            convert()
        except ValueError as error:
            errors.append(error)
    path.write_bytes(data)
    for error in errors:
        assert type(error) is ValueError
        assert str(error).startswith(str(named)), error
        assert "\n" not in str(error)
    return len(errors)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows"])
def test_every_error_of_a_damaged_file_names_it(tmp_path: Path, suffix: str) -> None:
    """Errors of damaged pages, footers and messages were those of pyarrow, without a name."""
    path = tmp_path / f"t{suffix}"
    write(path)

    def convert() -> None:
        target = tmp_path / "new"
        try:
            stream_store.convert(path, target, source_format=suffix[1:].rstrip("s"))
        finally:
            assert not list(tmp_path.glob(".new*"))
            shutil.rmtree(target, ignore_errors=True)

    assert refusals(path, path, convert) > PLACES
    convert()


def test_the_command_answers_a_damaged_page_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = b"\0" * 300
    path.write_bytes(data)
    errors = cli("convert", path, tmp_path / "new", code=3)
    assert errors.startswith(f"stream-store: {path}: convert: the file cannot be read: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (pa.table([[1], [2]], ["a", "a"]), "the columns have a duplicate name: a, a"),
        (pa.table({}), "no fields: expected at least one name"),
        (
            pa.table({"s": pa.Array.from_buffers(pa.string(), 1, BAD_TEXT)}),
            "new: append: row 0 of the call: field 's' (type id 0): byte 0xff is not a valid str",
        ),
    ],
)
def test_columns_that_cannot_be_imported_name_the_file(
    tmp_path: Path, columns: Any, problem: str
) -> None:
    """A text that is not valid named the hidden directory in which the new store was made."""
    pq.write_table(columns, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet: convert: ") as refused:
        stream_store.convert(tmp_path / "t.parquet", tmp_path / "new")
    assert problem in str(refused.value)
    assert ".tmp-" not in str(refused.value)


def test_errors_of_the_operating_system_keep_their_type(tmp_path: Path) -> None:
    missing = tmp_path / "none.parquet"
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        stream_store.convert(missing, tmp_path / "new", source_format="parquet")


# --- data sets of several files ---


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A LeRobotDataset."""
    store = StreamStore(fields={"episode": "int64", "x": "float64[3]", "task": "string"})
    x = np.arange(3000.0).reshape(-1, 3)
    store.extend({"episode": np.arange(1000) // 100, "x": x, "task": ["go"] * 1000})
    store.to_lerobot(tmp_path / "set", fps=10, by="episode", fields=["x"])
    return tmp_path / "set"


@pytest.mark.parametrize(
    "name",
    [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/tasks.parquet",
    ],
)
def test_a_damaged_file_of_lerobot_is_named(dataset: Path, name: str) -> None:
    # What a file says may differ from what another says; then the directory is named.
    def convert() -> None:
        with StreamStore() as store:
            store.from_lerobot(dataset)

    assert refusals(dataset / name, dataset, convert) > PLACES
    (dataset / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{dataset / name}: from_lerobot: the file cannot be"):
        convert()


def test_a_video_without_a_place_is_refused(dataset: Path) -> None:
    info = dataset / "meta/info.json"
    feature = '"features": {"v": {"dtype": "video", "shape": [4, 6, 3], "names": null}, '
    info.write_text(info.read_text().replace('"features": {', feature))
    with StreamStore() as store, pytest.raises(ValueError, match="lacks the columns videos/v/chu"):
        store.from_lerobot(dataset)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_damaged_episode_of_minari_is_named(tmp_path: Path, form: str) -> None:
    spaces = pytest.importorskip("gymnasium.spaces")
    storage = pytest.importorskip("minari.data_collector.episode_buffer")
    from minari.dataset.minari_storage import MinariStorage

    box = spaces.Box(-1, 1, (3,), np.float32)
    (tmp_path / "data").mkdir()
    made = MinariStorage.new(tmp_path / "data", box, box, data_format=form)
    buffer = storage.EpisodeBuffer(
        id=0,
        observations=np.zeros((101, 3), np.float32),
        actions=np.zeros((100, 3), np.float32),
        rewards=[0.5] * 100,
        terminations=[False] * 100,
        truncations=[False] * 100,
        infos={},
    )
    made.update_episodes([buffer])
    made.update_metadata({"dataset_id": "test-v0", "minari_version": "0.5.4"})
    episode = tmp_path / "data" / "0"
    (file,) = (one for one in episode.iterdir() if one.suffix != ".json")

    def convert() -> None:
        with StreamStore() as store:
            store.from_minari(tmp_path)

    assert refusals(file, episode, convert) > PLACES
