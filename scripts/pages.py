"""Replace generated text in a page of the documents. Two comments mark where it begins and ends."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, marker: str, text: str) -> None:
    """Put `text` between ``<!-- marker:begin -->`` and ``<!-- marker:end -->`` of a page."""
    page.write_text(replaced(page.read_text(), marker, text))


def replaced(page: str, marker: str, text: str) -> str:
    """Return the text of a page with `text` between the two comments of a marker."""
    begin, end = f"<!-- {marker}:begin -->\n", f"<!-- {marker}:end -->"
    head, rest = page.split(begin)
    return head + begin + text.rstrip() + "\n" + end + rest.split(end, 1)[1]
