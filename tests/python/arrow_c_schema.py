"""Trees of Arrow formats as fields of pyarrow, which interprets the formats: an oracle for them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from stream_store._exchange.formats import arrow_fields
from stream_store.features import FieldSpec


class CSchema(ctypes.Structure):
    """ArrowSchema of the C data interface."""


Release = ctypes.CFUNCTYPE(None, ctypes.POINTER(CSchema))

CSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(CSchema))),
    ("dictionary", ctypes.POINTER(CSchema)),
    ("release", Release),
    ("private_data", ctypes.c_void_p),
]


@Release
def _release(schema: Any) -> None:
    for i in range(schema.contents.n_children):
        schema.contents.children[i].contents.release = Release()
    schema.contents.release = Release()


def _fill(schema: CSchema, tree: Any, name: str, kept: list[Any]) -> None:
    form, _, metadata, flags, children = tree
    inner = [CSchema() for _ in children]
    for child, child_tree in zip(inner, children, strict=True):
        _fill(child, child_tree, child_tree[1], kept)
    pointers = (ctypes.POINTER(CSchema) * len(inner))(*map(ctypes.pointer, inner))
    kept += [inner, pointers]
    schema.format, schema.name, schema.metadata = form.encode(), name.encode(), metadata or None
    schema.flags, schema.n_children = flags, len(inner)
    schema.children = ctypes.cast(pointers, ctypes.POINTER(ctypes.POINTER(CSchema)))
    schema.release = _release


def pa_field(tree: Any, name: str = "x") -> pa.Field:
    """The field of pyarrow with a type given as (format, name, metadata, flags, children)."""
    schema, kept = CSchema(), []
    _fill(schema, tree, name, kept)
    return pa.Field._import_from_c(ctypes.addressof(schema))


def pa_schema(specs: Sequence[FieldSpec]) -> pa.Schema:
    """The schema that `arrow_fields` describes, the leaves of structs put together."""
    fields = list(zip(specs, arrow_fields(specs), strict=True))
    owners = {spec.path: tree for spec, (tree, _) in fields if spec.hidden}
    root: dict[str, Any] = {}
    for spec, (tree, _) in fields:
        if not spec.hidden:
            at = root
            for part in spec.path[:-1]:
                at = at.setdefault(part, {})
            at[spec.path[-1]] = tree
    return pa.schema([_field(name, node, owners, (name,)) for name, node in root.items()])


def _field(name: str, node: Any, owners: Any, path: tuple[str, ...]) -> pa.Field:
    if not isinstance(node, dict):
        return pa_field(node, name)
    own = pa_field(owners[path], name)
    children = [_field(inner, child, owners, (*path, inner)) for inner, child in node.items()]
    return pa.field(name, pa.struct(children), own.nullable, own.metadata)
