"""Check that every precondition in a comment is asserted.

    python scripts/check_assertions.py [ROOT]

A comment in include/, src/ or python/convert that contains ``REQUIRES:`` documents the function
after it. The body of that function has to contain STREAM_STORE_ASSERT or static_assert. For a
function that is only declared there, the script looks for the definition: the same class, name and
parameter types. A comment inside a function needs an assertion in the next few lines. A
precondition that the compiler checks, by an attribute such as REQUIRES_LOCK(mutex) for a
lock, needs no assertion.

Prints one line ``path:line: text`` per finding and exits with 1 if there is any.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from check_layers import Finding, run

FOLDERS = ("include", "src", "python/convert")
PRECONDITION = re.compile(r"(?<!`)\bREQUIRES:")
ASSERTION = re.compile(r"\b(?:STREAM_STORE_ASSERT|static_assert)\s*\(")
LOCK_ATTRIBUTE = re.compile(r"\b\w*REQUIRES\w*\s*\(|\brequires_capability\b")
NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
)
FUNCTION = re.compile(r"(~?\b[A-Za-z_]\w*|\boperator\s*[^\s\w(]{1,3}|\boperator\(\))\s*(?=\()")
NOT_A_NAME = {
    "alignas", "catch", "decltype", "defined", "for", "if", "noexcept", "requires", "return",
    "sizeof", "static_assert", "switch", "while", "__attribute__",
}  # fmt: skip
CLASS = re.compile(
    r"\b(?:class|struct|union)\s+(?:\w+(?:\([^()]*\))?\s+)*?(\w+)(?:\s+final)?\s*(?::[^:;{][^;{]*)?$"
)
BRACKETS = {"(": re.compile(r"[()]"), "{": re.compile(r"[{}]")}
LINES_AFTER = 5  # lines after a comment in a function within which its assertion stands


@dataclass(frozen=True)
class Function:
    """A declaration or a definition."""

    name: str
    owner: str  # the class, or ""
    parameters: tuple[str, ...]  # their types
    begin: int  # where the name begins
    body: str | None  # None for a declaration
    head: str  # the text between the parameters and the body


class Source:
    """One C++ file: `text` as it is, and `code` with comments and literals replaced by spaces."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)

    @cached_property
    def functions(self) -> list[Function]:
        """List every function that the file declares or defines. Some entries are calls."""
        found = []
        for match in FUNCTION.finditer(self.code):
            if match[1] not in NOT_A_NAME and (function := self._function(match)) is not None:
                found.append(function)
        return found

    def _function(self, match: re.Match[str]) -> Function | None:
        close = closing(self.code, match.end())
        if close is None:
            return None
        end = end_of_head(self.code, close + 1)
        if end is None:
            return None
        body = None
        if self.code[end] == "{":
            last = closing(self.code, end)
            if last is None:
                return None
            body = self.code[end : last + 1]
        prefix = self.code[max(0, match.start() - 200) : match.start()]
        before = re.search(r"(\w+)(?:<[^<>]*>)?\s*::\s*$", prefix)
        owner = before[1] if before else self.class_at(match.start())
        parameters = types_of(self.code[match.end() + 1 : close])
        head = self.code[close + 1 : end]
        return Function(match[1], owner, parameters, match.start(), body, head)

    @cached_property
    def braces(self) -> tuple[list[int], list[tuple[str, ...]]]:
        """Places of all braces and, for each, the text before the braces that are open after it."""
        places, stacks = [], []
        opened: list[str] = []
        for match in re.finditer(r"[{}]", self.code):
            if match[0] == "{":
                before = self.code[max(0, match.start() - 1000) : match.start()]
                opened.append(re.split(r"[;{}]", before)[-1].strip())
            elif opened:
                opened.pop()
            places.append(match.start())
            stacks.append(tuple(opened))
        return places, stacks

    def blocks_at(self, offset: int) -> tuple[str, ...]:
        """Return the text before each open brace around a place, from outer to inner."""
        places, stacks = self.braces
        index = bisect.bisect_left(places, offset)
        return stacks[index - 1] if index else ()

    def class_at(self, offset: int) -> str:
        """Return the innermost class around a place, or "" in none and in functions."""
        blocks = self.blocks_at(offset)
        match = CLASS.search(blocks[-1]) if blocks else None
        return match[1] if match else ""

    def is_in_function(self, offset: int) -> bool:
        """Return whether a place is inside the body of a function."""
        return any(
            not CLASS.search(block) and not re.search(r"\b(?:namespace|extern|enum)\b", block)
            for block in self.blocks_at(offset)
        )


def closing(code: str, begin: int) -> int | None:
    """Return the place of the bracket that closes the one at `begin`."""
    depth = 0
    for match in BRACKETS[code[begin]].finditer(code, begin):
        depth += 1 if match[0] == code[begin] else -1
        if depth == 0:
            return match.start()
    return None


def end_of_head(code: str, begin: int) -> int | None:
    """Return the ``{`` or ``;`` that ends the head of a function, None if this is an expression."""
    at = begin
    initializers = False
    while at < len(code):
        char = code[at]
        if char == ";":
            return at
        if char == "{":
            if not initializers or not re.search(r"[\w>]\s*$", code[begin:at]):
                return at
            last = closing(code, at)  # a member's initial value in braces
            if last is None:
                return None
            at = last
        elif char == "(":
            last = closing(code, at)
            if last is None:
                return None
            at = last
        elif char == ":" and code[at : at + 2] != "::" and code[at - 1] != ":":
            initializers = True
        elif (
            char in ")]}?"
            or (char == "," and not initializers)
            or char in "|+*/" * (not initializers)
        ):
            return None
        at += 1
    return None


def split_commas(text: str) -> list[str]:
    """Split at the commas that are in no brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "(<[{") - (char in ")>]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def types_of(parameters: str) -> tuple[str, ...]:
    """Return the types of a parameter list, without names, default values and qualifications."""
    types = []
    for part in split_commas(parameters):
        text = re.sub(r"\s*=.*$", "", part, flags=re.DOTALL)
        text = re.sub(r"\bconst\b|\bstd::|\b\w+::(?=\w)", " ", text)
        words = re.findall(r"\w+|[^\w\s]", text)
        if len(words) > 1 and re.fullmatch(r"[A-Za-z_]\w*", words[-1]):
            words.pop()
        types.append("".join(words))
    return tuple(types)


def read_sources(root: Path) -> dict[str, Source]:
    """Read the C++ files of the checked folders, by their path."""
    return {
        path.relative_to(root).as_posix(): Source(path.read_text(encoding="utf-8"))
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in {".cc", ".h"}
    }


def list_comments(text: str) -> Iterator[tuple[int, int]]:
    """List (first, last) line, from 0, of each block of comment lines with a precondition."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        first = number
        while number < len(lines) and lines[number].lstrip().startswith("//"):
            number += 1
        if number == first:
            if "//" in lines[number] and PRECONDITION.search(lines[number].split("//", 1)[1]):
                yield number, number - 1  # a comment at the end of a line belongs to that line
            number += 1
        elif PRECONDITION.search("\n".join(lines[first:number])):
            yield first, number - 1


def documented(source: Source, offset: int) -> Function | None:
    """Return the function whose declaration begins at or after `offset`, if one is next."""
    for function in source.functions:
        if function.begin < offset:
            continue
        between = source.code[offset : function.begin]
        return None if re.search(r"[;}]|\busing\b", between) else function
    return None


def definitions(sources: dict[str, Source], declared: Function) -> list[Function]:
    """List the definitions of a declared function, only the right overload if possible."""
    same = [
        function
        for source in sources.values()
        for function in source.functions
        if (function.name, function.owner) == (declared.name, declared.owner)
        and function.body is not None
    ]
    exact = [function for function in same if function.parameters == declared.parameters]
    count = [f for f in same if len(f.parameters) == len(declared.parameters)]
    return exact or count or same


def check_comment(sources: dict[str, Source], path: str, last: int) -> str | None:
    """Return why the precondition that ends in line `last` counts as not asserted, or None."""
    source = sources[path]
    lines = source.code.splitlines(keepends=True)
    offset = sum(map(len, lines[: last + 1]))
    if source.is_in_function(offset):
        near = "".join(lines[last + 1 : last + 1 + LINES_AFTER])
        return None if ASSERTION.search(near) else "has no assertion in the lines after it"
    function = documented(source, offset)
    if function is None:
        if ASSERTION.search(source.code):
            return None
        return "documents no function, and the file contains no assertion"
    name = f"{function.owner}::{function.name}" if function.owner else function.name
    if LOCK_ATTRIBUTE.search(function.head):
        return None
    found = [function] if function.body is not None else definitions(sources, function)
    if not found:
        return f"{name}() has no definition that this script can find"
    for definition in found:
        if ASSERTION.search(definition.body or "") or LOCK_ATTRIBUTE.search(definition.head):
            return None
    return f"{name}() does not assert it"


def check_tree(root: Path) -> list[Finding]:
    """List all findings of the tree at `root`, sorted by place."""
    sources = read_sources(root)
    findings = []
    for path, source in sources.items():
        texts = source.text.splitlines()
        for first, last in list_comments(source.text):
            problem = check_comment(sources, path, last)
            if problem is not None:
                numbers = range(first, max(last, first) + 1)
                line = next((n for n in numbers if PRECONDITION.search(texts[n])), first)
                findings.append(Finding(path, line + 1, f"REQUIRES: {problem}"))
    return sorted(findings)


if __name__ == "__main__":
    raise SystemExit(run(__doc__ or "", check_tree))
