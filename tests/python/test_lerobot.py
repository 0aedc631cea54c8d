"""LeRobotDataset v3.0 in both directions, read by pandas, datasets and the lerobot package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from stream_store import StreamStore
from stream_store._convert import exporting

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
datasets = pytest.importorskip("datasets")
pq = pytest.importorskip("pyarrow.parquet")

DTYPES = [
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
]
SHAPES = [(), (3,), (2, 3), (2, 1, 3), (2, 1, 2, 3), (1, 2, 1, 2, 3)]
LENGTHS = [4, 1, 7]
ROWS = sum(LENGTHS)


def random_values(dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Any bits, so NaN and extremes too; bools are 0 or 1."""
    kind = np.dtype(dtype)
    rng = np.random.default_rng([*shape, kind.itemsize])
    if dtype == "bool":
        return rng.integers(0, 2, (ROWS, *shape)).astype(bool)
    raw = rng.integers(0, 256, (ROWS, *shape, kind.itemsize), dtype=np.uint8)
    return raw.view(kind)[..., 0]


def make_columns() -> tuple[dict[str, str], dict[str, Any]]:
    """Fields and columns of every dtype and shape."""
    fields = {"episode_index": "int64", "task": "string", "note": "packed string"}
    episodes = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    columns: dict[str, Any] = {
        "episode_index": episodes,
        "task": ["push" if i == 0 else None for i in range(ROWS - 1)] + ["pull"],
        "note": [f"ä{i}" for i in range(ROWS)],
    }
    for dtype in DTYPES:
        for shape in SHAPES if dtype in ("float32", "uint8") else SHAPES[:3]:
            name = f"{dtype}.{len(shape)}"
            dims = f"[{','.join(map(str, shape))}]" if shape else ""
            packed = len(shape) > 1 and np.dtype(dtype).itemsize <= 4
            fields[name] = f"packed {dtype}{dims}" if packed else dtype + dims
            columns[name] = random_values(dtype, shape)
    return fields, columns


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with every dtype, made from a store."""
    fields, columns = make_columns()
    root = tmp_path_factory.mktemp("lerobot") / "set"
    with StreamStore(fields=fields) as store:
        store.extend(columns)
        report = store.to_lerobot(root, fps=10, images=None, robot_type="arm", check=True)
    assert (report.rows, report.episodes) == (ROWS, 3)
    return root


def test_names_of_files(written: Path) -> None:
    found = sorted(str(path.relative_to(written)) for path in written.rglob("*") if path.is_file())
    assert found == [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
    ]


def test_round_trip_keeps_every_bit(written: Path) -> None:
    fields, columns = make_columns()
    with StreamStore() as store:
        report = store.from_lerobot(written, check=True)
        assert report.left_out.keys() == {"index", "task_index"}
        assert store.complete_rows == store.num_rows == ROWS  # samplers draw the last row, too
        for name in fields:
            if name in ("task", "note"):
                continue
            found = store.read_rows(slice(None), fields=[name])[name]
            assert found.dtype == columns[name].dtype
            assert found.tobytes() == np.ascontiguousarray(columns[name]).tobytes(), name
        rows = list(store.rows())
    assert [row["note"] for row in rows] == columns["note"]
    tasks = [row["task"] for row in rows]
    assert tasks == ["push", *[None] * 3, "push", "push", *[None] * 5, "pull"]


@pytest.mark.parametrize("episodes", ["x", 5, [0.5], [None]])
def test_wrong_numbers_of_episodes_are_refused(written: Path, episodes: Any) -> None:
    with StreamStore() as store:
        with pytest.raises(ValueError, match="from_lerobot: episodes must be a list of ints, not"):
            store.from_lerobot(written, episodes=episodes)
        store.from_lerobot(written, episodes=np.array([1]))
        assert store.num_rows == LENGTHS[1]


def test_other_libraries_read_the_layout(written: Path) -> None:
    columns = make_columns()[1]
    info = json.loads((written / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["robot_type"]) == ("v3.0", 10, "arm")
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, ROWS, 2)
    assert info["splits"] == {"train": "0:3"}
    assert info["features"]["float32.3"] == {"dtype": "float32", "shape": [2, 1, 3], "names": None}
    tasks = pd.read_parquet(written / "meta/tasks.parquet")
    assert tasks.index.name == "task"
    assert tasks.task_index.to_dict() == {"push": 0, "pull": 1}
    table = datasets.Dataset.from_parquet(
        str(written / "data/chunk-000/file-000.parquet"), cache_dir=str(written.parent / "cache")
    )
    found = np.array(table["float32.3"][:], np.float32)
    np.testing.assert_array_equal(found, columns["float32.3"])
    assert table["index"][:] == list(range(ROWS))
    assert table["frame_index"][:] == [i for n in LENGTHS for i in range(n)]
    assert table["task_index"][:] == [0] * (ROWS - 1) + [1]
    times = np.array(table["timestamp"][:], np.float32)
    assert times.tolist() == [np.float32(i / 10) for n in LENGTHS for i in range(n)]
    assert table["note"][:] == columns["note"]
    episodes = pd.read_parquet(written / "meta/episodes/chunk-000/file-000.parquet")
    assert episodes.length.tolist() == LENGTHS
    assert episodes.dataset_to_index.tolist() == np.cumsum(LENGTHS).tolist()
    assert [list(one) for one in episodes.tasks] == [["push"], ["push"], ["push", "pull"]]


def test_statistics_are_those_of_numpy(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((30, 4))
    with StreamStore(fields={"e": "int64", "x": "float64[4]", "n": "uint8"}) as store:
        store.extend({"e": np.arange(30) // 10, "x": values, "n": np.arange(30) + 200})
        store.to_lerobot(tmp_path / "set", fps=5, by="e", fields=["x", "n"])
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    for name, data in {"x": values, "n": (np.arange(30.0) + 200)[:, None]}.items():
        for key in ("min", "max", "mean", "std"):
            np.testing.assert_allclose(stats[name][key], getattr(np, key)(data, axis=0))
        parts = [np.quantile(part, 0.1, axis=0) for part in np.split(data, 3)]
        np.testing.assert_allclose(stats[name]["q10"], np.mean(parts, axis=0))
        assert stats[name]["count"] == [30]


def test_append_adds_files_and_rewrites_only_meta(written: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "set"
    shutil.copytree(written, root)
    before = (root / "data/chunk-000/file-000.parquet").read_bytes()
    fields, columns = make_columns()
    with StreamStore(fields=fields) as store:
        store.extend(columns)
        with pytest.raises(ValueError, match="append: expected fps 10, as the data set has it"):
            store.to_lerobot(root, fps=11, images=None, robot_type="arm", append=True)
        store.to_lerobot(root, fps=10, images=None, robot_type="arm", append=True, check=True)
    assert (root / "data/chunk-000/file-000.parquet").read_bytes() == before
    assert (root / "data/chunk-000/file-001.parquet").exists()
    with StreamStore() as store:
        assert store.from_lerobot(root, episodes=[3, 5]).rows == LENGTHS[0] + LENGTHS[2]
        assert store.read_rows(slice(None))["episode_index"].tolist() == [3] * 4 + [5] * 7
    index = pq.read_table(root / "data/chunk-000/file-001.parquet").column("index").to_pylist()
    assert index == list(range(ROWS, 2 * ROWS))
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize(
    ("feature", "value", "found"),
    [("float64[3]", [1, 2, 3], r"float64\[3\]"), ("float32[2]", [1, 2], r"float32\[2\]")],
)
def test_append_refuses_a_feature_of_another_form(
    tmp_path: Path, feature: str, value: Any, found: str
) -> None:
    for place, form, item in ((0, "float64[2]", [1, 2]), (1, feature, value)):
        with StreamStore(fields={"x": form}) as store:
            store.append_step({"x": item})
            if not place:
                store.to_lerobot(tmp_path / "set", fps=10, by=())
                continue
            said = rf"append: expected feature 'x' float64\[2\], as the .* but found {found}"
            with pytest.raises(ValueError, match=said):
                store.to_lerobot(tmp_path / "set", fps=10, by=(), append=True)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_images_survive_as_png(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    with StreamStore(fields={"image": "packed uint8[8,6,3]"}) as store:
        store.extend({"image": pixels})
        report = store.to_lerobot(tmp_path / "set", fps=1, by=(), check=True)
    assert report.changes == {"image": "png files"}
    with StreamStore() as copy:
        copy.from_lerobot(tmp_path / "set", check=True)
        cells = [row["image"] for row in copy.rows()]
        image = copy.features["image"]
        found = [np.asarray(image.decode_example(cell)) for cell in cells]
        np.testing.assert_array_equal(np.stack(found), pixels)
        copy.to_lerobot(tmp_path / "again", fps=1, check=True)  # the files are copied
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())["image"]
    np.testing.assert_allclose(
        np.ravel(stats["mean"]), pixels.reshape(-1, 3).mean(0) / 255, rtol=1e-6
    )
    assert np.shape(stats["std"]) == (3, 1, 1)


def test_latest_values_at_regular_times(tmp_path: Path) -> None:
    """Against a model that looks at every row for every frame."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 3_000_000_000, 400))
    present = rng.random((2, 400)) < 0.4
    with StreamStore(fields={"a": "float32", "b": "int16[2]"}) as store:
        steps = np.unique(times)
        n = len(steps)
        a, b = np.arange(n, dtype=np.float32), np.arange(2 * n, dtype=np.int16).reshape(n, 2)
        store.extend(
            {
                "a": np.ma.masked_array(a, ~present[0, :n]),
                "b": [b[i] if present[1, i] else None for i in range(n)],
            },
            steps,
        )
        store.to_lerobot(
            tmp_path / "set", fps=50, by=(), time_field="_step", resample="latest", check=True
        )
    first = max(int(np.argmax(present[0, :n])), int(np.argmax(present[1, :n])))
    seconds = (steps - steps[0]) * 1e-9
    expected = []
    k = 0
    while (now := seconds[first] + k / 50) <= seconds[-1]:
        rows = np.flatnonzero(seconds <= now)
        expected.append((a[rows[present[0, rows]][-1]], b[rows[present[1, rows]][-1]].tolist()))
        k += 1
    table = pq.read_table(tmp_path / "set/data/chunk-000/file-000.parquet")
    found = list(zip(table.column("a").to_pylist(), table.column("b").to_pylist(), strict=True))
    assert found == expected


def frames_of(store: StreamStore, path: Path, **options: Any) -> list[float]:
    """The values of x in resampled frames."""
    store.to_lerobot(
        path, fps=10, by="e", fields=["x"], time_field="t", resample="latest", **options
    )
    return pq.read_table(path / "data/chunk-000/file-000.parquet").column("x").to_pylist()


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_a_long_gap_is_not_filled_with_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """A clock that was set after the first row filled the disk with copies of one frame."""
    monkeypatch.setattr(exporting.row_blocks, "__defaults__", (block,))
    with StreamStore(fields={"e": "int64", "t": "float64", "x": "float64"}) as store:
        store.extend({"e": [0] * 3, "t": [5.0, 5.5, 1.7e9], "x": [1.0, 2.0, 3.0]})
        with pytest.raises(ValueError, match=r"rows 1 and 2 are at 0\.500 s and 1699999995\.0"):
            frames_of(store, tmp_path / "a")
        assert not list(tmp_path.iterdir())
        # A gap between two episodes, or before the first frame, makes no frame.
        store.clear()
        t = [0.0, 1e9, 1e9 + 0.4, 9e9, 9e9 + 60]
        store.extend({"e": [0, 0, 0, 1, 1], "t": t, "x": [None, 1.0, 2.0, 3.0, 4.0]})
        long = [1.0] * 4 + [2.0] + [3.0] * 600 + [4.0]
        assert frames_of(store, tmp_path / "b") == long
        with pytest.raises(ValueError, match=r"so about 600 frames .* at most max_gap=59 s"):
            frames_of(store, tmp_path / "c", max_gap=59)
        store.append_step({"e": 1, "t": 9e9 + 130, "x": 5.0})
        with pytest.raises(ValueError, match=r"rows 4 and 5 are at 60\.000 s and 130\.000 s"):
            frames_of(store, tmp_path / "c")
        expected = [*long, *[4.0] * 699, 5.0]
        assert frames_of(store, tmp_path / "c", max_gap=float("inf")) == expected


@pytest.mark.parametrize("resample", [None, "latest"])
@pytest.mark.parametrize("time", [np.nan, np.inf])
def test_times_that_are_not_finite_are_refused(
    tmp_path: Path, resample: str | None, time: float
) -> None:
    with StreamStore(fields={"t": "float64", "x": "int8"}) as store:
        store.extend({"t": [0.0, time], "x": [1, 2]})
        with pytest.raises(ValueError, match=f"time_field='t': row 1 has the time {time}; expect"):
            store.to_lerobot(tmp_path / "a", fps=10, by=(), time_field="t", resample=resample)


REFUSED = {
    "irregular": (
        {"t": "float64", "x": "int8"},
        {"t": [0, 0.1, 0.3], "x": [1, 2, 3]},
        {"time_field": "t"},
        "row 2 at 0.300000 s instead of 0.200000 s",
    ),
    "missing": ({"x": "int8"}, {"x": [1, None, 3]}, {}, "field 'x' is missing in row 1"),
    "ragged": ({"x": "int8[]"}, {"x": [[1], [1, 2]]}, {}, "row 1: expected 1 items"),
    "kind": ({"x": "timestamp[ns]", "y": "binary"}, {"x": [1]}, {}, r"'x' \(.*'y' \("),
    "float fps": ({"x": "int8"}, {"x": [1]}, {"fps": 10.0}, "fps=10.0: expected an int"),
    "by": ({"x": "int8"}, {"x": [1]}, {"by": None}, r"by= \(--by\) must name the field"),
    "field": ({"x": "int8"}, {"x": [1]}, {"fields": ["z"]}, "fields names 'z'"),
    "gap": ({"x": "int8"}, {"x": [1]}, {"max_gap": 0}, "max_gap=0: expected a positive time"),
    "task": ({"x": "int8"}, {"x": [1]}, {"task": 5}, "task=5: expected a string field, or the"),
    "tasks": ({"x": "int8"}, {"x": [1]}, {"task": ["a", "b"]}, r"task=\['a', 'b'\]: expected a"),
    "fields": ({"x": "int8"}, {"x": [1]}, {"fields": 5}, "fields must be a name or a list of"),
    "facts": ({"x": "int8"}, {"x": [1]}, {"episode_fields": [5]}, "episode_fields must be names"),
    "names": ({"x": "int8"}, {"x": [1]}, {"names": "x"}, "names='x': expected a mapping"),
    "robot": ({"x": "int8"}, {"x": [1]}, {"robot_type": 5}, "robot_type=5: expected a text"),
    "slash": ({"x/y": "int8"}, {"x/y": [1]}, {}, "its name contains '/'"),
    "video": ({"x": "int8"}, {"x": [1]}, {"video": True, "images": None}, "video=True needs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_field_and_leave_nothing(tmp_path: Path, case: str) -> None:
    fields, columns, options, message = REFUSED[case]
    with StreamStore(fields=fields) as store:
        store.extend(columns)
        with pytest.raises(ValueError, match=message):
            store.to_lerobot(tmp_path / "set", **{"fps": 10, "by": (), **options})
    assert list(tmp_path.iterdir()) == []


DROPPED = (
    "a feature is missing there: 'action' in 2; fields= chooses features, and episode_fields= "
    "those that an episode has once"
)


def test_rows_that_lack_a_field_can_be_dropped(tmp_path: Path) -> None:
    with StreamStore(fields={"done": "bool", "action": "float32"}) as store:
        store.extend({"done": [False, True, False, True], "action": [1.0, None, 2.0, None]})
        report = store.to_lerobot(tmp_path / "set", fps=2, by="done", missing="drop", check=True)
        more = store.to_lerobot(tmp_path / "set", fps=2, by="done", missing="drop", append=True)
        store.to_lerobot(tmp_path / "zero", fps=2, by="done", missing="zero")
    assert (report.rows, report.episodes) == (2, 2)
    assert report.left_out == more.left_out == {"2 rows": DROPPED}
    table = pq.read_table(tmp_path / "zero/data/chunk-000/file-000.parquet")
    assert table.column("action").to_pylist() == [1.0, 0.0, 2.0, 0.0]


def test_facts_about_episodes_and_structs(tmp_path: Path) -> None:
    fields = {"e": "int64", "observation": {"state": "float32[2]"}, "success": "bool"}
    with StreamStore(fields=fields) as store:
        state = {"state": np.ones((3, 2), np.float32)}
        store.extend({"e": [0, 0, 1], "observation": state, "success": [True, None, False]})
        store.to_lerobot(tmp_path / "set", fps=2, by="e", episode_fields=["success"])
    with StreamStore() as copy:
        mine = {"ok": "meta/episodes/success", "state": "observation.state"}
        copy.from_lerobot(tmp_path / "set", map=mine, check=True)
        assert [row["ok"] for row in copy.rows()] == [True, None, False]
        with pytest.raises(ValueError, match="map names 'nothing'"):
            copy.from_lerobot(tmp_path / "set", map={"x": "nothing"})


@pytest.mark.parametrize(
    ("feature", "same", "other"),
    [
        ("int8", 3, 4),
        ("float64", float("nan"), 0.0),
        ("string", "a", "b"),
        ("float32[2]", [1, float("nan")], [1, 2]),
        ("int16[]", [1, 2], [1]),
        ("timestamp[us]", 5, 6),
    ],
)
def test_a_fact_has_one_value_in_an_episode(
    tmp_path: Path, feature: str, same: Any, other: Any
) -> None:
    """The first value was written, and the others were lost without a word."""
    with StreamStore(fields={"e": "int64", "x": "int8", "ok": feature}) as store:
        facts = [None, same, same, other, None, other]
        store.extend({"e": [0, 0, 0, 1, 1, 1], "x": [0] * 6, "ok": facts})
        store.to_lerobot(tmp_path / "a", fps=2, by="e", episode_fields=["ok"], check=True)
        episodes = pq.read_table(tmp_path / "a/meta/episodes/chunk-000/file-000.parquet")
        assert str(episodes.column("ok").to_pylist()) == str(
            pa.table(store)["ok"].take([1, 3]).to_pylist()
        )
        store.append_step({"e": 1, "x": 0, "ok": same})
        with pytest.raises(ValueError, match=r"'ok' has several values in episode 1: .* in row 3 "):
            store.to_lerobot(tmp_path / "b", fps=2, by="e", episode_fields=["ok"])
        assert not (tmp_path / "b").exists()


def test_damaged_data_sets_are_refused(written: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "set"
    shutil.copytree(written, root)
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    changes = {
        "found v2.1": {"codebase_version": "v2.1"},
        "expected 9 episodes": {"total_episodes": 9},
        "the file is damaged": {"features": {"x": 1}},
    }
    store = StreamStore()
    for message, change in changes.items():
        path.write_text(json.dumps({**info, **change}))
        with pytest.raises(ValueError, match=message):
            store.from_lerobot(root)
    path.write_text(json.dumps(info))
    data = root / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(data).slice(1), data)
    with pytest.raises(ValueError, match=f"expected {ROWS} rows, as meta"):
        store.from_lerobot(root)
    data.unlink()
    with pytest.raises(FileNotFoundError, match="the data file is missing"):
        store.from_lerobot(root)
    with pytest.raises(FileNotFoundError, match=r"there is no meta/info\.json"):
        store.from_lerobot(tmp_path)
    assert store.fields == ()


def test_the_library_opens_what_is_written(tmp_path: Path) -> None:
    """In a process of its own: lerobot, installed without dependencies by scripts/setup.sh."""
    place = os.environ.get("STREAMSTORE_LEROBOT", str(Path(sys.prefix) / "lerobot"))
    if not Path(place, "lerobot").is_dir():
        pytest.skip("lerobot is not installed")
    rng = np.random.default_rng(0)
    fields = {
        "episode_index": "int64",
        "task": "string",
        "observation.state": "float32[3]",
        "action": "float32[2]",
        "grid": "packed float32[2,3]",
        "image": "packed uint8[16,16,3]",
        "reward": "float32",
        "done": "bool",
    }
    columns: dict[str, Any] = {
        "episode_index": np.repeat([0, 1, 2], LENGTHS),
        "task": ["push" if i % 4 == 0 else None for i in range(ROWS)],
        "image": rng.integers(0, 256, (ROWS, 16, 16, 3), dtype=np.uint8),
        "done": np.arange(ROWS) % 3 == 0,
    }
    for name, shape in {
        "observation.state": (3,),
        "action": (2,),
        "grid": (2, 3),
        "reward": (),
    }.items():
        columns[name] = rng.standard_normal((ROWS, *shape)).astype(np.float32)
    with StreamStore(fields=fields) as store:
        store.extend(columns)
        store.to_lerobot(tmp_path / "set", fps=10)
        store.to_lerobot(tmp_path / "set", fps=10, append=True)
    script = Path(__file__).with_name("lerobot_reader.py")
    environment = {
        **os.environ,
        "PYTHONPATH": place,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, str(script), str(tmp_path / "set"), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "out.npz")
    facts = json.loads((tmp_path / "out.json").read_text())
    assert (facts["fps"], facts["episodes"], facts["frames"]) == (10, 6, 2 * ROWS)
    assert facts["window"] == [3, 2]
    assert set(found["task"]) == {"push"}
    assert found["episode_index"].tolist() == np.repeat(range(6), LENGTHS * 2).tolist()
    for name in ("observation.state", "action", "grid", "reward", "done"):
        np.testing.assert_array_equal(found[name][:ROWS], columns[name])
        np.testing.assert_array_equal(found[name][ROWS:], columns[name])
    images = np.round(found["image"].transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(images[:ROWS], columns["image"])


def test_conversion_between_two_formats(written: Path, tmp_path: Path) -> None:
    report = stream_store.convert(
        written, tmp_path / "rows.parquet", map={"x": "float32.1"}, check=True
    )
    assert (report.rows, report.fields) == (ROWS, ("x",))
