"""docs/reference/error-codes.md lists the codes of the headers, with their numbers and texts."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / "include" / "stream_store"
PAGE = (ROOT / "docs" / "reference" / "error-codes.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """The cells of the table whose first column has that heading, without code marks."""
    table = re.search(rf"^\| {header} \|.*\n\|[-:|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None
    return [
        [cell.strip() for cell in line.strip("|").replace("`", "").split("|")]
        for line in table[1].splitlines()
    ]


def members(header: str, enum: str) -> str:
    text = (HEADERS / header).read_text(encoding="utf-8")
    body = re.search(rf"enum class {enum}.*?\{{(.*?)^\}};", text, re.DOTALL | re.MULTILINE)
    assert body is not None
    return body[1]


def test_reasons_are_those_of_the_header() -> None:
    found = re.findall(r"(k\w+) = (\d+), *///< (.*)", members("append_result.h", "AppendReason"))
    assert len(found) > 10
    table = rows("number")
    assert [(name, number, text) for number, name, _, text, _ in table] == found


def test_reasons_have_the_codes_of_the_source() -> None:
    source = (ROOT / "src" / "store" / "append_result.cc").read_text(encoding="utf-8")
    start = source.index("ErrorCode AppendResult::code()")
    body = source[start : source.index("\n}\n", start)]
    codes, waiting = {}, []
    for reason, code in re.findall(r"case Reason::(\w+):|return ErrorCode::(\w+);", body):
        if reason:
            waiting.append(reason)
        else:
            codes |= dict.fromkeys(waiting, code)
            waiting = []
    assert {name: code for _, name, code, *_ in rows("number")} == codes


def test_codes_are_those_of_the_header() -> None:
    found = re.findall(r"(k\w+),\s+///< (.*) \(Python: (.*)\)", members("error.h", "ErrorCode"))
    assert len(found) > 10
    assert [tuple(row) for row in rows("code")] == found
