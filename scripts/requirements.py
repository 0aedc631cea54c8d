"""Print the requirements of parts of this project, one per line, as pyproject.toml lists them.

    python scripts/requirements.py build-system test lint

A part is ``build-system`` or the name of an extra. If an extra refers to other extras of this
project, their requirements are printed as well. scripts/setup.sh uses this to install packages for
a check without building the extension.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


def read_pyproject() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def list_extra(extra: str) -> list[str]:
    """List the requirements of one extra of pyproject.toml."""
    return expand_extra(read_pyproject()["project"], extra)


def expand_extra(project: dict[str, Any], extra: str) -> list[str]:
    """List the requirements of one extra, following references to the project's own extras."""
    extras = project["optional-dependencies"]
    if extra not in extras:
        known = ", ".join(sorted(extras))
        raise SystemExit(f"pyproject.toml: expected one of the extras {known} but found {extra!r}")
    requirements = []
    for requirement in extras[extra]:
        own = re.fullmatch(rf"{re.escape(project['name'])}\[([\w, -]+)\]", requirement)
        if own is None:
            requirements.append(requirement)
            continue
        for inner in own[1].split(","):
            requirements += expand_extra(project, inner.strip())
    return requirements


def list_requirements(pyproject: dict[str, Any], parts: list[str]) -> list[str]:
    """List the requirements of all `parts`, each once, in the order of the parts."""
    requirements: list[str] = []
    for part in parts:
        if part == "build-system":
            requirements += pyproject["build-system"]["requires"]
        else:
            requirements += expand_extra(pyproject["project"], part)
    return list(dict.fromkeys(requirements))


def main() -> None:
    """Print the requirements of the parts on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="+", metavar="PART", help="build-system or an extra's name")
    parts = parser.parse_args().parts
    print("\n".join(list_requirements(read_pyproject(), parts)))


if __name__ == "__main__":
    main()
