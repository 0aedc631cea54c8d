"""ArrowType: an Arrow type as a tree of formats, and its forms in JSON and in the C data interface.

Format strings are those of https://arrow.apache.org/docs/format/CDataInterface.html. A feature
implies such a tree (feature_types.py); a field that was declared from an Arrow schema may differ
from it, for example by ``not null`` or by an extension type. The feature's JSON then has one more
key, ``"_arrow"``, with the whole tree.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

NULLABLE = 2
KEYS_SORTED = 4

EXTENSION_NAME = b"ARROW:extension:name"
EXTENSION_METADATA = b"ARROW:extension:metadata"

_KEY = "_arrow"


class ArrowType(NamedTuple):
    """One node of an Arrow schema, without dictionaries.

    format    "l", "+l", "tsu:UTC".
    name      of a struct's child; "item" for the child of a list. That of a column has no meaning.
    metadata  as the C data interface encodes it; b"" if there is none.
    flags     NULLABLE, KEYS_SORTED.
    """

    format: str
    name: str = ""
    metadata: bytes = b""
    flags: int = NULLABLE
    children: tuple[ArrowType, ...] = ()

    @property
    def nullable(self) -> bool:
        return bool(self.flags & NULLABLE)

    @property
    def extension(self) -> str:
        """The name of an extension type, else ""."""
        if not self.metadata:
            return ""
        name = decode_metadata(self.metadata).get(EXTENSION_NAME, b"")
        return name.decode("utf-8", "replace")

    def named(self, name: str) -> ArrowType:
        return self if self.name == name else self._replace(name=name)


def encode_metadata(pairs: Mapping[bytes, bytes] | None) -> bytes:
    """Metadata as the C data interface encodes it: sizes in native byte order, then bytes."""
    if not pairs:
        return b""
    parts = [_int32(len(pairs))]
    for pair in pairs.items():
        for text in pair:
            parts += [_int32(len(text)), text]
    return b"".join(parts)


def decode_metadata(encoded: bytes) -> dict[bytes, bytes]:
    """The reverse of `encode_metadata`."""
    at = 0

    def number() -> int:
        nonlocal at
        at += 4
        return int.from_bytes(encoded[at - 4 : at], sys.byteorder, signed=True)

    def text() -> bytes:
        nonlocal at
        size = number()
        at += size
        return encoded[at - size : at]

    return {text(): text() for _ in range(number())} if encoded else {}


def _int32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder, signed=True)


def extension_metadata(name: str, parameters: str = "") -> bytes:
    """The metadata of an extension type."""
    return encode_metadata({EXTENSION_NAME: name.encode(), EXTENSION_METADATA: parameters.encode()})


def depth_of(tree: ArrowType) -> int:
    """The number of nodes from the root to the deepest leaf, both included."""
    return 1 + max((depth_of(child) for child in tree.children), default=0)


def tree_json(tree: ArrowType) -> list[Any]:
    """``[format, name, metadata as base64 or None, flags, children]``."""
    metadata = base64.b64encode(tree.metadata).decode() if tree.metadata else None
    children = [tree_json(child) for child in tree.children]
    return [tree.format, tree.name, metadata, tree.flags, children]


def tree_from_json(tree: list[Any]) -> ArrowType:
    """The reverse of `tree_json`."""
    form, name, metadata, flags, children = tree
    decoded = base64.b64decode(metadata) if metadata else b""
    return ArrowType(form, name, decoded, flags, tuple(tree_from_json(child) for child in children))


def with_tree(node: dict[str, Any], tree: ArrowType) -> dict[str, Any]:
    """A feature's JSON with the Arrow type of its field.

    The key has more underscores if a struct has a child of that name.
    """
    key = _KEY
    while key in node:
        key = f"_{key}"
    return {**node, key: tree_json(tree)}


def split_tree(node: dict[str, Any]) -> tuple[dict[str, Any], ArrowType | None]:
    """A feature's JSON without the Arrow type of its field, and that type if there is one.

    The features of a struct are dicts, so a list can be nothing else.
    """
    for key, value in node.items():
        if key.endswith(_KEY) and isinstance(value, list):
            return {k: v for k, v in node.items() if k != key}, tree_from_json(value)
    return node, None
