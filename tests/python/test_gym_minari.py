"""Recordings of Gymnasium environments as data sets of Minari, compared with the calls themselves.

The rule for an episode that was cut is that of Minari's own `DataCollector`: its last step is
truncated unless it terminated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore

minari = pytest.importorskip("minari")
from gymnasium import vector  # noqa: E402

from gym_model import RandomEnds, act, act_vector, make_vector  # noqa: E402
from stream_store.gym import RecordToStore, RecordVectorToStore  # noqa: E402


def collected(log: list[dict[str, Any]]) -> list[dict[str, list[Any]]]:
    """The episodes with a step in the calls of one environment, as Minari collects them."""
    episodes: list[dict[str, list[Any]]] = []
    for call in log:
        if "action" not in call:
            episodes.append({name: [] for name in ("obs", "action", "reward", "ends", "cuts")})
        else:
            episodes[-1]["action"].append(int(call["action"]))
            episodes[-1]["reward"].append(np.float32(call["reward"]))
            episodes[-1]["ends"].append(call["terminated"])
            episodes[-1]["cuts"].append(call["truncated"])
        episodes[-1]["obs"].append(call["obs"])
    episodes = [one for one in episodes if one["action"]]
    for one in episodes:
        if not one["ends"][-1]:
            one["cuts"][-1] = True
    return episodes


def assert_equal(dataset: Any, expected: list[dict[str, list[Any]]]) -> None:
    assert dataset.total_episodes == len(expected)
    for one, wanted in zip(dataset.iterate_episodes(), expected, strict=True):
        np.testing.assert_array_equal(one.observations, wanted["obs"])
        assert one.actions.tolist() == wanted["action"]
        assert one.rewards.tolist() == wanted["reward"]
        assert one.terminations.tolist() == wanted["ends"]
        assert one.truncations.tolist() == wanted["cuts"]


@pytest.mark.parametrize("block_bytes", [100, 1 << 24])
def test_cut_episodes_of_one_environment(
    tmp_path: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = "stream_store._convert.exporting.row_blocks.__defaults__"
    monkeypatch.setattr(defaults, (block_bytes,))
    store = StreamStore()
    with RecordToStore(RandomEnds(), store) as env:
        for seed in range(4):  # each call cuts the last episode of the one before
            act(env, 25, seed)
        env.reset()  # and this episode has no step
        log = env.env.log
    report = store.to_minari(tmp_path / "rec-v0", check=True)
    expected = collected(log)
    assert any(one["cuts"][-1] and not one["ends"][-1] for one in expected)
    assert "last row" in report.changes["truncations"]
    (place, why), *_ = report.left_out.items()
    assert "without a step" in why
    assert str(store.num_rows - 1) in f"{place}: {why}"
    assert_equal(minari.MinariDataset(tmp_path / "rec-v0" / "data"), expected)


@pytest.mark.parametrize("mode", list(vector.AutoresetMode))
def test_a_vector_of_environments(tmp_path: Path, mode: Any) -> None:
    store = StreamStore()
    envs = RecordVectorToStore(make_vector("sync", mode, 3), store)
    act_vector(envs, 60)
    logs = list(envs.env.get_attr("log"))
    envs.close()
    store.to_minari(tmp_path / "rec-v0", check=True)
    dataset = minari.MinariDataset(tmp_path / "rec-v0" / "data")
    expected = [one for log in logs for one in collected(log)]
    found = {tuple(one.rewards.tolist()): one.id for one in dataset.iterate_episodes()}
    assert len(found) == len(expected)
    expected.sort(key=lambda one: found[tuple(one["reward"])])
    assert_equal(dataset, expected)
