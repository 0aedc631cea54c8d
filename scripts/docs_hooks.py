"""Hooks of `mkdocs build`: C++ headers as reference pages, and pages from outside docs/.

A line of a page may be one of two directives:

    ::: header stream_store/store.h    the public part of that header, with a heading per class
    ::: file CHANGELOG.md              that file of the repository, unchanged

mkdocs.yml names this file. See https://www.mkdocs.org/user-guide/configuration/#hooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DIRECTIVE = re.compile(r"^::: (header|file) (\S+)$", re.MULTILINE)
# The beginning of a chunk that gets a heading: a class, a struct, an enum, or a function.
ENTITY = re.compile(
    r"^(?:class|struct|enum class)\s+(?:STREAM_STORE_API\s+)?(\w+)|^[\w:&<>\[\]* ]*?\b(\w+)\(", re.M
)


def split_chunks(lines: list[str]) -> Iterator[list[str]]:
    """Split the body of a header into its declarations, each with the comment above it."""
    chunk: list[str] = []
    for line in lines:
        if not line and not chunk:
            continue
        # A blank line ends a declaration, unless it is inside one, where the lines are indented.
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
    """Return whether a chunk declares a public name."""
    text = "\n".join(line for line in code if not line.lstrip().startswith("//"))
    return bool(text) and not re.match(r"#|namespace internal|class \w+;", text.lstrip())


def render_header(name: str) -> str:
    """Format a public header: its opening comment as text, its declarations as code."""
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
    """Return a page of the repository's root, with its links into docs/ adjusted."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the directives of a page. Called by mkdocs."""
    render = {"header": render_header, "file": render_file}
    return DIRECTIVE.sub(lambda match: render[match[1]](match[2]), markdown)
