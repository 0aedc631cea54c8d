"""Structs: mappings that are split into their leaves for storage, and put together again.

Each leaf of a struct is a field. The struct also has a hidden marker, a field that is written when
the struct is present but all its leaves and inner markers are missing: this distinguishes a null
struct from a struct of nulls. Markers are numbered after all declared fields, so a step with a
marker is complete; later calls cannot add a declared field to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .features import FieldSpec


class Struct:
    """One struct: its marker's type id, and its children by name."""

    __slots__ = ("children", "marker", "name")

    def __init__(self, name: str, marker: int) -> None:
        self.name = name
        self.marker = marker
        self.children: dict[str, int | Struct] = {}

    def spread(self, value: Any) -> Iterator[tuple[int, Any]]:
        """The field-writes of one value as (type id, value); none for None."""
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise TypeError(
                f"field {self.name!r} is a struct: expected a mapping of its fields, "
                f"found {type(value).__name__}"
            )
        for name in value:
            if name not in self.children:
                raise ValueError(
                    f"Unknown field {name!r} in struct {self.name!r}; "
                    f"its fields are {', '.join(self.children)}"
                )
        present = False
        for name, child in self.children.items():
            inner = value.get(name)
            if isinstance(child, Struct):
                for pair in child.spread(inner):
                    present = True
                    yield pair
            elif inner is not None:
                present = True
                yield child, inner
        if not present:
            yield self.marker, True

    def collect(self, flat: Mapping[Any, Any], names: Sequence[str]) -> dict[str, Any] | None:
        """The struct of one decoded row; None if it is null."""
        present = self.marker in flat
        values: dict[str, Any] = {}
        for name, child in self.children.items():
            inner = child.collect(flat, names) if isinstance(child, Struct) else flat[names[child]]
            present = present or inner is not None
            values[name] = inner
        return values if present else None


class StructTree:
    """All fields of a store in declared order: outer name -> leaf or struct."""

    def __init__(self, specs: Sequence[FieldSpec]) -> None:
        self.names = [spec.name for spec in specs]
        self.children: dict[str, int | Struct] = {}
        structs: dict[tuple[str, ...], Struct] = {}
        for type_id, spec in enumerate(specs):
            if spec.hidden:
                structs[spec.path] = Struct(spec.name, type_id)
        for type_id, spec in enumerate(specs):
            if not spec.hidden:
                self._place(spec.path, type_id, structs)
        self._leaves = {spec.name: i for i, spec in enumerate(specs) if not spec.hidden}

    def _place(
        self, path: tuple[str, ...], type_id: int, structs: dict[tuple[str, ...], Struct]
    ) -> None:
        children = self.children
        for depth in range(1, len(path)):
            struct = structs[path[:depth]]
            children.setdefault(path[depth - 1], struct)
            children = struct.children
        children[path[-1]] = type_id

    def is_marker(self, type_id: int) -> bool:
        """Whether a type id is that of a struct's marker."""
        return type_id >= len(self._leaves)

    def spread(self, name: object, value: Any) -> Iterator[tuple[int, Any]]:
        """The field-writes of one named value. The name is that of a leaf or of a whole struct.

        Raises:
            ValueError: the field is unknown.
            TypeError: the name is not a str, or the value of a struct is not a mapping.
        """
        if isinstance(name, str):
            node = self.children.get(name)
            if isinstance(node, Struct):
                yield from node.spread(value)
                return
            leaf = self._leaves.get(name)
            if leaf is not None:
                yield leaf, value
                return
        else:
            raise TypeError(f"a field name must be a str, not {name!r} ({type(name).__name__})")
        shown = ", ".join(list(self.children)[:12])
        raise ValueError(f"Unknown field {name!r}; the fields are {shown}")

    def collect(self, flat: Mapping[Any, Any]) -> dict[str, Any]:
        """A decoded row with its structs put together."""
        return {
            name: node.collect(flat, self.names)
            if isinstance(node, Struct)
            else flat[self.names[node]]
            for name, node in self.children.items()
        }

    def spread_columns(self, columns: Mapping[Any, Any]) -> list[tuple[int, Any]]:
        """Columns by type id, structs split. The column of a marker is bytes, 1 where present."""
        result: list[tuple[int, Any]] = []
        for name, column in columns.items():
            node = self.children.get(name) if isinstance(name, str) else None
            if not isinstance(node, Struct):
                result.extend(self.spread(name, column))
                continue
            rows = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
            leaves: dict[int, list[Any]] = {}
            for row, value in enumerate(rows):
                for type_id, item in node.spread(value):
                    leaves.setdefault(type_id, [None] * len(rows))[row] = item
            for type_id, items in sorted(leaves.items()):
                present = bytes(item is not None for item in items)
                result.append((type_id, present if self.is_marker(type_id) else items))
            if not leaves:
                result.append((node.marker, bytes(len(rows))))
        return result
