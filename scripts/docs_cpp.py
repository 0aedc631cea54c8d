"""Renders the public C++ headers as Markdown, for scripts/docs_hooks.py.

A header is split into declarations, each with the comment above it. A class becomes a heading, and
so does each of its functions. Bodies of functions and private parts are left out, and the comment
is text: paragraphs, and a list where the header has lines such as `Throws  Error(kCorrupt)`. A call
that a comment names, such as `Refresh()`, is a link to its heading.

This reads the form in which clang-format leaves our headers, and not C++ in general.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[1] / "include"
PAIRS = {")": "(", "]": "[", "}": "{"}
# A line that opens an entry of a list: the name of a parameter, "Cost" or "Throws", and two spaces.
ENTRY = re.compile(r"(?:- )?([\w.]+(?:, [\w.]+)*) {2,}(\S.*)")
NUMBERED = re.compile(r" *(\d+)\. +(\S.*)")
KEYWORDS = {"Cost", "Throws", "Returns", "Throw"}
TYPE = re.compile(r"(?:class|struct|enum class|enum)\s+(?:STREAM_STORE_API\s+)?(\w+)")
EXPORT = "STREAM_STORE_API "
ACCESS = re.compile(r" *(public|protected|private):")
# In the text of a comment: code, a call, or a character that has a meaning in Markdown.
WORDS = re.compile(r"`[^`]*`|(?:\w+\.)+\w+\(\)|(?:\b(\w+)::)?\b(\w+)\(\)|[\\\[\]*_<]")


@dataclass
class Declaration:
    """Consecutive declarations without a blank line between them, and the comment above."""

    comment: list[str]
    code: list[str] = field(default_factory=list)

    @property
    def type_name(self) -> str | None:
        """The name of the class, struct or enum that this defines, if it does."""
        match = TYPE.match(without_template(self.code[0]))
        return match[1] if match and "{" in self.code[0] else None


def without_comments(code: str) -> str:
    """Return code without its comments."""
    return re.sub(r" *//.*", "", code)


def without_template(code: str) -> str:
    """Return code without a template clause at its start and without the arguments of templates."""
    previous = None
    while previous != code:
        previous, code = code, re.sub(r"<[^<>()]*(?:\([^()]*\))?[^<>()]*>", "", code)
    return re.sub(r"^\s*template\s*(requires [^\n]*\n)?\s*", "", code).lstrip()


def take_declaration(lines: list[str], begin: int) -> int:
    """Return the line after the declaration that begins at a line."""
    opened: list[str] = []
    for number in range(begin, len(lines)):
        line = re.sub(r'"(?:\\.|[^"\\])*"', '""', without_comments(lines[number])).rstrip()
        for place, char in enumerate(line):
            if char in PAIRS.values():
                opened.append(char)
            elif char in PAIRS and opened:
                opened.pop()
                if char == "}" and not opened and place == len(line) - 1:
                    return number + 1  # the body of a function
            elif char == ";" and not opened:
                return number + 1
    raise ValueError(f"a declaration does not end: {lines[begin]!r}")


def declarations(lines: list[str]) -> Iterator[Declaration]:
    """Split the lines of a namespace, a class or an enum into declarations, in order."""
    comment: list[str] = []
    current: Declaration | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        text = line.strip()
        if text.startswith("///<") and current is not None:  # continues a comment after code
            current.code[-1] += f"\n{line}"
            at += 1
            continue
        if not text or text.startswith(("//", "#")) or ACCESS.fullmatch(line):
            if current is not None:
                yield current
                current = None
            if text.startswith("// -- "):
                yield Declaration([text], [""])
            elif text.startswith("//"):
                comment.append(re.sub(r"^///? ?", "", text))
            else:
                comment = []
            at += 1
            continue
        end = take_declaration(lines, at)
        if current is None:
            current = Declaration(comment)
            comment = []
        current.code.append("\n".join(lines[at:end]))
        at = end
    if current is not None:
        yield current


def function_name(code: str) -> str | None:
    """Return the name of the function that is declared, or None for anything else."""
    plain = without_template(without_comments(code))
    operator = re.search(r"\boperator\s*(\S+?)\(", plain)
    if operator:
        return f"operator{operator[1]}"
    match = re.match(r"[^=({]*?(~?\w+)\(", plain, re.DOTALL)
    return match[1] if match else None


def signature(code: str) -> str:
    """Return a declaration without the body or the initialisers of a function."""
    code = without_export(code)
    if function_name(code) is None:
        return code
    depth = 0
    for place, char in enumerate(code):
        depth += (char in "([") - (char in ")]")
        if depth == 0 and (char == "{" or code[place : place + 3] in {" : ", "\n :"}):
            if "(" not in code[:place]:
                continue
            return code[:place].rstrip().rstrip(":").rstrip() + ";"
    return code


def without_export(code: str) -> str:
    """Return code without the macro that exports a symbol; lines that continue stay aligned."""
    first, *rest = code.split("\n")
    if EXPORT in first and "{" not in code.split("(", maxsplit=1)[0]:
        rest = [line.removeprefix(" " * len(EXPORT)) for line in rest]
    return "\n".join([first, *rest]).replace(EXPORT, "")


def unindented(code: str) -> str:
    """Return code with the indentation of its first line removed from all lines."""
    margin = len(code) - len(code.lstrip(" "))
    return "\n".join(
        line[min(margin, len(line) - len(line.lstrip(" "))) :] for line in code.split("\n")
    )


def public_lines(code: str) -> list[str]:
    """Return the lines between the braces of a class, struct or enum, without its private part."""
    lines = code.split("\n")
    begin = next(number for number, line in enumerate(lines) if line.rstrip().endswith("{")) + 1
    private = (number for number, line in enumerate(lines) if ACCESS.fullmatch(line))
    hidden = [number for number in private if "private" in lines[number]]
    return lines[begin : hidden[0] if hidden else len(lines) - 1]


class Reference:
    """The headings of all headers, and how to render one of them."""

    def __init__(self, headers: list[str]) -> None:
        self.headers = headers
        self.anchors: dict[str, str] = {}  # of "Class", "Function" and "Class::Function"
        self.owners: dict[str, list[str]] = {}  # the classes that have a function of that name
        for name in headers:
            for found in self._namespace(name):
                self._note(found)

    def _namespace(self, name: str) -> Iterator[Declaration]:
        lines = (INCLUDE / name).read_text(encoding="utf-8").splitlines()
        begin = lines.index("namespace stream_store {") + 1
        end = lines.index("}  // namespace stream_store")
        lines = lines[begin:end]
        if "namespace internal {" in lines:
            first = lines.index("namespace internal {")
            del lines[first : lines.index("}  // namespace internal") + 1]
        for found in declarations(lines):
            forward = all(re.match(r"(class|struct) \w+;", code) for code in found.code)
            if not forward and found.code != [""]:
                yield found

    def _note(self, found: Declaration) -> None:
        name = entity_name(found.code[0])
        self.anchors.setdefault(name, name)
        if found.type_name is None or found.code[0].lstrip().startswith("enum"):
            return
        for member in declarations(public_lines(found.code[0])):
            heading = function_name(member.code[0])
            for code in member.code:
                called = function_name(code)
                if called is not None:
                    anchor = f"{name}-{heading or called}".replace("~", "destructor-")
                    if self.anchors.setdefault(f"{name}::{called}", anchor) == anchor:
                        self.owners.setdefault(called, []).append(name)

    def header(self, name: str, repository: str) -> str:
        """Render one header: its opening comment as text, then its declarations."""
        lines = (INCLUDE / name).read_text(encoding="utf-8").splitlines()
        opening = [re.sub("^// ?", "", line) for line in lines[: lines.index("#pragma once")]]
        source = f"[Source]({repository}/include/{name})"
        parts = [f"## `{name}`", self._text(opening, ""), source]
        seen: set[str] = set()
        for found in self._namespace(name):
            title = entity_name(found.code[0])
            if title not in seen:
                parts.append(f"### {title} {{ #{self.anchors[title]} }}")
            seen.add(title)
            if found.type_name is not None:
                parts += self._type(found)
            else:
                parts += [fenced(found.code), self._text(found.comment, "")]
        return "\n\n".join(part for part in parts if part)

    def _type(self, found: Declaration) -> Iterator[str]:
        code, name = found.code[0], found.type_name
        assert name is not None
        if code.lstrip().startswith("enum"):
            yield fenced([enum_outline(code)])
            yield self._text(found.comment, name)
            yield "\n".join(self._enum_entries(public_lines(code), name))
            return
        members = list(declarations(public_lines(code)))
        data = [one for member in members for one in member.code if one and is_data(one)]
        head = signature(code.split("{")[0].rstrip())
        outline = [f"{head} {{", *(data_line(one) for one in data), "};"] if data else [f"{head};"]
        yield fenced(["\n".join(outline)])
        yield self._text(found.comment, name)
        described = [member for member in members if member.code[0] and is_data(member.code[0])]
        yield "\n".join(entry for member in described for entry in self._data_entries(member, name))
        seen: set[str] = set()
        for member in members:
            if member.code == [""]:
                yield f"**{member.comment[0].removeprefix('// -- ')}**"
            elif not is_data(member.code[0]) and not is_comparison(member):
                yield from self._member(member, name, seen)

    def _member(self, member: Declaration, owner: str, seen: set[str]) -> Iterator[str]:
        name = function_name(member.code[0]) or entity_name(member.code[0])
        if name not in seen and not (name.startswith("operator") and not member.comment):
            anchor = self.anchors.get(f"{owner}::{name}", f"{owner}-{name}")
            yield f"#### `{name}` {{ #{anchor} }}"
        seen.add(name)
        yield fenced([signature(code) for code in member.code])
        yield self._text(member.comment, owner)

    def _data_entries(self, member: Declaration, owner: str) -> Iterator[str]:
        own = {entity_name(code): trailing(code) for code in member.code}
        shared = [f"`{name}`" for name, text in own.items() if not text]
        above = " ".join(" ".join(member.comment).split())
        if shared and above:
            yield f"- {', '.join(shared)}: {self._inline(above, owner)}"
        for name, text in own.items():
            if text:
                yield f"- `{name}`: {self._inline(text, owner)}"

    def _enum_entries(self, lines: list[str], owner: str) -> Iterator[str]:
        values = re.split(r"\n(?= *\w)", "\n".join(lines))
        for value in values:
            name, text = re.findall(r"\w+", value)[0], trailing(value)
            if text:
                yield f"- `{name}`: {self._inline(text, owner)}"

    def _text(self, lines: list[str], owner: str) -> str:
        """Render the lines of a comment as paragraphs, lists and code."""
        blocks: list[tuple[str, list[str]]] = []
        for line in lines:
            kind, text = self._line(line, owner, blocks[-1][0] if blocks else "")
            if not blocks or blocks[-1][0] != kind:
                blocks.append((kind, []))
            blocks[-1][1].append(text)
        parts = [
            "\n".join(["```cpp", *texts, "```"] if kind == "code" else texts)
            for kind, texts in blocks
            if kind
        ]
        return "\n\n".join(parts)

    def _line(self, line: str, owner: str, before: str) -> tuple[str, str]:
        """Return the kind of block that a line of a comment belongs to, and its Markdown."""
        entry, numbered = ENTRY.fullmatch(line), NUMBERED.fullmatch(line)
        if not line.strip():
            return "", ""
        if line.startswith("    ") and before in {"", "code"}:
            return "code", line[4:]
        if entry:
            return "list", self._entry(entry, owner)
        if numbered:
            return "list", f"{numbered[1]}. {self._inline(numbered[2], owner)}"
        if before == "list" and line.startswith("  "):
            return "list", "    " + self._inline(line.strip(), owner)
        return "text", self._inline(line.strip(), owner)

    def _entry(self, entry: re.Match[str], owner: str) -> str:
        names = ", ".join(
            f"**{name}**" if name in KEYWORDS else f"`{name}`" for name in entry[1].split(", ")
        )
        return f"- {names}: {self._inline(entry[2], owner)}"

    def _inline(self, text: str, owner: str) -> str:
        """Render words of a comment: links for calls, and no accidental Markdown."""

        def rendered(match: re.Match[str]) -> str:
            scope, name, whole = match[1], match[2], str(match[0])
            if whole.startswith("`"):
                return whole
            if name is None:
                return f"`{whole}`" if whole.endswith(")") else f"\\{whole}"
            keys = [f"{scope}::{name}"] if scope else [f"{owner}::{name}", name]
            if not scope and len(self.owners.get(name, ())) == 1:
                keys.append(f"{self.owners[name][0]}::{name}")
            anchor = next((self.anchors[key] for key in keys if key in self.anchors), None)
            return f"`{whole}`" if anchor is None else f"[`{whole}`](#{anchor})"

        return str(WORDS.sub(rendered, text))


def trailing(code: str) -> str:
    """Return the comment after a member, which may go on in the lines below."""
    return " ".join(text.strip() for text in re.findall(r"///< ?(.*)", code))


def entity_name(code: str) -> str:
    """Return the name that a declaration declares."""
    plain = without_template(without_comments(code)).replace(EXPORT, "")
    match = TYPE.match(plain)
    if match:
        return match[1]
    called = function_name(code)
    if called is not None:
        return called
    using = re.match(r"\s*using (\w+)", plain)
    if using:
        return using[1]
    return str(re.findall(r"\w+", re.split(r"[={;]", plain, maxsplit=1)[0])[-1])


def is_data(code: str) -> bool:
    """Whether a member of a class is a variable or a constant."""
    plain = without_template(code).lstrip()
    return function_name(code) is None and not plain.startswith(
        ("using ", "enum ", "struct ", "class ")
    )


def is_comparison(member: Declaration) -> bool:
    """Whether a member is a defaulted operator, which needs no explanation."""
    return not member.comment and member.code[0].lstrip().startswith("friend bool operator")


def data_line(code: str) -> str:
    """Return the declaration of a variable without its comment."""
    return "\n".join(line for line in without_comments(code).split("\n") if line.strip())


def enum_outline(code: str) -> str:
    """Return an enum without comments."""
    lines = code.replace(EXPORT, "").split("\n")
    return "\n".join(line for line in map(without_comments, lines) if line.strip())


def fenced(codes: list[str]) -> str:
    """Return code as a block, without its comments' documentation and without bodies."""
    shown = [unindented(signature(code)) for code in codes]
    return "\n".join(["```cpp", *shown, "```"])
