"""The comparison with other stores asks what it says, and the report says what was found."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"

STEPS = 2_000
ASKED = ["recover", "row_windows", "episode_windows", "episode_windows_growing", "disk", "reopen"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Answers of two stores that need nothing beside NumPy."""
    script = BENCHMARKS / "compare" / "compare.py"
    options = ["--steps", str(STEPS), "--peers", "stream_store", "memmap_rows"]
    options += ["--directory", str(tmp_path_factory.mktemp("stores")), "--questions", *ASKED]
    done = subprocess.run(
        [sys.executable, script, *options], check=True, text=True, stdout=subprocess.PIPE
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def report() -> ModuleType:
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("report", BENCHMARKS / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_question_is_answered_or_refused_with_a_reason(
    compared: list[dict[str, Any]],
) -> None:
    assert {row["question"] for row in compared} == set(ASKED)
    for row in compared:
        ours, theirs = row["answers"]["StreamStore"], row["answers"]["np.memmap rows by hand"]
        assert ours["figure"] > 0
        if row["question"].startswith("episode"):
            assert theirs == {"cannot": "knows no episodes"}
        elif row["question"] == "recover":
            assert ours["note"].endswith("came back")
            assert theirs["cannot"].startswith("has all ")
        else:
            assert theirs["figure"] > 0


def test_a_store_that_is_not_installed_is_told_to_every_question(tmp_path: Path) -> None:
    measure = BENCHMARKS / "compare" / "measure.py"
    questions = ["one_window", "row_windows"]
    code = f"""
import runpy, sys
sys.modules["h5py"] = None  # importing it fails
sys.argv = ["measure.py", "h5py_file", "100", {str(tmp_path)!r}, *{questions!r}]
runpy.run_path({str(measure)!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True)
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in done.stdout.splitlines()]
    assert answers == [
        {"question": question, "cannot": "not installed (h5py)"} for question in questions
    ]


def test_the_report_has_ratios_reasons_and_pictures(report: ModuleType, tmp_path: Path) -> None:
    answers = {
        "StreamStore": {"figure": 2.0},
        "slow": {"figure": 40.0},
        "fast": {"figure": 1.0, "note": "forgets"},
        "none": {"cannot": "has no rows"},
    }
    row = {"question": "row_windows", "task": "windows", "unit": "µs"}
    compared = [
        {**row, "steps": steps, "answers": answers} for steps in (20_000, report.COMMON)
    ] + [{**row, "question": "episode_windows", "steps": 20_000, "answers": answers}]
    rows = [
        {"task": "copy", "unit": "ns", "ours": 3.0, "theirs": 4.0, "competitor": "it", "goal": 5}
    ]
    result = {"machine": report.machine(), "rows": rows, "compared": compared}
    report.write(result, tmp_path)
    text = (tmp_path / "latest.md").read_text()
    assert "| copy | 3 ns | ≤ 5 ns | it: 4 ns | 0.75 |" in text
    assert "| windows, 20,000 steps, µs | 2 | 40 | 1 [1] | - |" in text
    assert "- [1] fast: forgets." in text
    assert "- none has no rows: windows." in text
    assert (
        report.best_table(compared)
        .splitlines()[-1]
        .endswith("| fast: 1 µs, [with a note](docs/benchmarks.md) | 2.00 |")
    )
    assert {path.name for path in tmp_path.glob("*.svg")} == {"compared.svg", "sizes.svg"}
