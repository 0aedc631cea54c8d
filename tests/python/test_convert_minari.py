"""from_minari and to_minari, compared with what Minari itself writes and reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from stream_store import StreamStore, WindowSampler
from stream_store._convert import arrays, exporting
from stream_store.gym import RecordToStore

minari = pytest.importorskip("minari")

from minari.data_collector.episode_buffer import EpisodeBuffer  # noqa: E402
from minari.dataset.minari_storage import MinariStorage  # noqa: E402

OBSERVATIONS = spaces.Dict(
    image=spaces.Box(0, 255, (40, 36, 3), np.uint8),
    small=spaces.Box(0, 255, (4, 4, 3), np.uint8),
    vector=spaces.Box(-1, 1, (3,), np.float32),
    half=spaces.Box(-1, 1, (2,), np.float16),
    both=spaces.Tuple((spaces.Discrete(5), spaces.Box(-1, 1, (2, 2), np.float64))),
    text=spaces.Text(8),
    bits=spaces.MultiBinary(3),
    many=spaces.MultiDiscrete([3, 4]),
)
ACTIONS = spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-1, 1, (2,), np.float32))
FORMS = ("hdf5", "arrow", "parquet")


def stacked(samples: list[Any]) -> Any:
    first = samples[0]
    if isinstance(first, dict):
        return {name: stacked([one[name] for one in samples]) for name in first}
    if isinstance(first, tuple):
        return tuple(stacked([one[i] for one in samples]) for i in range(len(first)))
    return samples if isinstance(first, str) else np.stack(samples)


def make(path: Path, form: str = "hdf5", *, jpeg: bool = False, episodes: int = 4) -> Any:
    """A data set that Minari writes; the first seed does not fit into int64."""
    path.mkdir(parents=True)
    storage = MinariStorage.new(path, OBSERVATIONS, ACTIONS, data_format=form, jpeg_encoding=jpeg)
    OBSERVATIONS.seed(0)
    ACTIONS.seed(0)
    rng = np.random.default_rng(0)
    for i in range(episodes):
        steps = 3 + i
        buffer = EpisodeBuffer(
            id=i,
            seed=None if i == 1 else 2**63 + i,
            options={"level": {"deep": i}} if i % 2 else None,
            observations=stacked([OBSERVATIONS.sample() for _ in range(steps + 1)]),
            actions=stacked([ACTIONS.sample() for _ in range(steps)]),
            rewards=list(rng.normal(size=steps)),
            terminations=[False] * (steps - 1) + [i % 2 == 0],
            truncations=[False] * (steps - 1) + [i % 2 == 1],
            infos={"x": rng.normal(size=(steps + 1, 2)), "in": {"y": np.arange(steps + 1)}},
        )
        storage.update_episodes([buffer])
    storage.update_metadata({"dataset_id": "test-v0", "minari_version": "0.5.4", "author": {"me"}})
    return minari.MinariDataset(path)


def compare(one: Any, other: Any, rows: int) -> None:
    """The values of Minari with the first rows of a batch."""
    if isinstance(one, dict):
        assert set(one) == set(other)
        for name, part in one.items():
            compare(part, other[name], rows)
    elif isinstance(one, tuple):
        for i, part in enumerate(one):
            compare(part, other[str(i)], rows)
    elif isinstance(one, list):
        assert one == other[:rows]
    else:
        assert one.dtype == other.dtype
        assert one.tobytes() == other[:rows].tobytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("jpeg", "block"), [(False, 1), (False, 1 << 24), (True, 1 << 24)])
def test_every_layout_comes_in_as_minari_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, jpeg: bool, block: int
) -> None:
    dataset = make(tmp_path / "data", form, jpeg=jpeg)
    store = StreamStore()
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block)
    report = store.from_minari(tmp_path, check=True)
    assert store.complete_rows == store.num_rows
    sampler = WindowSampler(store, 2, unit="row", batch_size=2, segment_by="episode")
    assert sampler.num_starts == dataset.total_steps
    assert (report.rows, report.episodes) == (dataset.total_steps + 4, 4)
    segments = store.segments("episode")
    for episode, (start, stop) in zip(dataset.iterate_episodes(), segments, strict=True):
        batch = store.read_rows(slice(start, stop))
        steps = stop - start - 1
        compare(episode.observations, batch["obs"], steps + 1)
        compare(episode.actions, batch["action"], steps)
        compare(episode.rewards, batch["reward"], steps)
        compare(episode.terminations, batch["terminated"], steps)
        compare(episode.truncations, batch["truncated"], steps)
        if form == "hdf5":  # Minari 0.5.4 does not read nested infos from Arrow
            compare(episode.infos, batch["info"], steps + 1)
        for flag in ("terminated", "truncated"):  # as in recordings
            assert batch["_mask"][flag].all()
            assert not batch[flag][-1]
        assert not batch["_mask"]["reward"][-1]
        assert not batch["_mask"]["action"]["a"][-1]
    firsts = [store.row(int(start)) for start, _ in segments]
    assert [row["seed"] for row in firsts] == [2**63, None, 2**63 + 2, 2**63 + 3]
    assert json.loads(firsts[3]["options"]) == {"level": {"deep": 3}}
    assert json.loads(firsts[0]["minari"])["author"] == ["me"]


def test_an_imported_data_set_is_written_as_it_was(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data")
    store = StreamStore()
    store.from_minari(tmp_path)
    report = store.to_minari(tmp_path / "again-v3", check=True)
    assert report.episodes == 4
    again = minari.MinariDataset(tmp_path / "again-v3" / "data")
    assert again.spec.dataset_id == "again-v3"
    assert again.observation_space == OBSERVATIONS
    assert again.action_space == ACTIONS
    assert again.total_steps == dataset.total_steps
    assert again.storage.metadata["author"] == {"me"}
    for one, other in zip(dataset.iterate_episodes(), again.iterate_episodes(), strict=True):
        for name in ("observations", "actions", "rewards", "terminations", "truncations", "infos"):
            same(getattr(one, name), getattr(other, name))
    for name in ("seed", "options"):
        found = [one.get(name) for one in again.storage.get_episode_metadata(range(4))]
        assert found == [one.get(name) for one in dataset.storage.get_episode_metadata(range(4))]


def same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert set(one) == set(other)
        for name, part in one.items():
            same(part, other[name])
    elif isinstance(one, tuple):
        for part, second in zip(one, other, strict=True):
            same(part, second)
    elif isinstance(one, list):
        assert one == other
    else:
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


FIELDS = {
    "episode": "int64",
    "seed": "int64",
    "obs": {"x": "float16[2]", "bits": "bool[2]", "on": "bool", "text": "string", "n": "uint8"},
    "action": "int64",
    "reward": "float64",
    "terminated": "bool",
    "note": "string",
}


def recorded() -> StreamStore:
    """Two episodes, and the first row of a third one."""
    store = StreamStore(fields=FIELDS)
    obs = {
        "x": np.arange(10).reshape(5, 2) / 3,
        "bits": np.eye(5, 2, dtype=bool),
        "on": [True, False, True, False, True],
        "text": ["a", "é", "", "b", "c"],
        "n": np.arange(5),
    }
    columns = {
        "episode": [0, 0, 7, 7, 8],
        "seed": [3, None, None, None, None],
        "obs": obs,
        "action": [1, None, 2, None, None],
        "reward": [np.nan, None, -0.0, None, None],
        "terminated": [True, False, None, None, None],
        "note": ["a"] * 5,
    }
    store.extend(columns)
    return store


def test_a_recorded_store_opens_in_minari(tmp_path: Path) -> None:
    action = spaces.Discrete(4)
    report = recorded().to_minari(tmp_path / "walk-v0", action_space=action, check=True)
    assert report.left_out == {
        "note": "Minari has no place for it",
        "row 4": "an episode without a step",
    }
    assert "truncations" in report.changes
    dataset = minari.MinariDataset(tmp_path / "walk-v0" / "data")
    assert dataset.action_space == action
    first, second = dataset.iterate_episodes()
    assert dataset.observation_space["x"].contains(first.observations["x"][0])
    assert dataset.observation_space["text"].contains("é")
    assert np.isnan(first.rewards[0])
    assert np.signbit(second.rewards[0])
    assert first.observations["text"] == ["a", "é"]
    assert first.observations["x"].dtype == np.float16
    assert (first.terminations[0], second.terminations[0]) == (True, False)
    assert [one.get("seed") for one in dataset.storage.get_episode_metadata([0, 1])] == [3, None]
    copy = StreamStore()
    copy.from_minari(tmp_path / "walk-v0", check=True)
    assert copy.num_rows == 4


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_cut_episodes_of_a_recorder_are_truncated_in_minari(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """The recorder marks the cut on the final row, which was refused: no recording was exported."""
    monkeypatch.setattr(exporting.row_blocks, "__defaults__", (block,))
    expected: list[list[tuple[float, bool, bool]]] = []
    with RecordToStore(gymnasium.make("CartPole-v1"), tmp_path / "run") as env:
        for cut in (3, None, 1, None, 7):  # steps until `reset` or `close`; None: until the end
            env.reset(seed=len(expected))
            steps = []
            while len(steps) != cut:
                _, reward, terminated, truncated, _ = env.step(1)
                steps.append((float(reward), terminated, truncated))
                if terminated or truncated:
                    break
            if cut is not None:
                assert not steps[-1][1]
                steps[-1] = (*steps[-1][:2], True)
            expected.append(steps)
    with StreamStore(tmp_path / "run", "r") as store:
        report = store.to_minari(tmp_path / "cart-v0", check=True)
    assert report.changes["truncations"] == (
        "true in the last row of 3 episodes, written for the last step"
    )
    dataset = minari.MinariDataset(tmp_path / "cart-v0" / "data")
    found = [
        list(zip(one.rewards.tolist(), one.terminations, one.truncations, strict=True))
        for one in dataset.iterate_episodes()
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"obs": "nothing"}, "no field 'nothing'"),
        ({"episode": "lap"}, "no field 'lap'"),
        ({"dataset_id": "walk"}, r"expected '\(namespace/\)name-v0'"),
        ({"reward": "note"}, "row 1 is the last one of its episode and has 'note'"),
        ({"action_space": spaces.Box(-1, 1, (2,))}, "its space is a Box"),
        ({"action_space": "x"}, "expected a space of Gymnasium or its JSON, found 'x'"),
        ({"action_space": "5"}, "space of actions: expected a space of Gymnasium as JSON"),
        ({"observation_space": spaces.Dict(y=spaces.Discrete(2))}, "has no part"),
    ],
)
def test_wrong_arguments_leave_nothing(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        recorded().to_minari(tmp_path / "walk-v0", **change)
    assert list(tmp_path.iterdir()) == []


def test_rows_without_a_value_are_refused_by_number(tmp_path: Path) -> None:
    store = StreamStore(
        fields={"episode": "int64", "obs": "int8", "action": "int8", "reward": "int8"}
    )
    store.extend(
        {"episode": [0] * 3, "obs": [1, None, 1], "action": [1, 1, None], "reward": [1, 1, None]}
    )
    with pytest.raises(ValueError, match="row 1 has no 'obs'"):
        store.to_minari(tmp_path / "a-v0")
    complete = StreamStore(fields=dict.fromkeys(["episode", "obs", "action", "reward"], "int8"))
    complete.extend({name: [0, 0] for name in complete.fields})
    with pytest.raises(ValueError, match="expected a last row with only the final observation"):
        complete.to_minari(tmp_path / "a-v0")


# --- damaged data sets ---


def test_map_chooses_fields(tmp_path: Path) -> None:
    make(tmp_path / "data")
    store = StreamStore()
    store.from_minari(tmp_path, map={"v": "observations/vector", "a": "actions/a"}, check=True)
    assert store.fields == ("episode", "v", "a")
    with pytest.raises(ValueError, match="map names 'observations/nothing'"):
        StreamStore().from_minari(tmp_path, map={"v": "observations/nothing"})


@pytest.mark.parametrize("form", FORMS)
def test_damaged_data_sets_are_refused_by_file(tmp_path: Path, form: str) -> None:
    make(tmp_path / "data", form)
    store = StreamStore(tmp_path / "store")
    name = {"hdf5": "main_data.hdf5", "arrow": "2/part-0.arrow", "parquet": "2/part-0.parquet"}[
        form
    ]
    path = tmp_path / "data" / name
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"main_data\.hdf5|data/2"):
        store.from_minari(tmp_path)
    path.unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=r"main_data\.hdf5|data/2"):
        store.from_minari(tmp_path)
    assert not store.fields
    store.close()


def test_arrays_of_another_length_are_refused_by_path(tmp_path: Path) -> None:
    import h5py

    make(tmp_path / "data")
    with h5py.File(tmp_path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/actions/b"]
        file["episode_1/actions/b"] = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match="actions/b: expected 4 items for 4 steps, found 2"):
        StreamStore().from_minari(tmp_path)
    metadata = tmp_path / "data" / "metadata.json"
    metadata.write_text("{}")
    with pytest.raises(ValueError, match=r"episode_1"):
        StreamStore().from_minari(tmp_path)
    metadata.write_text("[")
    with pytest.raises(ValueError, match=r"metadata\.json: from_minari: expected JSON"):
        StreamStore().from_minari(tmp_path)
    with pytest.raises(FileNotFoundError):
        StreamStore().from_minari(tmp_path / "nothing")


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "data", episodes=1)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"stream-store\[minari\]"):
        StreamStore().from_minari(tmp_path)
