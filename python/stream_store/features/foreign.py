"""Arrow schemas of other libraries as ArrowType.

`declared_type` reads any object with the method ``__arrow_c_schema__``, such as the types, fields
and schemas of pyarrow and nanoarrow, through the C data interface; it imports neither. Dictionaries
and run-end encoded types become the types of their values.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from .arrow_types import KEYS_SORTED, NULLABLE, ArrowType, encode_metadata

_MAX_DEPTH = 256  # of a schema that is read; `declare` refuses deeper types by their name


class ArrowNode(NamedTuple):
    """One node of a foreign schema, as it is."""

    format: str
    name: str
    metadata: dict[bytes, bytes] | None
    children: list[ArrowNode]
    dictionary: ArrowNode | None
    flags: int = NULLABLE


def node_of(raw: tuple[Any, ...]) -> ArrowNode:
    """A node from the tuple that `_core.describe_arrow_stream` returns."""
    form, name, metadata, children, dictionary, *flags = raw
    return ArrowNode(
        form,
        name,
        metadata,
        [node_of(child) for child in children],
        None if dictionary is None else node_of(dictionary),
        *flags,
    )


def arrow_type(node: ArrowNode) -> ArrowType:
    """The type of the values of a column."""
    if node.dictionary is not None:
        return _of_values(node, arrow_type(node.dictionary))
    if node.format == "+r" and len(node.children) == 2:
        return _of_values(node, arrow_type(node.children[1]))
    children = tuple(arrow_type(child) for child in node.children)
    form = node.format
    flags = node.flags & (NULLABLE | KEYS_SORTED if form == "+m" else NULLABLE)
    if form == "+m" and children:
        children = (_entries(children[0]),)
    elif form != "+s" and form.startswith("+") and children and not children[0].name:
        children = (children[0].named("item"),)
    elif form.startswith("d:") and form.endswith(",128"):
        form = form[: -len(",128")]
    return ArrowType(form, node.name, encode_metadata(node.metadata), flags, children)


def _of_values(node: ArrowNode, values: ArrowType) -> ArrowType:
    """The type of the values with the name, metadata and nullability of their encoding."""
    metadata = node.metadata
    if values.metadata:
        inner = node.dictionary or node.children[1]
        metadata = {**(inner.metadata or {}), **(metadata or {})}
    flags = values.flags & ~NULLABLE | node.flags & NULLABLE
    return values._replace(name=node.name, metadata=encode_metadata(metadata), flags=flags)


def _entries(entries: ArrowType) -> ArrowType:
    """The entries of a map, with the names and nullability that Arrow prescribes."""
    if len(entries.children) != 2:
        return entries
    key, value = entries.children
    key = key._replace(name=key.name or "key", flags=key.flags & ~NULLABLE)
    return entries._replace(
        name=entries.name or "entries",
        flags=entries.flags & ~NULLABLE,
        children=(key, value.named(value.name or "value")),
    )


class _CSchema(ctypes.Structure):
    """ArrowSchema of the C data interface."""


_CSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_CSchema))),
    ("dictionary", ctypes.POINTER(_CSchema)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


def is_arrow(feature: object) -> bool:
    """Whether an object describes an Arrow type, field or schema."""
    return not isinstance(feature, type) and hasattr(feature, "__arrow_c_schema__")


def declared_node(feature: Any) -> ArrowNode:
    """The schema of an object with ``__arrow_c_schema__``."""
    capsule = feature.__arrow_c_schema__()  # owns the structure, so it must stay alive
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype = ctypes.c_void_p
    pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return _read(_CSchema.from_address(pointer_of(capsule, b"arrow_schema")), 0)


def declared_type(feature: Any) -> ArrowType:
    """The type of an object with ``__arrow_c_schema__``."""
    return arrow_type(declared_node(feature))


def _read(schema: Any, depth: int) -> ArrowNode:
    if depth > _MAX_DEPTH:
        raise ValueError(f"the Arrow type is nested more than {_MAX_DEPTH} levels deep")
    children = [_read(schema.children[i].contents, depth + 1) for i in range(schema.n_children)]
    return ArrowNode(
        schema.format.decode("utf-8", "surrogateescape"),
        (schema.name or b"").decode("utf-8", "surrogateescape"),
        _read_metadata(schema.metadata) if schema.metadata else None,
        children,
        _read(schema.dictionary.contents, depth + 1) if schema.dictionary else None,
        schema.flags,
    )


def _read_metadata(address: int) -> dict[bytes, bytes]:
    def number() -> int:
        nonlocal address
        value = ctypes.c_int32.from_address(address).value
        address += 4
        return value

    def text() -> bytes:
        nonlocal address
        size = number()
        address += size
        return ctypes.string_at(address - size, size)

    return {text(): text() for _ in range(number())}
