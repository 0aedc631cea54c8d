"""Check that comments, docstrings and documents are written in plain English.

    python scripts/check_prose.py [--list] [ROOT]

Counts phrases that make a reader translate, such as a clause that begins with "what" where a noun
belongs, for each 1,000 lines of comments. Fails if any group of files has more than MOST of them.
``--list`` prints every place. The groups are C++ comments, Python comments and docstrings, and
documents; code in documents is left out.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

MOST = 10  # phrases per 1,000 comment lines

_AFTER_WHAT = (
    "a an the one it its is was were are be they he she we you i this that these those there other "
    "others does do did done has have had can cannot could may might must shall should will would "
    "no not nobody somebody comes came stands stood lies lay goes went makes made remains follows "
    "belongs differs fits needs takes gives says holds looks happens calls reads writes costs "
    "counts"
)
PHRASES = {
    "behind (say: after, beyond)": r"\bbehind\b(?! the scenes)",
    "anew (say: again, recreated)": r"\banew\b",
    "nobody, somebody, whoever": r"\b(?:nobody|somebody|whoever|whomever)\b",
    "for ever (say: forever, permanently)": r"\bfor ever\b",
    # None is a value of Python.
    "is none, is no (use a verb)": r"(?<!there )\b(?:is|are) (?!(?-i:None))none\b"
    r"|(?<!there )(?<!here )\b(?:is|are) no "
    r"(?!longer|more\b|less\b|later\b|earlier\b|greater\b|larger\b)",
    "tell for report": r"\b(?:tells?|told|telling)\b",
    "belong into (say: valid)": r"\bbelongs? into\b",
    "what for a noun": r"\bwhat (?:" + "|".join(_AFTER_WHAT.split()) + r")\b(?![^.;:]*\?)",
    "come around, take turns": r"\b(?:comes?|came) around\b|\btakes? (?:its|their|a) turns?\b",
    "house words": r"\b(?:look the right way|outgrow|landlord|house rules?|this house|the house)\b",
}
PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in PHRASES.items()}
Lines = Iterator[tuple[int, str]]


def cpp_comments(text: str) -> Lines:
    """The comments of C++ code that begin with two slashes, outside of strings."""
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
        if (at := code.find("//")) >= 0 and "://" not in code[max(0, at - 1) : at + 2]:
            yield number, code[at:].lstrip("/<! ")


def python_comments(text: str) -> Lines:
    """Comments and docstrings of Python code."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            literal = node.body[0].value  # type: ignore[attr-defined]
            for offset, line in enumerate(literal.value.splitlines()):
                yield literal.lineno + offset, line


def document_lines(text: str) -> Lines:
    """Lines of a document, without its code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and line.strip():
            yield number, re.sub(r"`[^`]*`", "``", line)


GROUPS = {
    "C++": ((".h", ".cc"), cpp_comments),
    "Python": ((".py", ".pyi"), python_comments),
    "documents": ((".md",), document_lines),
}
IGNORED = {"scripts/check_prose.py", "tests/python/test_check_prose.py"}


def files_of(root: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [name for name in sorted(set(listed.stdout.splitlines())) if (root / name).is_file()]


def check(root: Path, names: list[str]) -> dict[str, tuple[int, list[str]]]:
    """For each group its number of lines and one finding ``path:line: phrase: text`` a phrase."""
    result = {}
    for group, (suffixes, lines_of) in GROUPS.items():
        count, findings = 0, []
        for name in names:
            if not name.endswith(suffixes) or name in IGNORED:
                continue
            for number, line in lines_of((root / name).read_text(encoding="utf-8")):
                if not line.strip():
                    continue
                count += 1
                findings += [
                    f"{name}:{number}: {phrase}: {line.strip()}"
                    for phrase, pattern in PATTERNS.items()
                    for _ in pattern.finditer(line)
                ]
        result[group] = (count, findings)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent
    )
    parser.add_argument("--list", action="store_true", help="print every place")
    parser.add_argument("--under", default="", help="only files whose path begins with this")
    arguments = parser.parse_args()
    names = [name for name in files_of(arguments.root) if name.startswith(arguments.under)]
    failed = False
    for group, (count, findings) in check(arguments.root, names).items():
        rate = 1000 * len(findings) / max(count, 1)
        failed |= rate > MOST
        if arguments.list or rate > MOST:
            print("\n".join(findings))
        found = f"{len(findings)} phrases in {count} comment lines"
        print(f"{group}: {found}, {rate:.1f} per 1,000 (at most {MOST})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
