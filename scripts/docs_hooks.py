"""Hooks that `mkdocs build` calls; they are named in mkdocs.yml.

They replace two directives, each of which stands on a line of its own in a page:

    ::: header stream_store/store.h    the public part of that header, with a heading per class
    ::: file CHANGELOG.md              that file of the repository, unchanged

They also let mkdocstrings import `stream_store.torch` without PyTorch. The site shows signatures
and docstrings only, which do not justify several hundred megabytes of packages. See
https://www.mkdocs.org/user-guide/configuration/#hooks.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/stream-store/stream-store/blob/main"
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
DIRECTIVE = re.compile(r"^::: (header|file) (\S+)$", re.MULTILINE)
# The first line of a chunk that gets a heading: a class, a struct, an enum or a function.
ENTITY = re.compile(
    r"^(?:class|struct|enum class)\s+(?:STREAM_STORE_API\s+)?(\w+)|^[\w:&<>\[\]* ]*?\b(\w+)\(", re.M
)


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
    """Make `import torch` give a stand-in, also where PyTorch is installed."""
    if not any(isinstance(finder, StandInFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, StandInFinder("torch"))


def split_chunks(lines: list[str]) -> Iterator[list[str]]:
    """Split the body of a header into its declarations, each with the comment above it."""
    chunk: list[str] = []
    for line in lines:
        if not line and not chunk:
            continue
        # A blank line ends a declaration. Inside a declaration the lines before it are indented.
        if not line and not chunk[-1].startswith((" ", "\t")) and not chunk[-1].endswith("{"):
            yield chunk
            chunk = []
        else:
            chunk.append(line)
    if chunk:
        yield chunk


def public_part(chunk: list[str]) -> list[str]:
    """Return the lines of a class up to its private part."""
    private = next((i for i, line in enumerate(chunk) if line == " private:"), None)
    if private is None:
        return chunk
    kept = chunk[:private]
    while kept and not kept[-1]:
        kept.pop()
    return [*kept, "};"]


def is_public(code: list[str]) -> bool:
    """Return whether a chunk declares something that users can name."""
    text = "\n".join(line for line in code if not line.lstrip().startswith("//"))
    return bool(text) and not re.match(r"#|namespace internal|class \w+;", text.lstrip())


def render_header(name: str) -> str:
    """Render one public header: its opening comment as text, its declarations as code."""
    lines = (ROOT / "include" / name).read_text(encoding="utf-8").splitlines()
    opening = [line[2:].strip() for line in lines[: lines.index("#pragma once")]]
    begin = lines.index("namespace stream_store {") + 1
    end = lines.index("}  // namespace stream_store")
    parts = [f"## `{name}`", "\n".join(opening)]
    for chunk in split_chunks(lines[begin:end]):
        code = public_part(chunk)
        if not is_public(code):
            continue
        entity = ENTITY.search("\n".join(line for line in code if not line.startswith("//")))
        if entity is not None and (entity[1] or entity[2]):
            parts.append(f"### {entity[1] or entity[2]}")
        shown = [line.replace("STREAM_STORE_API ", "") for line in code]
        parts.append("\n".join(["```cpp", *shown, "```"]))
    return "\n\n".join(parts)


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
    render = {"header": render_header, "file": render_file}
    return DIRECTIVE.sub(lambda match: render[match[1]](match[2]), markdown)
