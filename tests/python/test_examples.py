"""The examples run, and the comparison of the demo finds differences."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store

EXAMPLES = Path(__file__).parents[2] / "examples"
FIELDS = {"episode": "int64", "obs": "float32[2]", "reward": "float64", "end": "bool"}


def test_demo_records_samples_compares_and_draws(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(EXAMPLES / "record_and_sample.py"),
        "--steps",
        "2000",
        "--out",
        "out",
    ]
    for _ in range(2):  # the second run replaces the stores of the first
        done = subprocess.run(command, cwd=tmp_path, check=False, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "differences" in done.stdout
    assert "\r" not in done.stdout, "progress is shown on terminals only"
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"CartPole-v1", "Pendulum-v1", "demo.png"}
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    with stream_store.StreamStore(out / "CartPole-v1", mode="r") as store:
        assert store.recovery.state == "clean"
        assert store.num_rows > 2000


def test_datasets_example_ends_with_windows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "datasets_round_trip.py")],
        cwd=tmp_path,
        check=False,
        text=True,
        capture_output=True,
        env={
            **os.environ,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5000 rows" in done.stdout
    assert "(32, 64)" in done.stdout
    with stream_store.StreamStore(tmp_path / "late", mode="r") as store:
        assert store.num_rows == 5000
        assert store.last_step == 9999
        assert store.row(1)["note"] is None


def test_a_learner_on_another_host_follows_the_collector(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "learn_on_another_host.py"), "--seconds", "4"],
        cwd=tmp_path,
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.search(r"learner: +[\d,]+ rows; lag +\d+\.\d+ s; error", done.stdout)
    assert "rows and verifies: True" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the demo."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import demo.compare
    import demo.record

    return demo


def record_three_episodes(parts: Any, path: Path) -> Any:
    rng = np.random.default_rng(0)
    with stream_store.StreamStore(path, mode="x", fields=FIELDS) as store:
        recorder = parts.record.Recorder(store)
        for episode in range(3):
            recorder.log.first_rows.append(recorder.log.rows)
            recorder.begin_row(episode=episode, obs=rng.normal(size=2).astype(np.float32))
            for _ in range(5):
                recorder.complete_row(reward=rng.normal())
                recorder.begin_row(obs=rng.normal(size=2).astype(np.float32))
            recorder.complete_row(end=True)
    return recorder.log


def test_comparison_passes_when_nothing_differs(parts: Any, tmp_path: Path) -> None:
    log = record_three_episodes(parts, tmp_path / "store")
    with stream_store.StreamStore(tmp_path / "store", mode="r") as store:
        assert parts.compare.compare(store, log) == 3 * (1 + 6 + 5 + 1)


@pytest.mark.parametrize(
    ("field", "row", "value"),
    [
        ("reward", 2, 0.5),
        ("reward", 2, None),
        ("end", 0, False),
        ("obs", 1, np.zeros(2)),
        ("episode", 0, 7),
    ],
)
def test_comparison_notices_one_changed_value(
    parts: Any, tmp_path: Path, field: str, row: int, value: Any
) -> None:
    log = record_three_episodes(parts, tmp_path / "store")
    log.columns[field][row] = value
    with (
        stream_store.StreamStore(tmp_path / "store", mode="r") as store,
        pytest.raises(AssertionError),
    ):
        parts.compare.compare(store, log)


def test_comparison_notices_a_sign_of_zero(parts: Any, tmp_path: Path) -> None:
    with stream_store.StreamStore(
        tmp_path / "store", fields={"x": "float64", "episode": "int64"}
    ) as store:
        recorder = parts.record.Recorder(store)
        recorder.log.first_rows.append(0)
        for _ in range(200):
            recorder.begin_row(x=-0.0)
    recorder.log.columns["x"][3] = 0.0
    with (
        stream_store.StreamStore(tmp_path / "store", mode="r") as store,
        pytest.raises(AssertionError, match="'x' differs"),
    ):
        parts.compare.compare(store, recorder.log)


# --- learning ---


def run_example(name: str, *arguments: object, cwd: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        command, cwd=cwd, check=False, text=True, capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_learner_learns_from_a_live_stream(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    arguments = ("--updates", 200, "--steps", 8000, "--out", "out")
    out = run_example("learn_from_stream.py", *arguments, cwd=tmp_path)
    assert float(out.split("error at the end: ")[1].split()[0]) <= 0.5
    assert (tmp_path / "out" / "learning.png").read_bytes().startswith(b"\x89PNG")
    with stream_store.StreamStore(tmp_path / "out" / "stream", mode="r") as store:
        assert store.num_rows > 1000  # the recorder may have been stopped at any row


def test_a_transformer_learns_flat_windows(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = run_example("learn_tokens.py", "--updates", 400, "--steps", 10_000, cwd=tmp_path)
    assert float(out.split("error at the end: ")[1].split()[0]) <= 0.5


def test_prioritised_replay_learns_a_blind_cliffwalk_in_fewer_updates(tmp_path: Path) -> None:
    out = run_example("learn_by_priority.py", "--largest", 8, "--seeds", 3, cwd=tmp_path)
    numbers = [
        line.replace(",", "").split()
        for line in out.split("ratio\n")[1].split("\n\n")[0].splitlines()
    ]
    ratios = {int(one[0]): int(one[2]) / int(one[3]) for one in numbers}
    assert ratios.keys() == {2, 4, 6, 8}
    assert ratios[8] > 4
    assert ratios[2] < ratios[4] < ratios[6] < ratios[8], "the advantage grows with the chain"
    curve = out.split("prioritised\n")[-1].replace(",", "").split()
    assert float(curve[1]) == float(curve[2]) > 0.1, "both begin with the same error"
    assert curve[-1] == "right"
    assert float(curve[-2]) > 0.01, "uniform replay is not done then"


def test_recorded_environments_are_learned_from(tmp_path: Path) -> None:
    if importlib.util.find_spec("gymnasium") is None:
        pytest.skip("gymnasium is missing")
    lake, pole = run_example("record_gymnasium.py", "--steps", 8000, cwd=tmp_path).splitlines()
    assert lake.startswith("FrozenLake: 8,000 transitions")
    assert lake.endswith("return 1.0")
    assert pole.startswith("CartPole: 8,000 transitions")
    assert float(pole.split()[-1]) > 60, "acting at random, it is 22"


def test_batches_reach_jax_without_a_copy(tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:  # importing JAX here would warn about every fork
        pytest.skip("jax is missing")
    assert "0 of their observations copied" in run_example("sample_with_jax.py", cwd=tmp_path)


@pytest.mark.xdist_group("ray")
def test_collectors_and_a_learner_train_a_policy_with_ray(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is missing")
    out = run_example("ray_collect_and_learn.py", cwd=tmp_path)
    assert float(out.split("pole up for ")[-1].split()[0]) >= 475
    rates = [
        float(one.replace(",", "")) for one in re.findall(r"([\d,]+) (?:steps|batches)/s", out)
    ]
    assert len(rates) == 2
    assert min(rates) > 0
    with stream_store.StoreGroup(tmp_path / "ray-output") as group:
        assert len(group) == 2
        assert group.kept_rows > 2000


def test_training_with_stable_baselines3_continues_after_loading(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    out = run_example("train_sb3.py", "--steps", 2000, "--out", "out", cwd=tmp_path)
    assert re.search(r"first run:  .* of 1,0\d\d transitions", out)
    assert re.search(r"second run: .* of 2,0\d\d transitions", out)
    with stream_store.StreamStore(tmp_path / "out" / "transitions", mode="r") as store:
        assert store.num_rows > 2000


def test_a_policy_that_sees_two_images_plans_better_than_with_one(tmp_path: Path) -> None:
    out = run_example("image_policy.py", cwd=tmp_path)
    two, one = (float(part.split()[-1]) for part in re.findall(r"[\d.]+(?= pixels| with 1)", out))
    assert two <= one / 2


def test_a_learner_samples_from_collectors_that_are_killed_and_come_back(tmp_path: Path) -> None:
    out = run_example(
        "many_collectors.py", "--collectors", 4, "--seconds", 8, "--out", "out", cwd=tmp_path
    )
    assert re.search(
        r"[1-9]\d* kills, \d+ stores, .* damaged stores: 0; stores that lost rows: 0", out
    )
    cut_episodes = 0
    for store in stream_store.StoreGroup(tmp_path / "out").values():
        rows = store.read_rows(slice(None))
        same = np.diff(rows["episode"]) == 0
        assert set(np.diff(rows["episode"])) <= {0, 1}
        np.testing.assert_allclose(  # no episode goes on in the state of another
            rows["state"][1:][same], pendulum(rows["state"], rows["torque"])[:-1][same], atol=1e-5
        )
        cut_episodes += int((np.bincount(rows["episode"].astype(int))[:-1] < 200).sum())
    assert cut_episodes > 0  # a collector was killed within an episode and came back in its store


def pendulum(state: np.ndarray, torque: np.ndarray) -> np.ndarray:
    """The states one step of 50 ms after `state`: semi-implicit Euler steps with friction."""
    angle, velocity = state.astype(float).T
    velocity = velocity + 0.05 * (9.81 * np.sin(angle) - 0.1 * velocity + torque)
    return np.stack([angle + 0.05 * velocity, velocity], axis=1)
