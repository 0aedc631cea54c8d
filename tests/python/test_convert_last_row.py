"""After an import, samplers of the same open store draw all rows, also the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSampler


def make_lerobot(path: Path) -> Callable[..., Any]:
    pytest.importorskip("pyarrow")
    store = StreamStore(fields={"done": "bool", "a": "int64", "task": "string", "success": "bool"})
    store.extend({"done": [0, 1, 0, 0, 1], "a": np.arange(5), "success": [1, None, 0, None, None]})
    options: Any = {"fields": ["a"], "task": "push", "episode_fields": ["success"]}
    store.to_lerobot(path, fps=10, by="done", **options)
    return lambda store, **more: store.from_lerobot(path, **more)


def make_minari(path: Path) -> Callable[..., Any]:
    pytest.importorskip("minari")
    ends: Any = {name: [1, 0, None, 0, None] for name in ("action", "reward")}
    ends |= {name: [False, True, None, False, None] for name in ("terminated", "truncated")}
    store = StreamStore(
        fields={
            **{"episode": "int64", "obs": {"x": "float32[2]"}, "action": "int64"},
            **{"reward": "float32", "terminated": "bool", "truncated": "bool"},
            "info": {"y": "int64"},
        }
    )
    many = {"obs": {"x": np.ones((5, 2))}, "info": {"y": [1, 2, None, 3, None]}}
    store.extend({"episode": [0, 0, 0, 1, 1], **many, **ends})
    store.to_minari(path / "made-v0")
    return lambda store, **more: store.from_minari(path / "made-v0", **more)


def make_mcap(path: Path) -> Callable[..., Any]:
    pytest.importorskip("mcap")
    from mcap_files import write_raw

    messages = [(topic, 10 * i, b"x") for i in range(3) for topic in ("/a", "/b")[: 2 - i % 2]]
    write_raw(path / "made.mcap", {"/a": ("", None), "/b": ("", None)}, messages)
    return lambda store, **more: store.from_mcap(path / "made.mcap", **more)


def make_hdf5(path: Path) -> Callable[..., Any]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path / "made.h5", "w") as file:
        for i in range(2):
            for name in ("actions", "obs/x", "success")[: 3 - i]:
                file[f"data/demo_{i}/{name}"] = np.ones((3, 2))
    return lambda store, **more: store.from_hdf5(path / "made.h5", **more)


def make_zarr(path: Path) -> Callable[..., Any]:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(path / "made.zarr", mode="w")
    for name, values in (("data/a", np.ones((5, 2))), ("meta/episode_ends", np.array([2, 5]))):
        group.create_array(name, shape=values.shape, dtype=values.dtype)[:] = values
    return lambda store, **more: store.from_zarr(path / "made.zarr", **more)


MAKERS = {
    "lerobot": make_lerobot,
    "minari": make_minari,
    "mcap": make_mcap,
    "hdf5": make_hdf5,
    "zarr": make_zarr,
}


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_the_last_row_is_complete(tmp_path: Path, kind: str, persistent: bool) -> None:
    read = MAKERS[kind](tmp_path / "source" if kind == "lerobot" else tmp_path)
    with StreamStore(tmp_path / "store" if persistent else None) as store:
        rows = 0
        for append in (False, True):
            rows += read(store, append=append, check=True).rows
            assert store.complete_rows == store.num_rows == rows
            assert WindowSampler(store, 1, unit="row", batch_size=2).num_starts == rows


def test_the_last_row_repeats_the_task(tmp_path: Path) -> None:
    store = StreamStore()
    make_lerobot(tmp_path / "source")(store)
    assert store.fields[:1] + store.fields[-1:] == ("success", "task")
    assert [row["task"] for row in store.rows()] == ["push", None, "push", None, "push"]
    assert store.to_lerobot(tmp_path / "again", fps=10, missing="drop", fields=["a"]).rows == 5


def test_the_terminal_transition_of_an_imported_data_set_is_drawn(tmp_path: Path) -> None:
    store = StreamStore()
    make_minari(tmp_path)(store)
    pairs = WindowSampler(store, 2, unit="row", batch_size=2, segment_by="episode")
    assert pairs.num_starts == store.read_rows(slice(None))["_mask"]["action"].sum() == 3
    assert store.to_minari(tmp_path / "again-v0", check=True).episodes == 2


def test_an_imported_recording_is_exported_with_its_channels(tmp_path: Path) -> None:
    store = StreamStore()
    read = make_mcap(tmp_path)
    read(store)
    assert store.row(-1)["_mcap"] == ""
    store.to_mcap(tmp_path / "again.mcap", check=True)
    copy = StreamStore()
    copy.from_mcap(tmp_path / "again.mcap")
    assert repr(list(copy.rows())) == repr(list(store.rows()))
