"""Imports that add to a store: the episodes stay apart, whatever numbers the source has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore
from stream_store._convert import importing

LENGTHS = [3, 1, 4]


def hdf5_flat(path: Path) -> list[int]:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["actions"] = np.zeros((5, 2), np.float32)
    return [5]


def hdf5_groups(path: Path, first: int = 2) -> list[int]:
    """Groups as those of robomimic, with the numbers from `first` on."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for number, rows in enumerate(LENGTHS, start=first):
            file[f"data/demo_{number}/actions"] = np.zeros((rows, 2), np.float32)
    return LENGTHS


def zarr_group(path: Path) -> list[int]:
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group(path, mode="w")
    root.create_array("data/actions", data=np.ones((8, 2), np.float32))
    root.create_array("meta/episode_ends", data=np.cumsum(LENGTHS))
    return LENGTHS


def lerobot_set(path: Path) -> list[int]:
    pytest.importorskip("pyarrow")
    store = StreamStore(fields={"episode": "int64", "actions": "float32[2]"})
    store.extend({"episode": np.repeat([0, 1, 2], LENGTHS), "actions": np.zeros((8, 2))})
    store.to_lerobot(path, fps=10, by="episode", fields=["actions"])
    return LENGTHS


def minari_set(path: Path) -> list[int]:
    pytest.importorskip("h5py")
    store = StreamStore(
        fields={"episode": "int64", "obs": "float32[2]", "action": "float32[2]"}
        | {"reward": "float32", "terminated": "bool", "truncated": "bool"}
    )
    for episode, rows in enumerate(LENGTHS):
        step = {"episode": episode, "obs": [0, 0]}
        done = {"action": [0, 0], "reward": 0, "terminated": False, "truncated": True}
        for _ in range(rows):
            store.append_step(step | done)
        store.append_step(step)
    store.to_minari(path, dataset_id="test-v0")
    return [rows + 1 for rows in LENGTHS]


Make = Callable[[Path], list[int]]
CASES: dict[str, tuple[str, str, Make, int]] = {
    "flat": ("from_hdf5", "episode", hdf5_flat, 0),
    "groups": ("from_hdf5", "episode", hdf5_groups, 2),
    "zarr": ("from_zarr", "episode", zarr_group, 0),
    "lerobot": ("from_lerobot", "episode_index", lerobot_set, 0),
    "minari": ("from_minari", "episode", minari_set, 0),
}


def numbers_of(store: StreamStore, field: str) -> list[int]:
    return [row[field] for row in store.rows()]


def expected(lengths: list[int], starts: list[int]) -> list[int]:
    """The number of each row, of imports whose episodes count from `starts`."""
    numbers: list[int] = []
    for start in starts:
        for i, rows in enumerate(lengths):
            numbers += [start + i] * rows
    return numbers


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kept", [False, True])
def test_numbers_continue_those_of_the_store(tmp_path: Path, case: str, kept: bool) -> None:
    """Each import counted from 0 again, so that its first episode joined the last one."""
    method, field, make, first = CASES[case]
    lengths = make(tmp_path / "source")
    with StreamStore(tmp_path / "store" if kept else None) as store:
        starts = [first + i * len(lengths) for i in range(3)]
        for place, start in enumerate(starts):
            report = getattr(store, method)(tmp_path / "source", append=place > 0, check=True)
            assert report.episodes == len(lengths)
            old, new = (
                f"{one}" + f" to {one + len(lengths) - 1}" * (len(lengths) > 1)
                for one in (first, start)
            )
            said = {field: f"{old} -> {new}, after those of the store"} if place else {}
            assert report.changes == said
        assert numbers_of(store, field) == expected(lengths, starts)
        lengths_found = np.diff(store.segments(field), axis=1)[:, 0]
        assert lengths_found.tolist() == lengths * 3


def test_parts_of_one_data_set_keep_their_numbers(tmp_path: Path) -> None:
    lerobot_set(tmp_path / "set")
    hdf5_groups(tmp_path / "a", first=4)
    hdf5_groups(tmp_path / "b", first=20)
    with StreamStore() as store:
        store.from_lerobot(tmp_path / "set", episodes=[0])
        report = store.from_lerobot(tmp_path / "set", episodes=[2], append=True, check=True)
        assert not report.changes
        assert numbers_of(store, "episode_index") == [0] * 3 + [2] * 4
    with StreamStore() as store:
        store.from_hdf5(tmp_path / "a")
        assert not store.from_hdf5(tmp_path / "b", append=True).changes
        assert numbers_of(store, "episode") == expected(LENGTHS, [4, 20])


def test_a_field_of_the_user_is_imported_as_it_is(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a", "w") as file:
        file["number"] = np.array([7, 7, 9])
        file["x"] = np.zeros(3)
    with StreamStore() as store:
        chosen = {"episode": "number", "x": "x"}
        for append in (False, True):
            assert not store.from_hdf5(tmp_path / "a", map=chosen, append=append).changes
        assert numbers_of(store, "episode") == [7, 7, 9, 7, 7, 9]


def test_numbers_after_missing_ones_and_dropped_rows(tmp_path: Path) -> None:
    hdf5_flat(tmp_path / "a")
    with StreamStore(fields={"episode": "int64", "actions": "float32[2]"}) as store:
        store.extend({"episode": [3, 8, 5], "actions": np.zeros((3, 2))})
        store.append_step({"actions": [0, 0]})
        store.from_hdf5(tmp_path / "a", append=True)
        assert numbers_of(store, "episode") == [3, 8, 5, None] + [9] * 5
    fields = {"episode": "int64", "actions": "float32[2]"}
    with StreamStore(tmp_path / "s", fields=fields, chunk_bytes=1 << 20) as store:
        store.extend({"episode": np.arange(200_000) // 2, "actions": np.zeros((200_000, 2))})
        store.drop_before(199_999)
        store.from_hdf5(tmp_path / "a", append=True, check=True)
        assert numbers_of(store, "episode") == [99_999] + [100_000] * 5


def test_numbers_without_an_end_are_refused(tmp_path: Path) -> None:
    hdf5_flat(tmp_path / "a")
    with StreamStore(fields={"episode": "uint64", "actions": "float32[2]"}) as store:
        store.append_step({"episode": 2**63, "actions": [0, 0]})
        with pytest.raises(ValueError, match="store has the episode 9223372036854775808, so the"):
            store.from_hdf5(tmp_path / "a", append=True)
        assert store.num_rows == 1


def test_a_resumed_import_continues_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the rows with the greatest number were dropped in between."""
    monkeypatch.setattr(importing, "COMMIT_BYTES", 1)
    hdf5_groups(tmp_path / "a", first=0)
    fields = {"episode": "int64", "actions": "float32[2]"}
    store = StreamStore(tmp_path / "s", fields=fields, chunk_bytes=1 << 20)
    store.extend({"episode": np.full(200_000, 70), "actions": np.zeros((200_000, 2))})

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    arguments: dict[str, Any] = {"append": True, "check": True}
    with pytest.raises(KeyboardInterrupt):
        store.from_hdf5(tmp_path / "a", progress=stop, **arguments)
    assert store.num_rows == 200_003
    store.drop_before(200_000)
    report = store.from_hdf5(tmp_path / "a", resume=True, **arguments)
    assert report.changes == {"episode": "0 to 2 -> 71 to 73, after those of the store"}
    assert numbers_of(store, "episode") == expected(LENGTHS, [71])
    store.close()
