"""BatchPlan: the names of a read of rows, and the nesting of its result.

C++ reads leaves and returns a flat dict of them. If structs were asked for, by their names or
because no names were given, a plan puts their leaves into nested dicts, and takes nested arguments
apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._structs import Struct, StructTree
from .features import FieldSpec

#: Items of a batch that have the keys of the fields themselves.
_BY_FIELD = ("_mask", "_length")


class BatchPlan:
    """The leaves of one request, and the place of each in the batch.

    Attributes:
        types: type ids of the leaves, each once.
    """

    def __init__(
        self, tree: StructTree, specs: Sequence[FieldSpec], names: Sequence[Any] | None
    ) -> None:
        self.types: list[int] = []
        self._nodes: dict[str, int | Struct] = {}
        self._leaves: list[tuple[str, tuple[str, ...]]] = []  # flat name and place of each leaf
        self._ragged = {spec.name for spec in specs if spec.is_ragged and not spec.hidden}
        for name in list(tree.children) if names is None else names:
            self._add(name, tree.find(name), specs)

    def _add(self, name: str, node: int | Struct, specs: Sequence[FieldSpec]) -> None:
        if name in self._nodes:
            return
        self._nodes[name] = node
        for path, type_id in _leaves_of(node):
            self._leaves.append((specs[type_id].name, (name, *path)))
            if type_id not in self.types:
                self.types.append(type_id)

    def nest(self, flat: dict[str, Any]) -> dict[str, Any]:
        """The batch of a flat dict from C++."""
        batch = self._nested(flat)
        taken = {leaf for leaf, _ in self._leaves}
        for name, value in flat.items():
            if name in _BY_FIELD:
                batch[name] = self._nested(value)
            elif name not in taken:
                batch[name] = value
        return batch

    def _nested(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        nested: dict[str, Any] = {}
        for leaf, path in self._leaves:
            if leaf in flat:
                inner = nested
                for part in path[:-1]:
                    inner = inner.setdefault(part, {})
                inner[path[-1]] = flat[leaf]
        return nested

    def flatten_out(self, given: Any) -> Any:
        """`out=` with nested dicts as a flat dict; any other object unchanged."""
        if not isinstance(given, Mapping):
            return given
        flat: dict[Any, Any] = {}
        for name, value in given.items():
            if name in _BY_FIELD and isinstance(value, Mapping):
                inner: dict[Any, Any] = {}
                self._flatten(inner, value, f"out[{name!r}]")
                flat[name] = inner
            else:
                self._flatten(flat, {name: value}, "out")
        return flat

    def flatten_lengths(self, given: Any) -> Any:
        """`max_length=` with nested dicts as a flat dict; a number for a struct is for its lists."""
        if not isinstance(given, Mapping):
            return given
        flat: dict[Any, Any] = {}
        self._flatten(flat, given, "max_length")
        return flat

    def _flatten(self, flat: dict[Any, Any], given: Mapping[Any, Any], what: str) -> None:
        """Put the items of `given` into `flat`, those of structs by leaf."""
        for name, value in given.items():
            node = self._nodes.get(name) if isinstance(name, str) else None
            if not isinstance(node, Struct):
                flat[name] = value
                continue
            for leaf, one in self._parts(node, value, what):
                if leaf in flat:
                    raise ValueError(f"{what}: {leaf!r} is given twice")
                flat[leaf] = one

    def _parts(self, struct: Struct, value: Any, what: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(value, Mapping):
            if what != "max_length":
                raise TypeError(
                    f"{what}: expected a mapping of the fields of struct {struct.name!r}, found "
                    f"{type(value).__name__}"
                )
            for leaf, _ in self._leaves:
                if leaf in self._ragged and leaf.startswith(struct.name + "."):
                    yield leaf, value
            return
        for name, inner in value.items():
            child = struct.children.get(name)
            if child is None:
                raise ValueError(
                    f"{what}: unknown field {name!r} in struct {struct.name!r}; its fields are "
                    f"{', '.join(struct.children)}"
                )
            if isinstance(child, Struct):
                yield from self._parts(child, inner, what)
            else:
                yield f"{struct.name}.{name}", inner


def _leaves_of(node: int | Struct) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, Struct):
        yield from node.leaves()
    else:
        yield (), node
