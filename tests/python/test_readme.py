"""README.md is right: its programs run and are those of examples/; commands and links work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from library import compile_program

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


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
    (block,) = blocks("python")
    assert block.rstrip() in (ROOT / "examples" / "quickstart.py").read_text()
    (tmp_path / "block.py").write_text(block)
    out = run(sys.executable, "block.py", cwd=tmp_path)
    assert "(32, 64)" in out
    assert "'note': 'lap 1'" in out


def test_programs_have_about_twenty_lines() -> None:
    for language in ("python", "cpp"):
        (block,) = blocks(language)
        assert len([line for line in block.splitlines() if line]) <= 30, language


def test_cpp_block_is_the_quickstart() -> None:
    (block,) = blocks("cpp")
    assert (ROOT / "examples" / "cpp_quickstart" / "main.cc").read_text().endswith("\n\n" + block)


def test_cpp_block_compiles_against_the_library_and_runs(tmp_path: Path) -> None:
    (block,) = blocks("cpp")
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
    (block,) = blocks("python")
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
