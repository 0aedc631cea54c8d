"""docs/format.md specifies packed fields of varying length and nested blocks as this build writes
them, and the reader at the end of the page decodes them.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest

import stream_store
from format_page import PAGE, page_reader

# Blocks written by hand from the tables of the page, and their values.
BLOCKS = [
    ("int8", "00 ff", -1),
    ("list<bool>", "00 03 01 05 01 00", [True, None, False]),
    ("string", "00 03 6e c3 a9", "né"),
    ("binary", "02 00 01" + "61" * 256, b"a" * 256),
    ("list<large_string>", "00 02 01 01 00", ["", None]),
    ("map<string, int16>", "00 01 00 00 01 61 00 07 00", [{"key": "a", "value": 7}]),
    (
        'map<int8 ("k"), int8 not null ("v"), keys_sorted, entries ("e")>',
        "00 01 00 00 01 00 02",
        [{"key": 1, "value": 2}],
    ),
    ("fixed_size_list<fixed_size_list<uint8>[2]>[2]", "00 01 01 00 01 02", [[1, 2], None]),
    ("list<fixed_size_list<int8>[0]>", "00 02 00 00 00 00", [[], []]),
    ("list<struct<>>", "00 03 01 05 00 00", [{}, None, {}]),
    ("list<null>", "00 02 00 00 00", [None, None]),
    ("list<fixed_size_binary[0]>", "00 02 01 02 00", [None, b""]),
    (
        'struct<"a \\"b": timestamp[us, tz="x]y"], c-d.e: decimal32(5, 2) not null>',
        "00 00 01 00 00 00 00 00 00 00 00 01 02 03 04",
        {'a "b': 1, "c-d.e": b"\1\2\3\4"},
    ),
    ("struct<a: list<float16>, b: uint64>", "00 00 01 00 00 3e 01 00", {"a": [1.5], "b": None}),
]


@pytest.mark.parametrize(("text", "block", "value"), BLOCKS, ids=[text for text, _, _ in BLOCKS])
def test_reader_of_the_page_decodes_nested_blocks(text: str, block: str, value: Any) -> None:
    reader = page_reader()
    node, rest = reader["parse_type"](text)
    assert rest == ""
    data = bytes.fromhex(block)
    assert reader["read_node"](node, 1, data, 0) == ([value], len(data))


def block_of_the_page() -> bytes:
    """The bytes of the worked example of a nested block."""
    section = PAGE.read_text().split("<!-- block:begin -->")[1].split("<!-- block:end -->")[0]
    return bytes.fromhex(" ".join(re.findall(r"^\| `([0-9a-f ]+)`", section, re.MULTILINE)))


CHAT = [{"role": "user", "content": "Hello"}, {"role": "bot", "content": None}]
CHAT_TYPE = "list<struct<role: string, content: string>>"


def test_block_of_the_page_is_the_chat_beside_it() -> None:
    section = PAGE.read_text().split("### Nested blocks\n", 1)[1].split("\n### ")[0]
    assert str(CHAT).replace("'", '"') in section
    assert CHAT_TYPE in section
    reader = page_reader()
    block = block_of_the_page()
    assert len(block) == 21
    assert reader["read_node"](reader["parse_type"](CHAT_TYPE)[0], 1, block, 0) == ([CHAT], 21)


def test_block_of_the_page_is_what_this_build_writes(tmp_path: Path) -> None:
    with stream_store.StreamStore(tmp_path / "s", fields={"chat": f"nested {CHAT_TYPE}"}) as store:
        store.append_step({"chat": CHAT})
        words = store[:]["values"]
    assert words.tobytes() == struct.pack("<q", 21) + block_of_the_page() + bytes(3)


def test_packed_text_is_the_words_of_the_page(tmp_path: Path) -> None:
    with stream_store.StreamStore(tmp_path / "s", fields={"text": "packed string"}) as store:
        store.append_step({"text": "né"})
        words = store[:]["values"]
    assert words.tolist() == [3, 0xA9C36E]
    assert '`"né"` in a packed string field is the words 3 and 0xa9c36e' in PAGE.read_text()
