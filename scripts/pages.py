"""Replace generated text in a page of the documents. Two comments mark where it begins and ends."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, marker: str, text: str) -> None:
    """Put `text` between ``<!-- marker:begin -->`` and ``<!-- marker:end -->`` of a page."""
    begin, end = f"<!-- {marker}:begin -->\n", f"<!-- {marker}:end -->"
    head, rest = page.read_text().split(begin)
    page.write_text(head + begin + text.rstrip() + "\n" + end + rest.split(end, 1)[1])
