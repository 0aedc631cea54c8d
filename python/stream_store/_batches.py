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
from .features.names import batch_key
from .features.nodes import RAGGED

#: Items of a batch that have the keys of the fields themselves.
_BY_FIELD = ("_mask", "_length")
_KEPT_PLANS = 64  # for each store


class BatchPlan:
    """The leaves of one request, and the place of each in the batch.

    Attributes:
        types: type ids of the leaves, each once.
    """

    def __init__(
        self, tree: StructTree, specs: Sequence[FieldSpec], names: Sequence[Any] | None
    ) -> None:
        types: dict[int, None] = {}
        self._nodes: dict[str, int | Struct] = {}
        self._by_key: dict[str, int | Struct] = {}
        self._leaves: list[tuple[str, tuple[str, ...]]] = []  # flat name and place of each leaf
        self._lists = {spec.name for spec in specs if spec.shape[:1] == (RAGGED,)}
        for name in list(tree.children) if names is None else names:
            node = tree.find(name)
            if name in self._nodes:
                continue
            self._nodes[name] = node
            self._by_key[batch_key(name)] = node
            for path, type_id in _leaves_of(node):
                self._leaves.append((batch_key(specs[type_id].name), (batch_key(name), *path)))
                types[type_id] = None
        self.types = list(types)

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
        """`max_length=` as a flat dict, nested or not. A number for a struct is for its lists."""
        if not isinstance(given, Mapping):
            return given
        flat: dict[Any, Any] = {}
        self._flatten(flat, given, "max_length")
        return flat

    def _flatten(self, flat: dict[Any, Any], given: Mapping[Any, Any], what: str) -> None:
        """Put the items of `given` into `flat`, those of structs by leaf."""
        for name, value in given.items():
            nodes = self._nodes if what == "max_length" else self._by_key
            node = nodes.get(name) if isinstance(name, str) else None
            parts = self._parts(node, value, what) if isinstance(node, Struct) else [(name, value)]
            for leaf, one in parts:
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
            lists = [leaf for leaf in _leaf_names(struct) if leaf in self._lists]
            if not lists:
                raise ValueError(f"{what}: struct {struct.name!r} has no lists")
            yield from ((leaf, value) for leaf in lists)
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


def _leaf_names(struct: Struct) -> Iterator[str]:
    for path, _ in struct.leaves():
        yield ".".join((struct.name, *path))


def find_plan(
    tree: StructTree, specs: Sequence[FieldSpec], names: Sequence[Any] | None
) -> BatchPlan:
    """The plan for these names; reads in a loop get the same one.

    Raises:
        ValueError: a field is unknown.
        TypeError: a name is not a str.
    """
    key = None if names is None else tuple(names)
    plan: BatchPlan | None = None
    if key is None or all(isinstance(name, str) for name in key):
        plan = tree.plans.get(key)
    if plan is None:
        plan = BatchPlan(tree, specs, names)
        if len(tree.plans) >= _KEPT_PLANS:
            tree.plans.clear()
        tree.plans[key] = plan
    return plan
