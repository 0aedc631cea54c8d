"""Declarations of fields as a list of FieldSpec."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .declare import Leaf, Struct, declare
from .feature_types import Typed, feature_of
from .foreign import ArrowNode, arrow_type, declared_node, is_arrow
from .names import MAX_FIELDS, check_type, problem_of
from .nodes import MAX_DEPTH
from .spec import FieldSpec

#: Names, or name -> feature, or fields or a schema of pyarrow.
Fields = Iterable[Any] | Mapping[str, Any]

Path = tuple[str, ...]


def parse_fields(
    fields: Fields,
    field_features: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    nested: Collection[Path] = (),
    packed: Collection[Path] = (),
    any_names: bool = False,
) -> list[FieldSpec]:
    """Parse a declaration of fields.

    Args:
        fields: names, each with the feature ``Sequence(Value("int64"))``; or a mapping of name to
            feature, where None means that feature; or a schema of pyarrow, or a list of its fields.
        field_features: features for a list of names: a mapping of name to feature, or a sequence in
            the order of the names.
        nested: paths of fields, or of whole structs, to store nested although they are flat:
            ``("tokens",)``, ``("obs", "pos")``.
        packed: paths of fields to store packed, such as strings.
        any_names: whether a struct whose leaves cannot have names of their own is nested as a
            whole, one field. They cannot if a name is empty, longer than 255 bytes or that of
            another field. An import of data that has such structs sets this.

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
    whole: set[Path] = set(nested)
    while True:
        walk = _Walk(whole, frozenset(packed), any_names)
        for name, feature in pairs:
            walk.column(name, feature)
        clashes = walk.clashes() if any_names else set()
        if not clashes - whole:
            return walk.finish()
        whole |= clashes


def _pairs(
    fields: Fields, features: Mapping[str, Any] | Sequence[Any] | None
) -> list[tuple[str, Any]]:
    """Names with their features, in declared order."""
    if not is_arrow(fields) and (
        isinstance(fields, (str, bytes)) or not isinstance(fields, Iterable)
    ):
        raise TypeError(
            f"fields: expected a list of names or a mapping, found {type(fields).__name__}"
        )
    fields = _with_names(fields)
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


def _with_names(fields: Fields) -> Fields:
    """A schema of pyarrow, or a list of its fields, as names or a mapping."""
    if isinstance(fields, Mapping):
        return fields
    if is_arrow(fields):
        nodes = declared_node(fields).children
    else:
        fields = list(fields)
        if not fields or not all(map(is_arrow, fields)):
            return fields
        nodes = [declared_node(one) for one in fields]
    named: dict[str, Any] = {}
    for node in nodes:
        if node.name in named:
            raise ValueError(f"field {node.name!r}: a duplicate name")
        named[node.name] = arrow_feature(node)
    return named


def arrow_feature(node: ArrowNode) -> Typed | Refused:
    """The feature of a column of an Arrow schema; a `Refused` if it cannot be stored."""
    try:
        tree = arrow_type(node)
        return Typed(feature_of(tree), tree.named(""))
    except ValueError as error:
        return Refused(str(error))


class Refused:
    """A feature that cannot be stored, so that one error names all of them."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Unnameable(Exception):
    """A leaf of a struct cannot have its name."""


class _Walk:
    """Collects leaves, markers and problems."""

    def __init__(self, nested: Collection[Path], packed: Collection[Path], any_names: bool) -> None:
        self.nested = nested
        self.packed = packed
        self.any_names = any_names
        self.names: set[str] = set()
        self.leaves: list[FieldSpec] = []
        self.markers: list[FieldSpec] = []
        self.problems: list[str] = []

    def refuse(self, path: Path, why: str) -> None:
        self.problems.append(f"field {'.'.join(path)!r}: {why}")

    def column(self, name: str, feature: Any) -> None:
        """Visit a declared feature."""
        if name in self.names:
            self.refuse((name,), "a duplicate name")
            return
        self.names.add(name)
        if problem := problem_of((name,)):
            self.refuse((name,), problem)
            return
        before = len(self.leaves), len(self.markers)
        try:
            self.visit((name,), feature, nested=False)
        except _Unnameable:
            del self.leaves[before[0] :], self.markers[before[1] :]
            self.visit((name,), feature, nested=True)

    def visit(self, path: Path, feature: Any, *, nested: bool) -> None:
        if problem := problem_of(path):
            if self.any_names:
                raise _Unnameable
            self.refuse(path, problem)
            return
        try:
            if isinstance(feature, Refused):
                raise ValueError(feature.reason)
            node = declare(
                feature, nested=nested or path in self.nested, packed=path in self.packed
            )
        except ValueError as error:
            self.refuse(path, str(error))
            return
        if isinstance(node, Leaf):
            self.leaves.append(
                FieldSpec(
                    ".".join(path),
                    path,
                    node.dtype,
                    node.shape,
                    node.packed,
                    node.feature_json,
                    nested=node.nested,
                )
            )
        else:
            self._visit_struct(path, node)

    def _visit_struct(self, path: Path, struct: Struct) -> None:
        if len(path) >= MAX_DEPTH:
            self.refuse(path[:3], f"nested more than {MAX_DEPTH} levels deep")
            return
        marker = FieldSpec(
            ".".join(path), path, "null", (), False, struct.feature_json, hidden=True
        )
        self.markers.append(marker)
        for name, feature in struct.children.items():
            self.visit((*path, check_type(name)), feature, nested=False)

    def clashes(self) -> set[Path]:
        """The structs with a leaf that has the shown name of another field."""
        return {max(one.path, other.path, key=len)[:1] for one, other in self._equal_names()}

    def _equal_names(self) -> Iterator[tuple[FieldSpec, FieldSpec]]:
        for specs in (self.leaves, self.markers):
            seen: dict[str, FieldSpec] = {}
            for spec in specs:
                if other := seen.get(spec.name):
                    yield spec, other
                seen[spec.name] = spec

    def finish(self) -> list[FieldSpec]:
        for spec, other in self._equal_names():
            self.refuse(
                spec.path,
                f"a duplicate name: shown as {spec.name!r} like the path {other.path}; "
                "rename one, or declare the struct as Nested(…)",
            )
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
