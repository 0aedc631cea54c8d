"""The page docs/format.md and the reader at its end, which tests compare with stores."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
FORMS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q"}


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def page_reader() -> dict[str, Any]:
    """The names defined by the reader at the end of the page."""
    names: dict[str, Any] = {"__name__": "page_reader"}
    exec(compile(python_blocks()[-1], str(PAGE), "exec"), names)  # the page is ours
    return names


def table(title: str) -> list[dict[str, Any]]:
    """Parse the byte table under a heading: one dict per line."""
    section = PAGE.read_text().split(f"### {title}\n", 1)[1].split("\n### ")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\w+) \| (\w+) \| (.*?) ?\|$", section, re.MULTILINE)
    assert rows, title
    return [
        {"offset": int(row[0]), "size": int(row[1]), "type": row[2], "name": row[3], "text": row[4]}
        for row in rows
    ]


def decoded(title: str, data: bytes) -> dict[str, Any]:
    """Read a block of a real file as its table specifies."""
    found: dict[str, Any] = {}
    for line in table(title):
        part = data[line["offset"] : line["offset"] + line["size"]]
        assert len(part) == line["size"]
        kind = line["type"]
        if kind == "zeros":
            assert not any(part), line
        elif kind == "text":
            found[line["name"]] = part.decode()
            assert f"`{part.decode()}`" in line["text"]
        elif kind == "bytes":
            found[line["name"]] = part.hex()
        else:
            (found[line["name"]],) = struct.unpack("<" + FORMS[kind], part)
    return found
