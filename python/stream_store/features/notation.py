"""Arrow types as text: ``list<struct<role: string, content: string>>``.

The notation is that of pyarrow, with the type names of `datasets`: float32, not float. The C++
library (`ParseNestedType`, `NestedTypeText`) defines it; the texts written here are the same.
"""

from __future__ import annotations

import json
import re

from .arrow_types import KEYS_SORTED, NULLABLE, ArrowType
from .value_formats import FORMATS, format_of_value, value_of_format

_LISTS = {"list": "+l", "large_list": "+L", "list_view": "+vl", "large_list_view": "+vL"}
_LIST_NAMES = {form: name for name, form in _LISTS.items()}
_PLAIN_NAME = r"[A-Za-z0-9_.\-]+"
_ZONED = r'timestamp\[ *(s|ms|us|ns) *, *tz *= *("(?:[^"\\]|\\.)*"|[^\]"]+)\]'
_PARAMETERS = r'\[(?:"(?:[^"\\]|\\.)*"|[^\]"])*\]|\([^)]*\)'
_PLAIN_ZONE = r"[A-Za-z0-9_.\-/+:]*"

#: Names of pyarrow that `datasets` does not have.
_OTHER_NAMES = {
    "halffloat": "e",
    "float": "f",
    "double": "g",
    "utf8_view": "vu",
    "date32[day]": "tdD",
    "date64[ms]": "tdm",
}


def type_text(tree: ArrowType) -> str:
    """The text of a type. Flags, metadata and the name of the root are left out."""
    form = tree.format
    if form == "+s":
        return f"struct<{', '.join(_named(child) for child in tree.children)}>"
    if form == "+m":
        return _map_text(tree)
    if form.startswith("+"):
        item = _item_text(tree.children[0])
        if form.startswith("+w:"):
            return f"fixed_size_list<{item}>[{form[3:]}]"
        return f"{_LIST_NAMES[form]}<{item}>"
    if form.startswith("ts"):
        unit = {"s": "s", "m": "ms", "u": "us", "n": "ns"}[form[2]]
        zone = form[4:]
        return (
            f"timestamp[{unit}, tz={_quoted(zone, _PLAIN_ZONE)}]" if zone else f"timestamp[{unit}]"
        )
    name = value_of_format(form)
    if name is None:
        raise ValueError(f"the Arrow type {form!r}")
    return name


def _child_text(child: ArrowType) -> str:
    return type_text(child) + ("" if child.nullable else " not null")


def _named(child: ArrowType) -> str:
    return f"{_quoted(child.name, _PLAIN_NAME)}: {_child_text(child)}"


def _item_text(item: ArrowType) -> str:
    usual = item.name in ("", "item")
    if usual and item.nullable:
        return type_text(item)
    return _named(item.named("item") if usual else item)


def _map_text(tree: ArrowType) -> str:
    entries = tree.children[0]
    key, value = entries.children
    parts = [
        type_text(key) + _other_name(key, "key"),
        _child_text(value) + _other_name(value, "value"),
    ]
    if tree.flags & KEYS_SORTED:
        parts.append("keys_sorted")
    if entries.name not in ("", "entries"):
        parts.append(f"entries{_other_name(entries, 'entries')}")
    return f"map<{', '.join(parts)}>"


def _other_name(node: ArrowType, usual: str) -> str:
    return "" if node.name in ("", usual) else f" ({json.dumps(node.name, ensure_ascii=False)})"


def _quoted(text: str, plain: str) -> str:
    return text if re.fullmatch(plain, text) else json.dumps(text, ensure_ascii=False)


def parse_type(text: str) -> ArrowType:
    """The type of a text.

    Raises:
        ValueError: the text is not a type that can be stored; the message has the position.
    """
    return _Parser(text).whole()


class _Parser:
    """A recursive descent over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def whole(self) -> ArrowType:
        tree = self.type()
        self.skip()
        if self.at < len(self.text):
            raise self.error("the end of the type")
        return tree

    def error(self, expected: str) -> ValueError:
        found = repr(self.text[self.at : self.at + 24]) if self.text[self.at :] else "the end"
        return ValueError(f"expected {expected} but found {found} at position {self.at}")

    def skip(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def take(self, token: str) -> bool:
        self.skip()
        found = self.text.startswith(token, self.at)
        self.at += len(token) if found else 0
        return found

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.error(repr(token))

    def match(self, pattern: str) -> str:
        self.skip()
        match = re.compile(pattern).match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def type(self) -> ArrowType:
        begin = self.at
        word = self.match(r"[A-Za-z0-9_]+")
        if word in _LISTS:
            return ArrowType(_LISTS[word], children=(self.item(),))
        if word == "fixed_size_list":
            item = self.item()
            size = self.match(r"\[ *\d{1,10} *\]").strip("[ ]")
            if not size or int(size) >= 2**31:
                raise self.error("the size in brackets")
            return ArrowType(f"+w:{int(size)}", children=(item,))
        if word == "struct":
            return ArrowType("+s", children=self.struct())
        if word == "map":
            return self.map()
        if word in ("dictionary", "run_end_encoded", "extension"):
            self.at = begin
            raise self.error("the type of the values")
        return ArrowType(self.scalar(word, begin))

    def scalar(self, word: str, begin: int) -> str:
        found = re.compile(_PARAMETERS).match(self.text, self.at) if word else None
        self.at = found.end() if found else self.at
        name = word + (found[0] if found else "")
        if zone := re.fullmatch(_ZONED, name):
            quoted = zone[2].startswith('"')
            return f"ts{zone[1][0]}:{json.loads(zone[2]) if quoted else zone[2]}"
        try:
            return _OTHER_NAMES.get(name) or FORMATS.get(name) or format_of_value(name)
        except ValueError:
            self.at = begin
            self.skip()
            raise self.error("a type") from None

    def child(self, name: str) -> ArrowType:
        tree = self.type()
        if self.match(r"not\b"):
            if not self.match(r"null\b"):
                raise self.error("'null' after 'not'")
            return tree._replace(name=name, flags=tree.flags & ~NULLABLE)
        return tree.named(name)

    def name(self) -> str:
        self.skip()
        if self.text[self.at : self.at + 1] == '"':
            text = self.match(r'"(?:[^"\\]|\\.)*"')
            if not text:
                raise self.error("a name that ends with '\"'")
            return str(json.loads(text))
        return self.match(r"[^<>,()\[\]\":']+(?=:)").rstrip()

    def item(self) -> ArrowType:
        self.expect("<")
        name = self.name()
        if name:
            self.expect(":")
        tree = self.child(name or "item")
        self.expect(">")
        return tree

    def struct(self) -> tuple[ArrowType, ...]:
        self.expect("<")
        children: list[ArrowType] = []
        while not self.take(">"):
            if children:
                self.expect(",")
            quoted = self.text[self.at :].lstrip()[:1] == '"'
            name = self.name()
            if not name and not quoted:
                raise self.error("a name")
            self.expect(":")
            children.append(self.child(name))
        return tuple(children)

    def other_name(self, usual: str) -> str:
        if not self.take("("):
            return usual
        text = self.match(r"\"(?:[^\"\\]|\\.)*\"|'.*?'(?=\))")
        if not text:
            raise self.error("a name")
        self.expect(")")
        return str(json.loads(text)) if text[0] == '"' else text[1:-1]

    def map(self) -> ArrowType:
        self.expect("<")
        key = self.child("key")
        key = key._replace(name=self.other_name("key"), flags=key.flags & ~NULLABLE)
        self.expect(",")
        value = self.child("value")
        value = value.named(self.other_name("value"))
        flags, name = NULLABLE, self.other_name("entries")
        while self.take(","):
            if self.match(r"keys_sorted\b"):
                flags |= KEYS_SORTED
            elif not self.match(r"entries\b"):
                raise self.error("'keys_sorted' or 'entries'")
            name = self.other_name(name)
        self.expect(">")
        return ArrowType("+m", "", b"", flags, (ArrowType("+s", name, b"", 0, (key, value)),))
