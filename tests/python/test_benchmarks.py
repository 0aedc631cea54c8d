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


def python_output(code: str) -> str:
    """Run code in a process that has the modules of the comparison on its path."""
    paths = [str(BENCHMARKS / "compare"), str(BENCHMARKS)]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        f"import sys\nsys.path[:0] = {paths!r}\n{code}",
    ]
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# A question, the stores that are installed for the tests, and smaller sizes.
SMALL = [
    ("priorities", ["stream_store"], {"ROWS": 4_000}),
    ("priority_windows", ["stream_store"], {}),
    ("lanes", ["stream_store", "memmap_rows"], {"ROWS": 20_000}),
    ("stacks", ["stream_store", "memmap_rows"], {"FRAMES": 400}),
    ("ring", ["stream_store", "memmap_rows"], {"ROWS": 20_000}),
    ("texts_from_arrow", ["stream_store", "pyarrow_tables", "hf_datasets"], {"ROWS": 200}),
    ("texts_to_arrow", ["stream_store", "pyarrow_tables", "hf_datasets"], {"ROWS": 200}),
    ("chats_from_arrow", ["stream_store", "pyarrow_tables", "hf_datasets"], {"ROWS": 100}),
    ("chats_to_arrow", ["stream_store", "pyarrow_tables", "hf_datasets"], {"ROWS": 100}),
    ("statistics", ["stream_store", "pyarrow_tables", "polars_frame", "duckdb_query"],
     {"ROWS": 5_000}),
    ("quantiles", ["stream_store", "pyarrow_tables", "polars_frame", "duckdb_query"], {}),
    ("to_lerobot", ["stream_store"], {"EPISODES": 2}),
    ("from_lerobot", ["stream_store"], {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def small_answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answers to SMALL by question and store, each checked against the values stored."""
    pytest.importorskip("datasets")
    place = tmp_path_factory.mktemp("small")
    code = f"""
import json, os, pathlib
os.environ["HF_HOME"] = {str(place / "cache")!r}
from questions import question
for name, peers, sizes in {SMALL!r}:
    asked = question(name)
    for size, value in sizes.items():
        assert hasattr(asked, size)
        setattr(asked, size, value)
for name, peers, sizes in {SMALL!r}:
    for peer in peers:
        directory = pathlib.Path({str(place)!r}, name + peer)
        directory.mkdir()
        try:
            answer = question(name).ask(peer, directory)
        except ModuleNotFoundError as error:
            answer = {{"missing": error.name}}
        print(json.dumps([name, peer, answer]), flush=True)
"""
    lines = [json.loads(line) for line in python_output(code).splitlines() if line.startswith("[")]
    return {f"{name} {peer}": answer for name, peer, answer in lines}


@pytest.mark.parametrize(
    ("name", "peer"), [(name, peer) for name, peers, _ in SMALL for peer in peers]
)
def test_a_store_returns_the_right_values(
    small_answers: dict[str, Any], name: str, peer: str
) -> None:
    answer = small_answers[f"{name} {peer}"]
    if answer.get("missing", "stream_store") != "stream_store":
        pytest.skip(f"{answer['missing']} is not installed")
    assert answer["figure"] > 0


# Code that breaks a store, the question about it, and the complaint.
WRONG = [
    ("priorities", "ByPriority.update = lambda *given: None", "do not follow the priorities"),
    ("lanes", "LENGTH_KEPT = ByKey.__init__\n"
     "def init(self, directory, columns):\n"
     "    LENGTH_KEPT(self, directory, {**columns, 'agent': columns['agent'] * 0})\n"
     "ByKey.__init__ = init", "rows of several agents"),
    ("stacks", "peers.stream_store.OFFSETS = [-4, -2, -1, 0]", "frame"),
    ("ring", "KEPT = StreamStore\n"
     "peers.stream_store.StreamStore = lambda *a, retain_rows, **b: KEPT(*a, **b)",
     "should have been dropped"),
    ("texts_to_arrow", "Tables.exported_table = lambda self: self.dataset.data.table.slice(1)",
     "rows of the table"),
    ("statistics", "KEPT = np.array\n"
     "peers.stream_store.np = type('np', (), {'array': lambda x, t: KEPT(x, t) + 1,\n"
     "                                        'float64': float})", "observation_0"),
    ("to_lerobot", "LeRobot.read = lambda self: {n: c[::-1] for n, c in make_columns().items()}",
     "episode_index"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "complaint"), WRONG, ids=[name for name, *_ in WRONG])
def test_wrong_values_are_noticed(tmp_path: Path, name: str, code: str, complaint: str) -> None:
    pytest.importorskip("datasets")
    sizes = {name: sizes for name, _, sizes in SMALL}[name]
    run = f"""
import pathlib
import numpy as np
import peers
import peers.stream_store
from peers.stream_store import *
from peers.stream_store import ByKey, ByPriority, LeRobot, Tables
from questions import question
from questions.to_lerobot import make_columns
asked = question({name!r})
for size, value in {sizes!r}.items():
    setattr(asked, size, value)
{code}
try:
    asked.ask("stream_store", pathlib.Path({str(tmp_path)!r}))
except Exception as error:
    print(type(error).__name__, error)
"""
    output = python_output(run)
    assert output.startswith("WrongValuesError")
    assert complaint in output


def test_every_store_answers_or_has_a_reason() -> None:
    """Apart from stores that say that they were not measured, which is no reason."""
    code = """
import ast, pathlib
import peers, questions
for name in questions.NAMES:
    for peer in questions.peers_of(name):
        tree = ast.parse(pathlib.Path(peers.__file__).with_name(peer + ".py").read_text())
        names = {node.name for node in ast.walk(tree)
                 if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        texts = {node.value for node in ast.walk(tree)
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        needs = getattr(questions.question(name), "NEEDS", ())
        if name not in texts and not all(need in names for need in needs):
            print(name, peer)
"""
    missing = python_output(code).splitlines()
    assert missing == []


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
        assert row["seconds"] > 0
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
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    answers = [json.loads(line.removeprefix("ANSWER ")) for line in lines]
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


def test_questions_for_other_stores_have_a_table_of_their_own(
    report: ModuleType, result: dict[str, Any], tmp_path: Path
) -> None:
    row = {"question": "statistics", "task": "sums", "unit": "ms", "steps": None}
    answers = {"StreamStore": {"figure": 3.0}, "polars": {"figure": 2.0, "note": "rounds"}}
    result["compared"].append({**row, "answers": answers})
    report.write(result, tmp_path)
    text = (tmp_path / "latest.md").read_text()
    assert "| task | StreamStore | slow | fast | none |" in text
    assert "| task | StreamStore | polars |\n|---|---|---|\n| sums, ms | 3 | 2 [4] |\n" in text
    assert "- [4] polars: rounds." in text


def test_a_rate_has_to_reach_its_goal(report: ModuleType) -> None:
    row = {"task": "reads", "unit": "rows/s", "ours": 3.0, "goal": 2, "more_is_better": True}
    assert "| reads | 3 rows/s | ≥ 2 rows/s | yes |" in report.goals_table([row])
    assert "| ≥ 4 rows/s | **no** |" in report.goals_table([{**row, "goal": 4}])
    slower = {**row, "theirs": 6.0, "competitor": "another"}  # the ratio is above 1, as of times
    assert "| yes | another: 6 rows/s | 2.00 |" in report.goals_table([slower])


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("with this build and with three other stores on", None),
        ("with this build and with eight other stores on", "the run has three"),
        ("in some tens of nanoseconds", "the run has 300 ns"),
    ],
)
def test_a_claim_that_the_run_refutes_is_not_published(
    report: ModuleType, result: dict[str, Any], documents: Path, claim: str, wrong: str | None
) -> None:
    result["rows"].append({"task": "C++ append of a step", "unit": "ns", "ours": 300.0})
    with (documents / "README.md").open("a") as readme:
        readme.write(claim)
    if wrong is None:
        report.publish(result, documents)
        return
    with pytest.raises(SystemExit, match=wrong):
        report.publish(result, documents)
    assert all("old" in (documents / page).read_text() for page in PAGES)


def test_the_readme_confirms_its_number_of_stores() -> None:
    """The sentence that report.py compares with a run is there."""
    stores = python_output("import peers; print(len(peers.STORES))")
    assert stores.strip() == "9"
    assert "this build and with eight other stores" in (ROOT / "README.md").read_text()


def test_unknown_parts_are_refused_with_the_known_ones() -> None:
    pytest.importorskip("matplotlib")
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--only", "sb3", "nothing"]
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    assert done.returncode == 2
    assert "unknown part nothing; parts: cpp bounded by_priority datasets" in done.stderr
    assert "priority_windows" in done.stderr


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
