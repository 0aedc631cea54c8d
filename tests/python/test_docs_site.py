"""The pages of the site that are generated from headers, and the page of error codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import docs_cpp
from docs_hooks import on_page_content, on_page_markdown

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "cpp.md"
CODES = ROOT / "docs" / "reference" / "error-codes.md"


@pytest.fixture(scope="module")
def reference() -> str:
    """The C++ reference as Markdown."""
    return on_page_markdown(PAGE.read_text(encoding="utf-8"))


def section(reference: str, anchor: str) -> str:
    """The text below the heading with an anchor, up to the next heading."""
    return re.split(r"^#+ ", reference.split(f"{{ #{anchor} }}")[1], maxsplit=1, flags=re.M)[0]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```cpp\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


# --- the C++ reference ---


def test_every_public_header_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headers = {f"stream_store/{path.name}" for path in (ROOT / "include/stream_store").glob("*.h")}
    not_listed = {"stream_store/stream_store.h", "stream_store/interop.h", "stream_store/export.h"}
    listed = set(re.findall(r"^::: header (\S+)$", text, re.MULTILINE))
    assert headers - listed - not_listed == set()


def test_methods_have_headings_and_no_bodies(reference: str) -> None:
    assert "Moves the snapshot to all rows" in section(reference, "Reader-Refresh")
    assert code_blocks(section(reference, "WindowSampler-options")) == [
        "const SamplerOptions& options() const noexcept;\n"
    ]
    inline = code_blocks(section(reference, "Error-Error"))
    assert inline == ["Error(ErrorCode code, const std::string& message, int system_errno = 0);\n"]
    assert "return " not in "".join(code_blocks(reference))


def test_private_parts_are_left_out(reference: str) -> None:
    assert "private:" not in reference
    assert "friend class" not in reference
    assert "starts_;" not in reference


def test_names_that_comments_mention_are_links(reference: str) -> None:
    anchors = re.findall(r"\{ #(\S+) \}$", reference, re.MULTILINE)
    assert len(anchors) == len(set(anchors)) > 200
    links = set(re.findall(r"\]\(#(\S+?)\)", reference))
    assert links - set(anchors) == set()
    assert "[`Checkpoint()`](#Reader-Checkpoint)" in section(reference, "Reader-UpdateCheckpoint")


def test_arguments_costs_and_errors_are_a_list(reference: str) -> None:
    text = section(reference, "Reader-Gather")
    assert "\n- `positions`: any order, repeats allowed" in text
    assert "\n- **Throws**: Error: kOutOfRange" in text


def test_members_of_structs_are_described(reference: str) -> None:
    text = section(reference, "SamplerOptions")
    assert "- `batch_size`: Windows in a batch" in text
    assert "  std::uint64_t batch_size = 1;\n" in text
    assert "- `arrow_format`: " in section(reference, "DTypeInfo")
    assert "after which the number of bytes follows" in section(reference, "DTypeInfo")


def test_text_of_a_comment_is_no_accidental_markdown() -> None:
    reference = docs_cpp.Reference([])
    comment = ["a * b < c[0] and first_row", "", "Cost  O(log n)", "      in all"]
    assert reference._text(comment, "") == (
        "a \\* b \\< c\\[0\\] and first\\_row\n\n- **Cost**: O(log n)\n    in all"
    )


# --- tables ---


def test_tables_are_put_into_boxes() -> None:
    head = "<thead><tr>{}</tr></thead><tbody></tbody>"
    narrow = f"<table>{head.format('<th>a</th>' * 2)}</table>"
    wide = f"<table>{head.format('<th>a</th>' * 10)}</table>"
    assert on_page_content(f"<p>{narrow}</p>{wide}") == (
        f'<p><div class="table-box" tabindex="0">{narrow}</div></p>'
        f'<div class="table-box wide" tabindex="0">{wide}</div>'
    )


# --- error codes ---


def test_error_codes_are_those_of_the_header() -> None:
    header = (ROOT / "include/stream_store/error.h").read_text(encoding="utf-8")
    codes = re.findall(r"^  (k\w+),\s+///< (.+) \(Python: (.+?)\)$", header, re.MULTILINE)
    assert len(codes) >= 15
    rows = re.findall(r"^\| `(k\w+)` \| (.+?) \| `(.+?)` \|", CODES.read_text(), re.MULTILINE)
    assert [(code, text, name.removesuffix(" with errno")) for code, text, name in rows] == [
        (code, text, name.removesuffix(" with errno")) for code, text, name in codes
    ]
