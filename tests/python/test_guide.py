"""The code of every page of the guide runs, in the order in which a reader would type it.

The Python blocks of a page share one namespace and one empty directory. The C++ blocks are compiled
against the library and run one after the other in one directory.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from library import compile_program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    DOCS / "index.md",
    DOCS / "get-started.md",
    *sorted((DOCS / "guide").glob("*.md")),
    DOCS / "reference" / "error-codes.md",
]


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The code blocks of a language, each with the number of its first line."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in found]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def name(page: Path) -> str:
    return page.relative_to(DOCS).with_suffix("").as_posix()


def run_apart(page: Path) -> None:
    """Run the Python code of a page in a separate process."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is missing")
    code = "".join(code for _, code in blocks(page, "python"))
    command = [sys.executable, "-W", "error", "-c", code]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, check=False, text=True, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr


def uses_ray(page: Path) -> bool:
    return any("import ray" in code for _, code in blocks(page, "python"))


def with_ray(page: Path) -> Any:
    """A parameter. The pages that import Ray use the one of all tests."""
    if not uses_ray(page):
        return page
    return pytest.param(page, marks=pytest.mark.xdist_group("ray"))


@pytest.mark.parametrize("page", [with_ray(page) for page in pages_with("python")], ids=name)
def test_python_of_the_page_runs(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    if uses_ray(page):
        request.getfixturevalue("ray_cluster")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    if any("import jax" in code for _, code in blocks(page, "python")):
        run_apart(page)  # once imported, JAX warns about every fork in this process
        return
    namespace = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        if "torchdata" in code and importlib.util.find_spec("torchdata") is None:
            continue  # no later block uses the names of such a block
        exec(compile("\n" * line + code, str(page), "exec"), namespace)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("topic", ["episodes", "gymnasium"])
def test_the_code_of_the_page_continues_the_stores_of_an_earlier_run(
    topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gymnasium")
    monkeypatch.chdir(tmp_path)
    code = "".join(code for _, code in blocks(DOCS / "guide" / f"{topic}.md", "python"))
    for _ in range(2):
        exec(compile(code, topic, "exec"), {"__name__": "__main__"})
        gc.collect()  # closes the stores that the code leaves open


@pytest.mark.parametrize("page", pages_with("cpp"), ids=name)
def test_cpp_of_the_page_compiles_and_runs(page: Path, tmp_path: Path) -> None:
    for number, (_, code) in enumerate(blocks(page, "cpp")):
        (tmp_path / f"{number}.cc").write_text(code)
        program = tmp_path / f"{number}"
        compile_program(tmp_path / f"{number}.cc", program)
        done = subprocess.run([program], cwd=tmp_path, check=False, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert "rows" in done.stdout


def test_every_page_of_the_guide_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert {page for page in pages if f"- {page}\n" not in navigation} == set()
