"""HDF5 and Zarr: what an import must say about its source, compared with h5py, zarr and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")


def write(path: Path, arrays: dict[str, Any]) -> Path:
    """Write arrays into an HDF5 file, or into a group of Zarr."""
    if path.suffix == ".zarr":
        root = zarr.open_group(path, mode="w")
        for name, values in arrays.items():
            root.create_array(name, data=np.asarray(values))
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    return path


def read(path: Path, store: StreamStore, **options: Any) -> Any:
    method = store.from_zarr if path.suffix == ".zarr" else store.from_hdf5
    return method(path, check=True, **options)


# --- the field `episode` ---

NUMBERED = {
    "a.h5": {f"data/demo_{i}/{name}": [i, 7] for i in range(3) for name in ("episode", "actions")},
    "a.zarr": {
        "data/episode": [0, 7] * 3,
        "data/actions": [0, 7] * 3,
        "meta/episode_ends": [2, 4, 6],
    },
    "once.h5": {
        **{f"data/demo_{i}/episode": i for i in range(3)},
        **{f"data/demo_{i}/actions": [i, 7] for i in range(3)},
    },
    "group.h5": {
        f"data/demo_{i}/{name}": [i, 7] for i in range(3) for name in ("episode/x", "actions")
    },
}


@pytest.mark.parametrize("name", NUMBERED)
def test_an_array_cannot_replace_the_numbers_of_episodes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, NUMBERED[name])
    store = StreamStore()
    report = read(path, store)
    assert store.segments("episode").tolist() == [[0, 2], [2, 4], [4, 6]]
    left = "episode/x" if name == "group.h5" else "episode"
    assert report.left_out == {
        left: "the field 'episode' has the number of the episode; map= can rename it"
    }
    mapped = StreamStore()
    read(path, mapped, map={"given": left, "action": "actions"})
    assert mapped.segments("episode").tolist() == [[0, 2], [2, 4], [4, 6]]
    assert mapped.row(0)["given"] == 0


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_arrays_of_one_episode_keep_their_own_numbers(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"episode": [3, 3, 4], "x": [1, 2, 3]})
    store = StreamStore()
    report = read(path, store)
    assert store.segments("episode").tolist() == [[0, 2], [2, 3]]
    assert report.changes == {"episode": "the values of episode, not the number of the episode"}


def test_episodes_without_rows_are_reported(tmp_path: Path) -> None:
    sizes = [0, 3, 0, 2]
    demos = {f"data/demo_{i}/actions": np.ones((size, 2)) for i, size in enumerate(sizes)}
    ends = {"data/actions": np.ones((5, 2)), "meta/episode_ends": np.cumsum(sizes)}
    for path in (write(tmp_path / "a.h5", demos), write(tmp_path / "a.zarr", ends)):
        report = read(path, StreamStore())
        assert (report.rows, report.episodes) == (5, 2)
        assert report.left_out == {"2 episodes": "without a row: 0, 2"}
    many = {f"data/demo_{i}/actions": np.ones((i // 49, 2)) for i in range(50)}
    report = read(write(tmp_path / "many.h5", many), StreamStore())
    assert list(report.left_out) == ["49 episodes"]
    assert report.left_out["49 episodes"].endswith("18, 19, …")


# --- texts ---


def test_fixed_length_bytes_are_utf8(tmp_path: Path) -> None:
    texts = ["é", "日", "", "plain"]
    data = np.array([text.encode() for text in texts], "S5")
    path = write(tmp_path / "a.h5", {"text": data, "once": np.bytes_("é".encode())})
    with h5py.File(path, "a") as file:
        file["marked"] = data.astype(h5py.string_dtype("utf-8", 5))
        file.create_dataset("ascii", data=[b"a", b"b", b"", b"c"], dtype=h5py.string_dtype("ascii"))
    store = StreamStore()
    read(path, store)
    assert [row["text"] for row in store.rows()] == texts == [row["marked"] for row in store.rows()]
    assert [row["ascii"] for row in store.rows()] == ["a", "b", "", "c"]
    assert store.row(0)["once"] == "é"
    bad = write(tmp_path / "bad.h5", {"text": np.array([b"a", b"\xff"])})
    with pytest.raises(ValueError, match=r"bad\.h5: /text: expected UTF-8 in rows \[0, 2\)"):
        read(bad, StreamStore())


# --- damage ---


def test_damaged_metadata_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    arrays = {f"data/demo_{i}/{name}": np.ones((3, 2)) for i in range(3) for name in ("obs/a", "b")}
    path = write(tmp_path / "good.h5", arrays)
    with h5py.File(path, "a") as file:
        for i in range(3):
            file[f"data/demo_{i}"].attrs.update({"success": True, "text": "a" * 20})
    good, bad = path.read_bytes(), tmp_path / "bad.h5"
    places = [
        place
        for signature in (b"TREE", b"SNOD", b"HEAP")
        for place in range(len(good))
        if good.startswith(signature, place)
    ]
    assert len(places) > 8
    for place in places:
        bad.write_bytes(good[:place] + b"????" + good[place + 4 :])
        with pytest.raises(ValueError, match=r"^[^\n]*bad\.h5[^\n]*$"):
            StreamStore().from_hdf5(bad)


def test_errors_about_fields_and_values_name_the_source(tmp_path: Path) -> None:
    twice = write(tmp_path / "twice.h5", {"a.b": [1, 2], "a/b": [1, 2]})
    times = np.array(["2020-01-01", "NaT"], "M8[ns]")
    nat = write(tmp_path / "nat.zarr", {"when": times})
    for path, text in ((twice, "field 'a.b': a duplicate name"), (nat, "NaT")):
        for store in (StreamStore(), StreamStore(tmp_path / f"store-{path.name}")):
            with store, pytest.raises(ValueError, match=rf"{path.name}: from_.*{text}"):
                read(path, store)


def test_a_zarr_array_that_is_no_group_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(3))
    with pytest.raises(ValueError, match=r"a\.zarr: from_zarr: expected a group .* an array$"):
        StreamStore().from_zarr(tmp_path / "a.zarr")


def test_a_topic_without_a_name_is_refused_with_its_file(tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    from mcap_files import write_raw

    write_raw(tmp_path / "a.mcap", {"": ("", None)}, [("", 1, b"x")])
    with pytest.raises(ValueError, match=r"a\.mcap: from_mcap: [^\n]*the name is empty[^\n]*$"):
        StreamStore().from_mcap(tmp_path / "a.mcap")
