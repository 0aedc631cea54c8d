"""The assertion check finds each precondition that is not asserted, and accepts those that are."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_assertions


def findings(root: Path, files: dict[str, str]) -> list[str]:
    """Write a small repository and return the findings as text."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [str(finding) for finding in check_assertions.check_tree(root)]


ASSERTED = "{ STREAM_STORE_ASSERT(n > 0); }"


@pytest.mark.parametrize(
    "function",
    [
        "int F(int n) BODY",
        "inline int F(int n) noexcept BODY",
        "template <class T>\nauto F(T n) -> int BODY",
        "class C {\n public:\n  /// Text. REQUIRES: n > 0.\n  int F(int n) const noexcept BODY\n};",
        "struct C : B {\n  // REQUIRES: n > 0.\n  explicit C(int n) : n_(n), m_{n} BODY\n};",
        "STREAM_STORE_INLINE bool C<int>::F(const T& n,\n  int m) BODY",
    ],
)
def test_definition_needs_an_assertion(tmp_path: Path, function: str) -> None:
    text = function if "REQUIRES" in function else f"/// Text. REQUIRES: n > 0.\n{function}"
    file = "src/a/a.h"
    assert findings(tmp_path, {file: text.replace("BODY", ASSERTED)}) == []
    found = findings(tmp_path, {file: text.replace("BODY", "{ return n; }")})
    assert len(found) == 1
    assert found[0].endswith("F() does not assert it") or "C::C()" in found[0]


def test_finding_names_the_line_of_the_word(tmp_path: Path) -> None:
    text = "int A();\n\n/// Counts.\n/// More text. REQUIRES: n > 0.\nint F(int n) { return n; }\n"
    found = findings(tmp_path, {"src/a/a.h": text})
    assert found == ["src/a/a.h:4: REQUIRES: F() does not assert it"]


def test_declaration_is_matched_with_its_definition(tmp_path: Path) -> None:
    header = (
        "class C {\n  /// REQUIRES: n > 0.\n  int F(std::uint64_t n, bool m = true) const;\n};\n"
    )
    other = "int D::F(std::uint64_t n, bool m) const { STREAM_STORE_ASSERT(n > 0); }\n"
    wrong = "int C::F(std::uint64_t count, bool m) const { return F(1, m); }\n"
    right = f"int C::F(std::uint64_t count, bool m) const {ASSERTED}\n"
    files = {"src/a/c.h": header, "src/a/c.cc": other + wrong}
    assert findings(tmp_path, files) == ["src/a/c.h:2: REQUIRES: C::F() does not assert it"]
    assert findings(tmp_path, files | {"src/a/c.cc": other + right}) == []


def test_overloads_are_told_apart_by_their_parameters(tmp_path: Path) -> None:
    header = "/// REQUIRES: n > 0.\nint F(int n);\nint F(std::span<const int> n);\n"
    source = f"int F(int n) {{ return n; }}\nint F(std::span<const int> n) {ASSERTED}\n"
    files = {"src/a/f.h": header, "src/a/f.cc": source}
    assert findings(tmp_path, files) == ["src/a/f.h:1: REQUIRES: F() does not assert it"]


def test_missing_definition_is_found(tmp_path: Path) -> None:
    found = findings(tmp_path, {"src/a/f.h": "// REQUIRES: n > 0.\nint F(int n);\n"})
    assert found == ["src/a/f.h:1: REQUIRES: F() has no definition that this script can find"]


def test_assertion_in_a_comment_or_a_string_does_not_count(tmp_path: Path) -> None:
    body = '{ /* STREAM_STORE_ASSERT(n) */ return G("STREAM_STORE_ASSERT(n)"); }'
    text = f"// REQUIRES: n > 0.\nint F(int n) {body}\n"
    assert len(findings(tmp_path, {"src/a/f.cc": text})) == 1


def test_assertion_of_the_next_function_does_not_count(tmp_path: Path) -> None:
    text = f"// REQUIRES: n > 0.\nint F(int n) {{ return n; }}\nint G(int n) {ASSERTED}\n"
    assert findings(tmp_path, {"src/a/f.cc": text}) == [
        "src/a/f.cc:1: REQUIRES: F() does not assert it"
    ]


def test_comment_in_a_function_needs_an_assertion_near_it(tmp_path: Path) -> None:
    near = "int F(int n) {\n  // REQUIRES: n > 0.\n  STREAM_STORE_ASSERT(n > 0);\n}\n"
    assert findings(tmp_path, {"src/a/f.cc": near}) == []
    far = (
        "int F(int n) {\n  // REQUIRES: n > 0.\n"
        + "  G();\n" * 5
        + "  STREAM_STORE_ASSERT(n);\n}\n"
    )
    assert len(findings(tmp_path, {"src/a/f.cc": far})) == 1


@pytest.mark.parametrize(
    "text",
    [
        "// REQUIRES: the mutex.\nvoid F() REQUIRES_LOCK(mutex_) { G(); }\n",
        "// Functions whose comment says `REQUIRES:` have an assertion.\nvoid F() {}\n",
        "// Requires: nothing.\nvoid F() {}\n",
        'const char* text = "REQUIRES: n";\n',
        "// REQUIRES: sizeof(T) == 8.\ntemplate <class T> F() { static_assert(sizeof(T) == 8); }\n",
    ],
)
def test_other_text_is_accepted(tmp_path: Path, text: str) -> None:
    assert findings(tmp_path, {"src/a/f.cc": text}) == []


def test_all_checked_folders_are_read(tmp_path: Path) -> None:
    text = "// REQUIRES: n > 0.\nint F(int n) { return n; }\n"
    names = ["include/s/a.h", "python/convert/a.cc", "src/a/a.cc"]
    found = findings(tmp_path, {name: text for name in [*names, "tests/a.cc"]})
    assert [line.split(":")[0] for line in found] == names
