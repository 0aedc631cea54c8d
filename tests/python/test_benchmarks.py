"""The comparison asks every store its questions, and the report contains the answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"

PAGES = ("docs/benchmarks.md", "README.md")

STEPS = 2_000
ASKED = [
    "recover",
    "row_windows",
    "episode_windows",
    "episode_windows_growing",
    "whole_episodes",
    "disk",
    "reopen",
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Answers of three stores that need only NumPy."""
    script = BENCHMARKS / "compare" / "compare.py"
    options = ["--steps", str(STEPS), "--peers", "stream_store", "memmap_rows", "entries"]
    options += ["--directory", str(tmp_path_factory.mktemp("stores")), "--questions", *ASKED]
    done = subprocess.run(
        [sys.executable, script, *options], check=True, text=True, stdout=subprocess.PIPE
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def report() -> ModuleType:
    """The module, if matplotlib is installed."""
    pytest.importorskip("matplotlib")
    import report

    return report


def test_every_question_is_answered_or_refused_with_a_reason(
    compared: list[dict[str, Any]],
) -> None:
    assert {row["question"] for row in compared} == set(ASKED)
    for row in compared:
        ours, theirs = row["answers"]["StreamStore"], row["answers"]["np.memmap rows by hand"]
        assert ours["figure"] > 0
        if "episode" in row["question"]:
            assert theirs == {"cannot": "has no episodes"}
        elif row["question"] == "recover":
            assert ours["note"].endswith("came back")
            assert theirs["cannot"].startswith("has all ")
        else:
            assert theirs["figure"] > 0


def test_a_store_says_itself_why_it_was_not_asked(compared: list[dict[str, Any]]) -> None:
    answers = {row["question"]: row["answers"]["the same design in NumPy"] for row in compared}
    assert answers["disk"]["figure"] > 0
    assert answers["row_windows"] == {"cannot": "does not decode rows"}
    assert answers["reopen"] == {"cannot": "keeps the number of its rows in memory only"}


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


@pytest.fixture
def result(report: ModuleType) -> dict[str, Any]:
    """A run in the form in which run.py stores it."""
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
    copy = {"unit": "ns", "ours": 3.0, "theirs": 4.0, "competitor": "it"}
    rows = [{"task": "copy", **copy, "goal": 5}, {"task": "quick copy", **copy, "goal": 2}]
    return {"machine": report.machine(), "rows": rows, "compared": compared}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with the pages that report.py changes."""
    (tmp_path / "docs").mkdir()
    for page in PAGES:
        (tmp_path / page).write_text("<!-- benchmark:begin -->\nold\n<!-- benchmark:end -->\n")
    return tmp_path


def test_the_report_has_ratios_reasons_and_pictures(
    report: ModuleType, result: dict[str, Any], tmp_path: Path
) -> None:
    report.write(result, tmp_path)
    text = (tmp_path / "latest.md").read_text()
    assert "| copy | 3 ns | ≤ 5 ns | yes | it: 4 ns | 0.75 |" in text
    assert "| quick copy | 3 ns | ≤ 2 ns | **no** | it: 4 ns | 0.75 |" in text
    assert "| windows, 20,000 steps, µs | 2 | 40 | 1 [1] | - |" in text
    assert "- [1] fast: forgets." in text
    assert "- none has no rows: windows." in text
    assert {path.name for path in tmp_path.glob("*.svg")} == {"compared.svg", "sizes.svg"}


def test_the_documents_show_the_run(
    report: ModuleType, result: dict[str, Any], documents: Path
) -> None:
    report.publish(result, documents)
    page, readme = ((documents / page).read_text() for page in PAGES)
    assert "| copy | 3 ns |" in page
    assert "| fast: 1 µs, [with a note](docs/benchmarks.md) | 2.00 |\n" in readme
    assert "\nOthers are ahead in: windows, 2,000,000 steps (fast, 2.00).\n" in readme
    assert {path.name for path in (documents / "docs" / "images").iterdir()} == {
        "compared.svg",
        "sizes.svg",
    }


@pytest.mark.parametrize("compared", [[], [{"steps": 20_000, "answers": {"StreamStore": {}}}]])
def test_a_run_that_compared_nothing_leaves_the_documents(
    report: ModuleType, result: dict[str, Any], documents: Path, compared: list[dict[str, Any]]
) -> None:
    with pytest.raises(SystemExit, match="the last run had none"):
        report.publish({**result, "compared": compared}, documents)
    assert all("old" in (documents / page).read_text() for page in PAGES)
    assert not (documents / "docs" / "images").exists()


def test_what_we_cannot_is_told_and_leaves_out_the_row(
    report: ModuleType, result: dict[str, Any], documents: Path
) -> None:
    for row in result["compared"]:
        row["answers"] = {**row["answers"], "StreamStore": {"cannot": "failed"}}
    report.publish(result, documents)
    page, readme = ((documents / page).read_text() for page in PAGES)
    assert "- StreamStore failed: windows." in page
    assert "windows" not in readme
