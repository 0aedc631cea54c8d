"""README.md is right: its programs run and are those of examples/; commands and links work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stream_store
from library import compile_program

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def quickstart(language: str) -> str:
    """The program of a language, which is the last block of it."""
    return blocks(language)[-1]


def start(user: str, language: str = "python") -> str:
    """The code that follows a bold sentence in "Five ways to start"."""
    text = README.read_text().split("## Five ways to start")[1].split("\n## ")[0]
    return re.findall(rf"\*\*{user}.*?```{language}\n(.*?)```", text, re.DOTALL)[0]


def commands() -> list[str]:
    lines = "".join(blocks("sh")).splitlines()
    return [line.partition("#")[0].strip() for line in lines]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        command, cwd=cwd, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


# --- programs ---


def test_python_block_is_the_quickstart_and_runs(tmp_path: Path) -> None:
    block = quickstart("python")
    assert block.rstrip() in (ROOT / "examples" / "quickstart.py").read_text()
    (tmp_path / "block.py").write_text(block)
    out = run(sys.executable, "block.py", cwd=tmp_path)
    assert "(32, 64)" in out
    assert "'note': 'lap 1'" in out


def test_programs_have_about_twenty_lines() -> None:
    for language in ("python", "cpp"):
        block = quickstart(language)
        assert len([line for line in block.splitlines() if line]) <= 30, language


def test_cpp_block_is_the_quickstart() -> None:
    block = quickstart("cpp")
    assert (ROOT / "examples" / "cpp_quickstart" / "main.cc").read_text().endswith("\n\n" + block)


def test_cpp_block_compiles_against_the_library_and_runs(tmp_path: Path) -> None:
    block = quickstart("cpp")
    (tmp_path / "block.cc").write_text(block)
    compile_program(tmp_path / "block.cc", tmp_path / "block")
    for total in (1000, 2000):  # a second run continues the store
        out = run(tmp_path / "block", cwd=tmp_path)
        assert out == f"{total} rows; step of value 4000: 800; obs of row 100: 50.5\n"


def test_cmake_block_is_what_the_example_does(tmp_path: Path) -> None:
    (block,) = blocks("cmake")
    shutil.copy(ROOT / "examples" / "cpp_quickstart" / "main.cc", tmp_path / "main.cc")
    (tmp_path / "stream-store").symlink_to(ROOT)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(mine LANGUAGES CXX)\n"
        f"add_executable(my_program main.cc)\n{block}"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")


# --- five ways to start ---


def run_start(user: str, after: str, cwd: Path, before: str = "") -> str:
    """Run the code of a start in a process, between two pieces of code of the test."""
    (cwd / "start.py").write_text(before + start(user) + after)
    return run(sys.executable, "start.py", cwd=cwd)


RECORD = """
import numpy
from stream_store import StreamStore as Store
with Store("my_run", fields={"episode": "int64", "action": "float32[2]", "task": "string"}) as run:
    columns = {"episode": [0, 0, 1], "task": ["push", None, "pull"]}
    run.extend({**columns, "action": numpy.ones((3, 2))})
"""


def test_there_are_five_starts_and_they_come_first() -> None:
    text = README.read_text()
    begin, end = text.index("## Five ways to start"), text.index("## Why")
    assert text.count("\n**You ", begin, end) == 5
    assert text.index("\n## ") == begin - 1


def test_stable_baselines_trains_with_a_buffer_on_disk(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    after = """
model.learn(160)
print(model.replay_buffer.size(), "transitions in", model.replay_buffer.store.path.name)
"""
    assert run_start("You use Stable", after, tmp_path) == "160 transitions in replay\n"


def test_a_gymnasium_environment_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    after = """
env.reset(seed=1)
over = False
while not over:
    _, _, terminated, truncated, _ = env.step(env.action_space.sample())
    over = terminated or truncated
env.close()
store = stream_store.StreamStore("cartpole", "r")
print(len(store.segments("episode")), store.row(0)["seed"], store.row(-2)["terminated"])
"""
    assert run_start("You use Gymnasium", after, tmp_path) == "1 1 True\n"


def test_a_lerobot_dataset_is_converted(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    before = RECORD + "Store('my_run', 'r').to_lerobot('my_dataset', fps=10, by='episode')\n"
    after = "print(store.num_rows, store.row(2)['task'])\n"
    assert run_start("You have data of LeRobot", after, tmp_path, before).endswith("3 pull\n")
    (command,) = re.findall(r"`stream-store (convert .+?)`", README.read_text())
    program = "from stream_store._cli import main; main()"
    run(sys.executable, "-c", program, *command.split(), cwd=tmp_path)
    with stream_store.StreamStore(tmp_path / command.split()[-1], "r") as store:
        assert store.num_rows == 3


def test_a_dataset_is_made_and_read(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    after = "print(dataset['task'][0], StreamStore('copy', 'r').num_rows)\n"
    assert run_start("You use HuggingFace", after, tmp_path).endswith("push 1\n")


def test_a_line_of_cpp_appends_a_step(tmp_path: Path) -> None:
    (tmp_path / "start.cc").write_text(
        """
#include <iostream>
#include <vector>
#include "stream_store/store.h"

int main() {
  using namespace stream_store;
  StreamStore store = StreamStore::Open(
      "robot", {.fields = {{.name = "joints", .dtype = DType::kFloat64, .shape = {7}},
                           {.name = "torques", .dtype = DType::kFloat64, .shape = {7}},
                           {.name = "contact", .dtype = DType::kBool}}});
  const TypeId joints = 0, torques = 1, contact = 2;
  const std::vector<double> positions(7, 0.5), efforts(7, 1.5);
  const Step now = 1'700'000'000'000'000'000;
"""
        + start("You write a robot", "cpp")
        + """
  std::cout << store.reader().num_rows() << " row of " << store.reader().size() << " values";
}
"""
    )
    compile_program(tmp_path / "start.cc", tmp_path / "start")
    assert run(tmp_path / "start", cwd=tmp_path) == "1 row of 15 values"


# --- commands ---


def test_readme_begins_with_the_two_commands() -> None:
    assert commands()[:2] == ["make demo", "make test"]


def test_every_command_is_one_that_is_checked_here() -> None:
    # test_examples.py runs these.
    learners = [
        "learn_from_stream",
        "learn_tokens",
        "image_policy",
        "learn_by_priority",
        "sample_with_jax",
        "many_collectors",
        "ray_collect_and_learn",
    ]
    programs = {f"python examples/{name}.py" for name in learners}
    shell = {"make demo", "make test", "pip install .", "source install.sh"}
    others = {command for command in commands() if not command.startswith("stream-store ")}
    assert others == shell | programs


def test_command_lines_work(tmp_path: Path) -> None:
    """In their order, on the store that the Python block makes."""
    pytest.importorskip("typer")
    pytest.importorskip("datasets")
    block = quickstart("python")
    (tmp_path / "block.py").write_text(block)
    run(sys.executable, "block.py", cwd=tmp_path)
    program = "from stream_store._cli import main; main()"
    lines = [command.split() for command in commands() if command.startswith("stream-store ")]
    assert len(lines) >= 6
    for _, *words in lines:
        rest = ["--idle", "0"] if words[0] == "follow" else []
        ends = 3 if words[0] in {"ship", "mirror"} else None  # before --every and --follow
        arguments = [word.replace("s3://bucket", f"file://{tmp_path}") for word in words[:ends]]
        run(sys.executable, "-c", program, *arguments, *rest, cwd=tmp_path)
    assert (tmp_path / "my_run.parquet").is_file()


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench"])
def test_make_target_exists(target: str) -> None:
    assert f"make {target}" in README.read_text()
    assert run("make", "-n", target)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "RELEASING.md"])
def test_make_targets_of_the_page_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:^ *|`(?:[A-Z]+=\w+ )?)make ([a-z-]+)", text, re.MULTILINE))
    assert named - targets == set()
    if page == "CONTRIBUTING.md":
        assert {"test", "lint", "check", "format", "docs"} <= named


def test_help_describes_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = {
        name for line in re.findall(r"^\.PHONY: (.*)", makefile, re.M) for name in line.split()
    }
    described = set(re.findall(r"^  make (\S+) +\S", run("make", "help"), re.MULTILINE))
    assert described == phony


def test_pip_accepts_the_project() -> None:
    pip = [sys.executable, "-m", "pip"]
    options = [
        "--dry-run",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--disable-pip-version-check",
    ]
    out = run(*pip, "install", *options, "--ignore-installed", ".[demo]")
    assert "Would install stream-store" in out.replace("_", "-")
    assert "does not provide the extra" not in out


def test_install_script_is_valid_shell() -> None:
    run("bash", "-n", "install.sh")


# --- the pages ---


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(kept.replace(" ", "-"))
    return found


def without_code(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        to = page.parent / file if file else page
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


def test_benchmark_table_has_its_place() -> None:
    assert re.search(
        r"<!-- benchmark:begin -->\n.*\n<!-- benchmark:end -->", README.read_text(), re.DOTALL
    )
