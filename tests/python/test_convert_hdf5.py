"""from_hdf5: the layouts of robomimic, Isaac Lab, D4RL, ALOHA and others, compared with h5py."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stream_store import StreamStore
from stream_store._convert import arrays, importing

DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i4", ">f8")


def filled(dtype: str, shape: tuple[int, ...]) -> Any:
    """Random bits of a dtype, so that NaN and both zeros occur."""
    data = np.random.default_rng(len(dtype)).bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    values = np.frombuffer(data, np.dtype(dtype)).reshape(shape)
    return values.view("u1") % 2 == 1 if dtype == "?" else values


def imported(path: Path, **options: Any) -> StreamStore:
    store = StreamStore()
    store.from_hdf5(path, check=True, **options)
    return store


def test_every_dtype_comes_in_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "all.hdf5"
    columns = {f"{dtype.strip('>')}{i}": filled(dtype, (20, 2)) for i, dtype in enumerate(DTYPES)}
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=column, chunks=(3, 2), compression="gzip")
        file["scalars"] = np.arange(20)
    store = imported(path)
    for name, column in columns.items():
        found = store.read_rows(slice(None), fields=[name])[name]
        native = column.astype(column.dtype.newbyteorder("="))
        assert found.dtype == native.dtype
        assert found.tobytes() == native.tobytes(), name


def test_texts_lists_and_images_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("text", data=["é" * i for i in range(5)], dtype=h5py.string_dtype())
        file["ascii"] = np.array([b"a", b"bb", b"", b"c", b"d"])
        file["utf8"] = np.array(["é".encode() * i for i in range(5)])  # declared as ASCII
        file["once"] = np.array("é".encode())
        for name, kind in (("jpeg", np.uint8), ("list", np.int32)):
            ragged = file.create_dataset(name, (5,), dtype=h5py.vlen_dtype(kind))
            for i in range(5):
                ragged[i] = np.arange(i)
        file["image"] = filled("u1", (5, 4, 6, 3))
        kinds = h5py.enum_dtype({"RED": 1, "BLUE": 2}, basetype="i2")
        file.create_dataset("kind", data=[1, 2, 1, 2, 1], dtype=kinds)
    row = imported(path).row(4)
    assert (row["text"], row["ascii"], row["jpeg"]) == ("éééé", "d", bytes(range(4)))
    assert row["utf8"] == "éééé"
    assert imported(path).row(0)["once"] == "é"
    assert row["list"].tolist() == [0, 1, 2, 3]
    assert (row["image"] == filled("u1", (5, 4, 6, 3))[4]).all()
    assert (row["kind"], row["kind"].dtype) == (1, np.int16)


def robomimic(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = '{"env_name": "Lift"}'
        for i in range(12):
            group = data.create_group(f"demo_{i}")
            rows = 2 + i
            group.attrs.update({"num_samples": rows, "seed": i})
            if i % 2:
                group.attrs["success"] = True
            group["actions"] = filled("f8", (rows, 7))
            group["obs/image"] = filled("u1", (rows, 8, 8, 3))
            group["obs/robot/q"] = filled("f4", (rows, 3))
            group["initial_state/pose"] = np.full((1, 7), i)
        file["mask/train"] = np.array([f"demo_{i}" for i in range(0, 12, 2)], "S")


def test_robomimic_and_isaac_lab_episodes_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "demos.hdf5"
    robomimic(path)
    store = imported(path)
    segments = store.segments("episode")
    assert [stop - start for start, stop in segments] == [2 + i for i in range(12)]
    firsts = [store.row(int(start)) for start, _ in segments]
    assert [row["episode"] for row in firsts] == list(range(12))
    assert firsts[0]["file_attrs"] == {"env_args": '{"env_name": "Lift"}'}
    assert [row["episode_attrs"]["seed"] for row in firsts] == list(range(12))
    assert [row["episode_attrs"]["success"] for row in firsts[:3]] == [None, True, None]
    assert [row["mask"]["train"] for row in firsts] == [i % 2 == 0 for i in range(12)]
    assert (firsts[5]["initial_state"]["pose"] == 5).all()
    assert store.row(1)["episode_attrs"] is None
    with h5py.File(path) as file:
        expected = np.concatenate([file[f"data/demo_{i}/obs/image"][:] for i in range(12)])
    assert (store.read_rows(slice(None))["obs"]["image"] == expected).all()


def test_the_report_names_what_is_not_as_in_the_file(tmp_path: Path) -> None:
    """Episodes without rows vanished from an import without a word."""
    path = tmp_path / "demos.hdf5"
    with h5py.File(path, "w") as file:
        for i, rows in enumerate((0, 2, 0, 3)):
            file[f"data/demo_{i}/actions"] = np.zeros((rows, 2))
    store = StreamStore()
    report = store.from_hdf5(path, check=True)
    assert report.left_out == {"2 episodes": "without a row: 0, 2"}
    assert (report.episodes, report.changes) == (2, {})


def test_d4rl_episodes_end_at_terminals_and_timeouts(tmp_path: Path) -> None:
    path = tmp_path / "d4rl.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = filled("f4", (50, 3))
        file["actions"] = filled("f4", (50, 2))
        file["rewards"] = np.arange(50, dtype=np.float32)
        file["terminals"] = np.arange(50) % 20 == 9
        file["timeouts"] = np.arange(50) == 34
        file["infos/qpos"] = filled("f8", (50, 4))
        file["metadata/algorithm"] = "SAC"
        file["metadata/policy/weight"] = filled("f4", (3, 4))
    store = imported(path)
    assert store.segments("episode").tolist() == [[0, 10], [10, 30], [30, 35], [35, 50]]
    assert store.row(0)["metadata"]["algorithm"] == "SAC"
    assert (store.read_rows(slice(None))["reward" + "s"] == np.arange(50)).all()
    flat = imported(path, layout="flat")
    assert len(flat.segments("episode")) == 1


def test_a_directory_has_an_episode_per_file(tmp_path: Path) -> None:
    for i in (0, 2, 10):
        with h5py.File(tmp_path / f"episode_{i}.hdf5", "w") as file:
            file.attrs["sim"] = True
            file["action"] = np.full((3, 2), i, np.float32)
            file["observations/images/top"] = np.full((3, 4, 4, 3), i, np.uint8)
    store = imported(tmp_path)
    assert store.read_rows(slice(None))["action"][::3, 0].tolist() == [0, 2, 10]
    assert store.read_rows(slice(None))["episode"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert store.row(3)["file_attrs"] == {"sim": True}


def test_groups_at_the_top_are_episodes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for i in range(11):
            file[f"traj_{i}/x"] = np.full(2, i)
    store = imported(tmp_path / "a.hdf5")
    assert store.read_rows(slice(None))["x"][::2].tolist() == list(range(11))


def test_blocks_do_not_depend_on_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    column = filled("f8", (1000, 5))
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("rewards", data=column, chunks=(37, 5), compression="lzf")
        for name in ("observations", "actions"):
            file[name] = column
        file["terminals"] = np.arange(1000) % 13 == 0
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 1000)
    store = imported(tmp_path / "a.hdf5")
    assert store.read_rows(slice(None))["rewards"].tobytes() == column.tobytes()


def test_an_interrupted_import_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "COMMIT_BYTES", 1)
    robomimic(tmp_path / "demos.hdf5")
    store = StreamStore(tmp_path / "store")

    def stop(done: int, _total: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.from_hdf5(tmp_path / "demos.hdf5", progress=stop)
    assert 0 < store.num_rows < 90
    report = store.from_hdf5(tmp_path / "demos.hdf5", resume=True, check=True)
    assert report.resumed_episodes > 0
    whole = imported(tmp_path / "demos.hdf5")
    assert [repr(row) for row in store.rows()] == [repr(row) for row in whole.rows()]
    store.close()


# --- errors ---


def test_errors_about_fields_and_values_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a.b"] = file["a/b"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"a\.h5: from_hdf5: field 'a\.b': a duplicate name"):
        StreamStore().from_hdf5(path)
    with h5py.File(path, "w") as file:
        file["x"] = np.array([1, 300])
    for place in (None, tmp_path / "store"):
        with StreamStore(place, fields={"episode": "int64", "x": "uint8"}) as store:
            with pytest.raises(ValueError, match=r"a\.h5: from_hdf5: .* field 'x' .*300"):
                store.from_hdf5(path)
            assert store.num_rows == 0
    with StreamStore(tmp_path / "store") as store:
        store.append_step({"episode": 0, "x": 1})
        with pytest.raises(ValueError, match=r"^[^:]*/store has 1 rows: append=True adds"):
            store.from_hdf5(path)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("short", np.arange(9), "short: expected 10 rows, found 9"),
        ("complex", np.zeros(10, "c8"), "/complex: expected numbers, texts or times"),
        ("long", np.zeros(10, np.longdouble), "/long: expected numbers, texts or times"),
        ("records", np.zeros(10, [("a", "i4")]), "/records: expected numbers, texts or times"),
        ("none", np.zeros((10, 0)), "/none: expected items"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    tmp_path: Path, name: str, value: Any, problem: str
) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(10)
        file[name] = value
    store = StreamStore(tmp_path / "store")
    with pytest.raises(ValueError, match=rf"a\.hdf5: .*{problem}"):
        store.from_hdf5(path)
    assert not store.fields
    store.close()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "demos.hdf5"
    robomimic(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"demos\.hdf5: from_hdf5: cannot open"):
        StreamStore().from_hdf5(path)
    path.write_bytes(b"no")
    with pytest.raises(ValueError, match=r"demos\.hdf5: from_hdf5: cannot open"):
        StreamStore().from_hdf5(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        StreamStore().from_hdf5(tmp_path / "other.hdf5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected files"):
        StreamStore().from_hdf5(tmp_path / "empty")


@pytest.mark.parametrize("signature", [b"SNOD", b"TREE", b"HEAP"])
def test_every_error_of_damaged_metadata_names_the_file(tmp_path: Path, signature: bytes) -> None:
    """Some were those of h5py: "Unable to get group info (bad symbol table node signature)"."""
    path = tmp_path / "demos.hdf5"
    with h5py.File(path, "w") as file:
        for i in range(2):
            group = file.create_group(f"data/demo_{i}")
            group["actions"] = np.zeros((3, 2))
            group["obs/q"] = np.zeros(3)
        file["mask/train"] = np.array(["demo_0"], "S")
    data = path.read_bytes()
    places = [found.start() for found in re.finditer(signature, data)]
    assert len(places) > 4
    for place in places:
        path.write_bytes(data[:place] + b"\0\0\0\0" + data[place + 4 :])
        with pytest.raises(ValueError, match="cannot ") as refused:
            StreamStore().from_hdf5(path)
        assert str(refused.value).startswith(f"{path}: "), refused.value
        assert "\n" not in str(refused.value)


def test_a_damaged_chunk_names_the_array_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", data=np.arange(100), chunks=(50,), fletcher32=True)
        where = dataset.id.get_chunk_info(1).byte_offset
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    store = StreamStore(tmp_path / "store", fields={"x": "int64", "episode": "int64"})
    with pytest.raises(ValueError, match=r"a\.hdf5: /x: from_hdf5: cannot read rows"):
        store.from_hdf5(path)
    assert store.num_rows == 0
    store.close()


def test_wrong_layouts_and_maps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["a/x"] = np.arange(10)
        file["empty"] = h5py.Empty("f4")
        file.attrs["none"] = h5py.Empty("f4")
    for layout in ("robomimic", "d4rl"):
        with pytest.raises(ValueError, match=f"layout '{layout}': expected"):
            StreamStore().from_hdf5(path, layout=layout)
    with pytest.raises(ValueError, match="layout 'rlds': expected one of"):
        StreamStore().from_hdf5(path, layout="rlds")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="map names 'y'"):
        StreamStore().from_hdf5(path, map={"x": "y"})
    store = StreamStore()
    report = store.from_hdf5(path, map={"episode": "a/x"})
    assert store.fields == ("episode",)
    assert len(report.left_out) == 2


def test_two_paths_cannot_have_one_field(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["file_attrs"] = np.arange(3)
        file.attrs["a"] = 1
    with pytest.raises(ValueError, match=r"a\.hdf5: file_attrs: two fields have the name"):
        StreamStore().from_hdf5(path)
    assert imported(path, map={"x": "file_attrs"}).fields == ("episode", "x")


def test_a_minari_file_points_to_from_minari(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "main_data.hdf5", "w") as file:
        file["episode_0/observations"] = np.zeros((4, 2))
        file["episode_0/actions"] = np.zeros(3)
    with pytest.raises(ValueError, match="from_minari"):
        StreamStore().from_hdf5(tmp_path / "main_data.hdf5")


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.hdf5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"stream-store\[hdf5\]"):
        StreamStore().from_hdf5(tmp_path / "a.hdf5")
