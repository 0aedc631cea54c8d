"""Structs: mappings that are split into their leaves for storage, and put together again.

Each leaf of a struct is a field. The struct also has a hidden marker, a field that is written when
the struct is present but all its leaves and inner markers are missing: this distinguishes a null
struct from a struct of nulls. Markers are numbered after all fields that were declared together
with them, so later calls cannot add one of those to a step with a marker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .features import FieldSpec
from .values import media
from .values.arrays import user_code

#: Features of `datasets` whose own encoding is a struct.
_ENCODED = media.MEDIA | {"TranslationVariableLanguages"}


class Struct:
    """One struct: its marker's type id, and its children by name."""

    __slots__ = ("children", "feature", "marker", "name")

    def __init__(self, name: str, marker: int, feature: str = "") -> None:
        self.name = name
        self.marker = marker
        self.feature = feature  # the JSON of a feature that encodes its values; else ""
        self.children: dict[str, int | Struct] = {}

    def spread(self, value: Any) -> Iterator[tuple[int, Any]]:
        """The field-writes of one value as (type id, value); none for None."""
        if self.feature and value is not None:
            value = media.encode(self.feature, value, f"field {self.name!r}")
        if type(value) is not dict and value is not None:
            given = self.by_place(value)
            value = user_code(lambda: as_mapping(given), given, f"field {self.name!r}")
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise TypeError(
                f"field {self.name!r} is a struct: expected a mapping of its fields, "
                f"found {type(value).__name__}"
            )
        self.check_names(value)
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

    def by_place(self, value: Any) -> Any:
        """A tuple of the spaces Graph, whose tuples are named, or Tuple, whose fields are numbered,
        as a mapping. Returns other objects unchanged.
        """
        if not isinstance(value, tuple):
            return value
        if hasattr(value, "_asdict"):
            return {name: part for name, part in value._asdict().items() if part is not None}
        numbers = [str(number) for number in range(len(value))]
        return dict(zip(numbers, value, strict=True)) if numbers == list(self.children) else value

    def check_names(self, value: Iterable[Any]) -> None:
        """Refuse names that are not those of its children."""
        for name in value:
            if name not in self.children:
                raise ValueError(
                    f"Unknown field {name!r} in struct {self.name!r}; "
                    f"its fields are {', '.join(self.children)}"
                )

    def leaves(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """The paths of its leaves, as seen from the struct, and their type ids."""
        for name, child in self.children.items():
            if isinstance(child, Struct):
                for path, type_id in child.leaves():
                    yield (name, *path), type_id
            else:
                yield (name,), child

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
                structs[spec.path] = Struct(spec.name, type_id, encoded_feature(spec.feature_json))
        for type_id, spec in enumerate(specs):
            if not spec.hidden:
                self._place(spec.path, type_id, structs)
        self._markers = {i for i, spec in enumerate(specs) if spec.hidden}
        self._leaves = {spec.name: i for i, spec in enumerate(specs) if not spec.hidden}
        self._structs = {struct.name: struct for struct in structs.values()}
        self.plans: dict[tuple[str, ...] | None, Any] = {}  # the reads of _batches.py

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
        return type_id in self._markers

    def find(self, name: object) -> int | Struct:
        """The leaf or struct of that name; "obs.inner" is a struct inside of another.

        Raises:
            ValueError: the field is unknown.
            TypeError: the name is not a str.
        """
        if not isinstance(name, str):
            raise TypeError(f"a field name must be a str, not {name!r} ({type(name).__name__})")
        for known in (self.children, self._leaves, self._structs):
            if name in known:
                return known[name]
        shown = ", ".join(list(self.children)[:12])
        raise ValueError(f"Unknown field {name!r}; the fields are {shown}")

    def spread(self, name: object, value: Any) -> Iterator[tuple[int, Any]]:
        """The field-writes of one named value. The name is that of a leaf or of a whole struct.

        Raises:
            ValueError: the field is unknown.
            TypeError: the name is not a str, or the value of a struct is not a mapping.
        """
        node = self.find(name)
        if isinstance(node, Struct):
            yield from node.spread(value)
        else:
            yield node, value

    def collect(self, flat: Mapping[Any, Any]) -> dict[str, Any]:
        """A decoded row with its structs put together."""
        return {
            name: node.collect(flat, self.names)
            if isinstance(node, Struct)
            else flat[self.names[node]]
            for name, node in self.children.items()
        }


def as_mapping(value: Any) -> Any:
    """The value of a struct as a dict: of a TensorDict, a record of NumPy, a scalar of Arrow.

    Returns any other object unchanged.
    """
    if value is None or type(value) is dict:
        return value
    if isinstance(value, (np.void, np.ndarray)) and value.dtype.names and value.ndim == 0:
        return {name: value[name] for name in value.dtype.names}
    if hasattr(value, "as_py"):
        return value.as_py()
    if isinstance(value, Mapping) or is_tensordict(value):
        # TensorDicts are mappings whose iterator gives rows, so only keys() has the names.
        return {name: value[name] for name in value.keys()}  # noqa: SIM118
    return value


def is_tensordict(value: Any) -> bool:
    """Whether an object is a TensorDict, or has the methods of one."""
    return all(hasattr(value, name) for name in ("keys", "__getitem__", "batch_size"))


def encoded_feature(feature_json: str) -> str:
    """The JSON of a feature if that encodes its values to a struct, such as an Image; else ""."""
    if '"_type"' not in feature_json:
        return ""
    return feature_json if json.loads(feature_json).get("_type") in _ENCODED else ""
