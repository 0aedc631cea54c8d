"""Exports of stores in which the episodes of several environments are interleaved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_helpers import cli_output
from stream_store import StreamStore

FIELDS = {
    **{"episode": "int64", "obs": "float32[2]", "note": "string", "action": "int64"},
    **{"reward": "float32", "terminated": "bool", "truncated": "bool", "task": "string"},
}


def interleaved(lane: str, seed: int = 0, ticks: int = 60) -> tuple[StreamStore, list[list[Any]]]:
    """Three environments that append side by side, and the rows of each episode in plain Python.

    Each episode ends with a row that has only an observation. The first row of an environment has
    its task, and no other row has one.
    """
    rng = np.random.default_rng(seed)
    store = StreamStore(fields={lane: "int64", **FIELDS})
    episodes: dict[int, list[Any]] = {}
    current, following = {}, 0
    for tick in range(ticks):
        for env in rng.permutation(3).tolist():
            if env == 2 and tick % 3:
                continue  # a slower one
            first = env not in current
            if first or current[env] is None:
                current[env], following = following, following + 1
            number = current[env]
            row = {lane: env, "episode": number, "obs": rng.normal(size=2), "note": "é" * env}
            if first:
                row["task"] = f"task {env}"
            begun = number in episodes
            if begun and (rng.random() < 0.25 or tick >= ticks - 3):
                current[env] = None  # the final observation
            else:
                action, end = int(rng.integers(5)), bool(rng.random() < 0.5)
                row |= {"action": action, "reward": tick / 2, "terminated": end, "truncated": False}
            row["obs"] = row["obs"].astype(np.float32)
            store.append_step(row)
            episodes.setdefault(number, []).append(row)
    return store, [episodes[number] for number in sorted(episodes)]


def column(rows: list[Any], name: str) -> list[Any]:
    return [row[name] for row in rows if name in row]


@pytest.mark.parametrize("lane", ["env", "robot"])
@pytest.mark.parametrize("block_bytes", [200, 1 << 24])
def test_minari_gets_whole_episodes_of_each_environment(
    tmp_path: Path, lane: str, block_bytes: int, monkeypatch: Any
) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setattr("stream_store._convert.exporting.row_blocks.__defaults__", (block_bytes,))
    store, model = interleaved(lane)
    model = [rows for rows in model if len(rows) > 1]
    chosen = {} if lane == "env" else {"lane_by": lane}
    report = store.to_minari(tmp_path / "made-v0", check=True, **chosen)
    assert (report.episodes, report.rows) == (len(model), sum(map(len, model)))
    found = minari.MinariDataset(tmp_path / "made-v0" / "data")
    for rows, one in zip(model, found.iterate_episodes(), strict=True):
        np.testing.assert_array_equal(one.observations, column(rows, "obs"))
        assert one.actions.tolist() == column(rows, "action")
        assert one.rewards.tolist() == column(rows, "reward")
        assert one.terminations.tolist() == column(rows, "terminated")


@pytest.mark.parametrize("lane", ["env", "robot"])
def test_lerobot_gets_whole_episodes_of_each_environment(tmp_path: Path, lane: str) -> None:
    pytest.importorskip("pyarrow")
    store, model = interleaved(lane, seed=1)
    chosen = {} if lane == "env" else {"lane_by": [lane]}
    to = tmp_path / "made"
    report = store.to_lerobot(to, fps=10, by="episode", missing="drop", check=True, **chosen)
    frames = [[row for row in rows if "action" in row] for rows in model]
    assert report.episodes == len(frames)
    copy = StreamStore()
    copy.from_lerobot(to)
    tasks: list[str] = []  # the import leaves out a task that is that of the row before
    for row in copy.rows():
        tasks.append(tasks[-1] if row["task"] is None else row["task"])
    segments = copy.segments("episode_index")
    for rows, (start, stop) in zip(frames, segments, strict=True):
        batch = copy.read_rows(slice(start, stop))
        np.testing.assert_array_equal(batch["obs"], column(rows, "obs"))
        assert batch["action"].tolist() == column(rows, "action")
        assert batch["note"] == column(rows, "note")
        assert tasks[start:stop] == [f"task {rows[0][lane]}"] * len(rows)


def test_times_are_those_of_the_environment(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    store = StreamStore(fields={"env": "int64", "episode": "int64", "t": "float64"})
    for tick in range(6):
        store.append_step({"env": 0, "episode": 0, "t": tick / 10})
        store.append_step({"env": 1, "episode": 1, "t": 5 + tick / 5 + (tick == 4) * 0.01})
    options = {"fps": 10, "by": "episode", "time_field": "t", "fields": ["t"]}
    with pytest.raises(ValueError, match=r"row 3 at 0\.200000 s instead of 0\.100000 s"):
        store.to_lerobot(tmp_path / "a", **options)
    report = store.to_lerobot(tmp_path / "b", resample="latest", **options)
    assert (report.episodes, report.rows) == (2, 6 + 11)


@pytest.mark.parametrize("kind", ["minari", "lerobot"])
def test_interleaved_episodes_without_a_lane_are_refused(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("minari")
    store, _ = interleaved("robot")
    options = {} if kind == "minari" else {"fps": 10, "by": "episode", "missing": "drop"}
    export = getattr(store, f"to_{kind}")
    with pytest.raises(ValueError, match=rf"to_{kind}: the rows of .* interleaved.*lane_by="):
        export(tmp_path / "a-v0", **options)
    with pytest.raises(ValueError, match="lane_by='note': expected an int field"):
        export(tmp_path / "a-v0", lane_by="note", **options)
    assert not list(tmp_path.iterdir())
    if kind == "lerobot":
        assert export(tmp_path / "a-v0", lane_by=(), **options).episodes > 40


def test_numbers_that_begin_again_are_episodes(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    store = StreamStore(fields={"episode": "int64", "a": "int64"})
    store.extend({"episode": [0, 0, 1, 1, 0, 0, 1, 0], "a": np.arange(8)})
    assert store.to_lerobot(tmp_path / "made", fps=10, by="episode").episodes == 5


def test_the_command_lists_interleaved_segments_with_a_warning(tmp_path: Path) -> None:
    store, _ = interleaved("env")
    rows = store.read_rows(slice(None), fields=["env", "episode"])
    with StreamStore(tmp_path / "run", fields={"env": "int64", "episode": "int64"}) as copy:
        copy.extend({name: rows[name] for name in ("env", "episode")})
    for options in ([], ["--json"], ["--by", "env"]):
        _, errors = cli_output("episodes", tmp_path / "run", *options)
        assert "the rows of several episodes are interleaved" in errors
        assert len(errors.splitlines()) == 1
