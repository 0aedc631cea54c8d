"""Exports of rows of several episodes that alternate, as those of vector environments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli_helpers import cli_output
from stream_store import StreamStore

pa = pytest.importorskip("pyarrow")
pytest.importorskip("h5py")
pytest.importorskip("typer")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium.vector import AutoresetMode  # noqa: E402

from stream_store.gym import RecordVectorToStore  # noqa: E402

TICKS = 40


def recorded(path: Path, environments: int, mode: AutoresetMode = AutoresetMode.SAME_STEP) -> Path:
    envs = RecordVectorToStore(
        gymnasium.make_vec(
            "CartPole-v1",
            environments,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": mode},
        ),
        path,
    )
    envs.reset(seed=0)
    for _ in range(TICKS):
        envs.step(np.ones(environments, np.int64))
    envs.close()
    return path


@pytest.mark.parametrize("environments", [2, 3, 8])
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_interleaved_episodes_are_refused(
    tmp_path: Path, environments: int, mode: AutoresetMode
) -> None:
    """Each row became an episode: 8 of 1,687 rows were exported, and the report was no error."""
    path = recorded(tmp_path / "run", environments, mode)
    with StreamStore(path, "r") as recording, StreamStore() as store:
        store.from_arrow(pa.table(recording).drop_columns("env"))
        said = f"rows 0 and {environments} have episode 0, but row 1 has episode 1. Pass lane_by="
        for export in (
            lambda: store.to_minari(tmp_path / "a-v0"),
            lambda: store.to_lerobot(tmp_path / "b", fps=10, by="episode", missing="drop"),
        ):
            with pytest.raises(ValueError, match="interleaved: ") as refused:
                export()
            assert said in str(refused.value)
        assert [one.name for one in tmp_path.iterdir()] == ["run"]
    warned = cli_output("episodes", path)[1]
    assert warned.startswith("stream-store: the rows of several episodes are interleaved: rows 0 ")
    assert warned.count("\n") == 1


def test_rows_that_were_sorted_by_episode_are_exported(tmp_path: Path) -> None:
    with StreamStore(recorded(tmp_path / "run", 3), "r") as store, StreamStore() as by_episode:
        episode = store.read_rows(slice(None), fields=["episode"])["episode"]
        by_episode.from_arrow(pa.table(store).take(np.argsort(episode, kind="stable")))
        report = by_episode.to_minari(tmp_path / "a-v0", check=True)
        whole = [number for number in set(episode.tolist()) if (episode == number).sum() > 1]
        assert report.episodes == len(whole)
        steps = 3 * TICKS
        assert report.rows - report.episodes == steps


def test_one_environment_and_other_fields_are_exported(tmp_path: Path) -> None:
    with StreamStore(recorded(tmp_path / "run", 1), "r") as store:
        assert store.to_minari(tmp_path / "a-v0", check=True).episodes > 1
    assert not cli_output("episodes", tmp_path / "run")[1]
    with StreamStore(fields={"phase": "int64", "x": "int64"}) as store:
        # Phases that return, and episodes of one row, are segments as any others.
        phases = [0, 0, 1, 0, 0, 2, 3, 4, 5, 5, 1, 1, 0]
        store.extend({"phase": phases, "x": np.arange(13)})
        report = store.to_lerobot(tmp_path / "b", fps=10, by="phase", check=True)
        assert report.episodes == len(store.segments("phase")) == 9
        store.extend({"phase": [7, 8, 7], "x": [0, 0, 0]})
        with pytest.raises(ValueError, match="rows 13 and 15 have phase 7, but row 14 has phase 8"):
            store.to_lerobot(tmp_path / "c", fps=10, by="phase")


def test_bool_fields_cut_rows_as_before(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={"done": "bool", "x": "int64"}) as store:
        store.extend({"done": [True] * 5, "x": np.arange(5)})
        assert store.to_lerobot(tmp_path / "a", fps=10, by="done", check=True).episodes == 5
    assert not cli_output("episodes", tmp_path / "run", "--by", "done")[1]
