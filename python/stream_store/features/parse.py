"""Declarations of fields as a list of FieldSpec."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .declare import MAX_DEPTH, Leaf, Struct, declare
from .names import MAX_FIELDS, check_type, problem_of
from .spec import FieldSpec

#: Names, or name -> feature.
Fields = Iterable[str] | Mapping[str, Any]


def parse_fields(
    fields: Fields,
    field_features: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    nested: Collection[tuple[str, ...]] = (),
    packed: Collection[tuple[str, ...]] = (),
) -> list[FieldSpec]:
    """Parse a declaration of fields.

    Args:
        fields: names, each with the feature ``Sequence(Value("int64"))``; or a mapping of name to
            feature, where None means that feature.
        field_features: features for a list of names: a mapping of name to feature, or a sequence in
            the order of the names.
        nested: paths of fields, or of whole structs, to store nested although they are flat:
            ``("tokens",)``, ``("obs", "pos")``.
        packed: paths of fields to store packed, such as strings.

    Returns:
        The leaves in declared order, then the hidden markers of structs. The leaves of a struct are
        in its place, depth first, and are called ``outer.inner``.

    Raises:
        ValueError: a name or feature is refused; the message lists every such field and suggests
            other features.
        TypeError: `fields` is neither a list nor a mapping, or a name is not a str.

    Examples:
        >>> from stream_store.features import parse_fields
        >>> [spec.name for spec in parse_fields({"obs": {"x": "float32", "y": "float32[2]"}})]
        ['obs.x', 'obs.y', 'obs']
    """
    pairs = _pairs(fields, field_features)
    if not pairs:
        raise ValueError("no fields: expected at least one name")
    walk = _Walk(frozenset(nested), frozenset(packed))
    names: set[str] = set()
    for name, feature in pairs:
        if name in names:
            walk.refuse((name,), "a duplicate name")
            continue
        names.add(name)
        walk.visit((name,), feature)
    return walk.finish()


def _pairs(
    fields: Fields, features: Mapping[str, Any] | Sequence[Any] | None
) -> list[tuple[str, Any]]:
    """Names with their features, in declared order."""
    if isinstance(fields, (str, bytes)) or not isinstance(fields, Iterable):
        raise TypeError(
            f"fields: expected a list of names or a mapping, found {type(fields).__name__}"
        )
    names = [check_type(name) for name in fields]
    if isinstance(fields, Mapping):
        if features is not None:
            raise ValueError(
                "field_features is for a list of names; the mapping has its own features"
            )
        return list(zip(names, fields.values(), strict=True))
    if features is None:
        return [(name, None) for name in names]
    if isinstance(features, Mapping):
        if unknown := [name for name in features if name not in names]:
            raise ValueError(
                f"field_features: Unknown field {unknown[0]!r}; the fields are {', '.join(names)}"
            )
        return [(name, features.get(name)) for name in names]
    if isinstance(features, (str, bytes)) or not isinstance(features, Sequence):
        raise TypeError(
            f"field_features: expected a mapping or a sequence, found {type(features).__name__}"
        )
    if len(features) != len(names):
        raise ValueError(
            f"field_features: expected a sequence of equal length to the {len(names)} names, "
            f"found {len(features)}"
        )
    return list(zip(names, features, strict=True))


class _Walk:
    """Collects leaves, markers and problems."""

    def __init__(
        self, nested: frozenset[tuple[str, ...]], packed: frozenset[tuple[str, ...]]
    ) -> None:
        self.nested = nested
        self.packed = packed
        self.leaves: list[FieldSpec] = []
        self.markers: list[FieldSpec] = []
        self.problems: list[str] = []

    def refuse(self, path: tuple[str, ...], why: str) -> None:
        self.problems.append(f"field {'.'.join(path)!r}: {why}")

    def visit(self, path: tuple[str, ...], feature: Any) -> None:
        if problem := problem_of(path):
            self.refuse(path, problem)
            return
        try:
            node = declare(feature)
        except ValueError as error:
            self.refuse(path, str(error))
            return
        if isinstance(node, Leaf):
            spec = FieldSpec(
                ".".join(path), path, node.dtype, node.shape, node.packed, node.feature_json
            )
            self.leaves.append(spec)
        else:
            self._visit_struct(path, node)

    def _visit_struct(self, path: tuple[str, ...], struct: Struct) -> None:
        if not struct.children:
            self.refuse(path, "a struct without fields; remove it, or give it a field")
            return
        if len(path) > MAX_DEPTH:
            self.refuse(path[:3], f"structs are nested more than {MAX_DEPTH} deep")
            return
        marker = FieldSpec(
            ".".join(path), path, "null", (), False, json.dumps(struct.node), hidden=True
        )
        self.markers.append(marker)
        for name, feature in struct.children.items():
            self.visit((*path, check_type(name)), feature)

    def finish(self) -> list[FieldSpec]:
        for specs in (self.leaves, self.markers):
            seen: dict[str, FieldSpec] = {}
            for spec in specs:
                if other := seen.get(spec.name):
                    self.refuse(
                        spec.path,
                        f"a duplicate name: shown as {spec.name!r} like the path {other.path}",
                    )
                seen[spec.name] = spec
        count = len(self.leaves) + len(self.markers)
        if count > MAX_FIELDS:
            self.problems.append(
                f"{count} fields, with one more for each struct; expected at most {MAX_FIELDS}"
            )
        if len(self.problems) == 1:
            raise ValueError(self.problems[0])
        if self.problems:
            raise ValueError(
                f"{len(self.problems)} fields are refused:\n  " + "\n  ".join(self.problems)
            )
        return self.leaves + self.markers
