"""C++ and Python on one store: each reads, value by value, the rows that the other recorded."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from model_process import PATIENCE
from package_helpers import ROOT, run
from stream_store import StreamStore

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def programs(static_prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The examples, built as projects of their own against the installed library."""
    built = {}
    for name in ("cpp_collector", "cpp_learner"):
        build = tmp_path_factory.mktemp(name)
        prefix = f"-DCMAKE_PREFIX_PATH={static_prefix}"
        run("cmake", "-G", "Ninja", "-S", EXAMPLES / name, "-B", build, prefix)
        run("cmake", "--build", build)
        built[name] = build / name
    return built


@pytest.fixture(scope="module")
def recorded(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, str]:
    """A store that the collector wrote while the learner followed it; what both printed."""
    path = tmp_path_factory.mktemp("robot") / "store"
    with subprocess.Popen(
        [programs["cpp_learner"], path, "imu"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as learner:
        collected = run(programs["cpp_collector"], path, "2")
        learned, _ = learner.communicate(timeout=PATIENCE)
    assert learner.returncode == 0, learned
    return path, collected, learned


def test_collector_prints_a_histogram_of_every_sensor(recorded: tuple[Path, str, str]) -> None:
    _, collected, _ = recorded
    for sensor, appends in {"imu": 2000, "joints": 400, "camera": 61}.items():
        block = re.search(rf"^{sensor}: (\d+) appends.*\n((?:  < .*\n)+)", collected, re.M)
        assert block is not None
        assert int(block[1]) == appends
        counts = [int(count) for count in re.findall(r"µs +(\d+)", block[2])]
        assert sum(counts) == appends


def test_python_finds_every_value_that_cpp_recorded(recorded: tuple[Path, str, str]) -> None:
    store = StreamStore(recorded[0], mode="r")
    rows = store.read_rows(np.arange(store.num_rows))
    assert rows["_step"].tolist() == list(range(2461))
    present = rows["_mask"]
    assert present["stamp"].all()
    assert present["sample"].all()
    periods = {"imu": 1_000_000, "position": 5_000_000, "image": 33_333_333}
    counts = {"imu": 2000, "position": 400, "image": 61}
    for field, period in periods.items():
        own = present[field]
        samples = np.arange(counts[field])
        assert rows["sample"][own].tolist() == samples.tolist()
        assert rows["stamp"][own].tolist() == (samples * period).tolist()
    assert (present["imu"].astype(int) + present["position"] + present["image"] == 1).all()

    i = np.arange(2000)[:, None]
    np.testing.assert_array_equal(
        rows["imu"][present["imu"]], (i % 1000 * 0.25 + np.arange(6)).astype(np.float32)
    )
    i = np.arange(400)[:, None]
    angle = i / 128 + np.arange(7)
    np.testing.assert_array_equal(rows["position"][present["position"]], angle)
    assert np.flatnonzero(present["position"] & ~present["velocity"]).size == 1
    np.testing.assert_array_equal(rows["velocity"][present["velocity"]], -angle[1:])
    i = np.arange(61)[:, None, None, None]
    frames = (i + np.arange(48 * 64 * 3).reshape(48, 64, 3)).astype(np.uint8)
    np.testing.assert_array_equal(rows["image"][present["image"]], frames)


def test_learner_sampled_while_the_collector_wrote(recorded: tuple[Path, str, str]) -> None:
    seen = [int(rows) for rows in re.findall(r"^(\d+) rows; mean", recorded[2], re.M)]
    assert len(seen) >= 2
    assert seen == sorted(seen)
    assert seen[0] < 2461


def test_cpp_finds_every_value_that_python_recorded(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    fields = {"obs": "float32[3]", "tokens": "int64[]", "text": "string", "done": "bool"}
    total = items = writes = 0
    observations = []
    with StreamStore(tmp_path / "store", fields=fields) as store:
        for step in range(500):
            obs = rng.normal(size=3).astype(np.float32)
            row = {"obs": obs, "tokens": rng.integers(-9, 9, step % 4), "text": f"µ{step}"}
            if step % 7:
                row["done"] = step % 2 == 0
            store.append_step(row)
            words = [*obs.astype(np.float64).view(np.int64).tolist(), *row["tokens"].tolist()]
            words += [*row["text"].encode()]
            words += [int(row["done"])] if "done" in row else []
            total += sum(words)
            items += len(words)
            writes += len(row)
            observations.append(obs.astype(np.float64))
    found = run(programs["cpp_learner"], tmp_path / "store", "obs").splitlines()[-1]
    mean = np.array(observations).mean()
    counts = f"rows 500 values {items} field-writes {writes} sum {total % 2**64} mean "
    assert found.startswith(counts)
    assert float(found.removeprefix(counts)) == pytest.approx(mean)


def test_learner_says_what_is_wrong(programs: dict[str, Path], tmp_path: Path) -> None:
    with StreamStore(tmp_path / "store", fields={"count": "int64"}):
        pass
    done = subprocess.run(
        [programs["cpp_learner"], tmp_path / "store"], check=False, text=True, capture_output=True
    )
    assert done.returncode == 1
    assert "no float field" in done.stderr
