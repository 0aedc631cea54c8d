"""Hooks that `mkdocs build` calls; they are named in mkdocs.yml.

They replace two directives, each of which stands on a line of its own in a page:

    ::: header stream_store/store.h    the public part of that header; see scripts/docs_cpp.py
    ::: file CHANGELOG.md              that file of the repository, unchanged

They put tables into boxes that scroll, and let mkdocstrings import `stream_store.torch` without
PyTorch: the site shows signatures and docstrings only, which do not justify several hundred
megabytes of packages. See https://www.mkdocs.org/user-guide/configuration/#hooks.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

from docs_cpp import Reference  # its folder is on the path from here on

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/stream-store/stream-store/blob/main"
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
WIDE = 6  # columns
DIRECTIVE = re.compile(r"^::: (header|file) (\S+)$", re.MULTILINE)


#: Packages that the site is built without: PyTorch, and what needs it.
STAND_INS = ("torch", "stable_baselines3")


class StandInType(type):
    """The type of a class that takes the place of any object of a package that is not installed."""

    def __getattr__(cls, name: str) -> type:
        return stand_in(name, cls.__module__)

    def __getitem__(cls, key: object) -> type:
        return cls

    def __setitem__(cls, key: object, value: object) -> None:
        pass


def stand_in(name: str, module: str) -> type:
    """Create a class that can be subclassed, called with any arguments and asked for any name."""
    if name.startswith("__"):
        raise AttributeError(name)

    def ignore_arguments(cls: type, *_: object, **__: object) -> Any:
        return object.__new__(cls)

    return StandInType(name, (), {"__module__": module, "__new__": ignore_arguments})


class StandInModule(ModuleType):
    """A module in which every public name is a stand-in."""

    def __getattr__(self, name: str) -> type:
        return stand_in(name, self.__name__)


class StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a stand-in for one package and everything in it."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # part of the protocol
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """Claim the package and its submodules."""
        if fullname.partition(".")[0] != self.package:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Create the stand-in."""
        return StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty; its names are created when they are used."""


def on_startup(**_: Any) -> None:
    """Make `import torch` and the like give stand-ins, also where the packages are installed."""
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        for package in STAND_INS:
            sys.meta_path.insert(0, StandInFinder(package))


def render_file(name: str) -> str:
    """Return a page of the repository's root, with its links adapted to the site."""
    return LINK.sub(adapt_link, (ROOT / name).read_text(encoding="utf-8"))


def adapt_link(match: re.Match[str]) -> str:
    """Make a link of the repository's root work on the site: to a page, or to the repository."""
    target = match[1]
    if target.startswith("docs/"):
        return f"]({target.removeprefix('docs/')}"
    page = target.lower()
    return f"]({page}" if (ROOT / "docs" / page).is_file() else f"]({REPOSITORY}/{target}"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the directives of a page. Called by mkdocs."""
    headers = [name for kind, name in DIRECTIVE.findall(markdown) if kind == "header"]
    reference = Reference(headers)
    render = {"header": lambda name: reference.header(name, REPOSITORY), "file": render_file}
    return DIRECTIVE.sub(lambda match: render[match[1]](match[2]), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Put each table into a box that scrolls by itself. Called by mkdocs."""
    return TABLE.sub(boxed_table, html)


def boxed_table(match: re.Match[str]) -> str:
    """Return a table in its box, which is marked as wide if the table has many columns."""
    columns = match[0].partition("</thead>")[0].count("<th")
    kind = "table-box wide" if columns >= WIDE else "table-box"
    return f'<div class="{kind}" tabindex="0">{match[0]}</div>'
