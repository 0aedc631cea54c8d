"""The metadata, the workflow that builds the wheels and the documents name the same Pythons."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import package

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def minors(tags: str) -> list[str]:
    """The versions of tags such as ``cp310``, in the order in which they appear."""
    return [f"3.{minor}" for minor in re.findall(r"\bcp3(\d+)\b", tags)]


def test_classifiers_name_the_versions(pyproject: dict[str, Any]) -> None:
    classifiers = "\n".join(pyproject["project"]["classifiers"])
    found = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", classifiers, re.MULTILINE)
    assert found == list(package.VERSIONS)


def test_the_first_version_is_the_one_required(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["requires-python"] == f">={package.VERSIONS[0]}"
    oldest = package.VERSIONS[0].replace(".", "")
    assert pyproject["tool"]["ruff"]["target-version"] == f"py{oldest}"


def test_a_wheel_is_built_for_each_version(pyproject: dict[str, Any]) -> None:
    assert minors(pyproject["tool"]["cibuildwheel"]["build"]) == list(package.VERSIONS)
    workflow = (ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8")
    matrix = re.search(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert matrix is not None
    assert minors(matrix[1]) == list(package.VERSIONS)


@pytest.mark.parametrize("page", ["docs/get-started.md", "RELEASING.md"])
def test_documents_name_the_first_and_the_last_version(page: str) -> None:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    found = re.findall(r"CPython (3\.\d+) to (3\.\d+)", text)
    assert found, page
    assert set(found) == {(package.VERSIONS[0], package.VERSIONS[-1])}
