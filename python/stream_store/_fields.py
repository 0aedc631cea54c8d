"""DeclaredFields: the fields of a store, as every module of the package sees them.

The core keeps the declaration; `declared_fields` reads it once and again only when it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar

from . import _core
from ._structs import StructTree
from .features import FieldSpec, build_features, difference, features_json, same_features
from .features.nodes import Json

AnyStore = TypeVar("AnyStore", bound=_core.Store)


class DeclaredFields:
    """The fields of a store at one moment. Immutable.

    Attributes:
        specs: one FieldSpec per type id. The hidden markers of structs come after the fields that
            were declared with them.
        tree: the outer names, with their leaves and structs.
        version: the core's `_fields_version` of this declaration.
    """

    def __init__(self, specs: Sequence[FieldSpec], version: int) -> None:
        self.specs = list(specs)
        self.tree = StructTree(self.specs)
        self.version = version

    @cached_property
    def json(self) -> Json:
        """The features as `datasets.Features.to_dict` writes them, outer name -> JSON."""
        return features_json(self.specs)

    @property
    def outer_names(self) -> list[str]:
        """The declared names; a struct has its own name here, not those of its fields."""
        return list(self.tree.children)

    def features(self) -> dict[str, Any]:
        """The features as objects of `datasets`; ImportError if that is not installed."""
        return build_features(self.specs)

    def collect(self, decoded: dict[Any, Any]) -> dict[str, Any]:
        """A decoded row with its structs put together.

        Without structs there are no hidden fields, and the row is returned as it is.
        """
        tree = self.tree
        return decoded if len(tree.names) == len(tree.children) else tree.collect(decoded)

    def missing(
        self, path: object, specs: Sequence[FieldSpec], *, names_only: bool
    ) -> list[FieldSpec]:
        """The fields that were given when an existing store was opened, and that it lacks.

        They must come after all fields of the store.

        Raises:
            ValueError: names, order or, unless `names_only`, features of the others differ.
        """
        known = set(self.outer_names)
        if names_only:
            known |= {spec.name for spec in self.specs if not spec.hidden}
        old = [spec for spec in specs if spec.path[0] in known]
        new = [spec for spec in specs if spec.path[0] not in known]
        in_order = _declared(specs) == _declared(old) + _declared(new)
        self._require_same(path, old if in_order else specs, names_only)
        return new

    def _require_same(self, path: object, specs: Sequence[FieldSpec], names_only: bool) -> None:
        if names_only:
            given = list(dict.fromkeys(spec.path[0] for spec in specs))
            leaves = [spec.name for spec in self.specs if not spec.hidden]
            if given != self.outer_names and [spec.name for spec in specs] != leaves:
                raise ValueError(
                    f"{path}: expected the fields that the store has, in their order, "
                    f"{', '.join(self.outer_names)}, but found {', '.join(given)}"
                )
        elif not same_features(self.specs, specs):
            raise ValueError(
                f"{path}: the store was declared with other fields: {difference(self.specs, specs)}"
            )


def _declared(specs: Sequence[FieldSpec]) -> list[FieldSpec]:
    return [spec for spec in specs if not spec.hidden]


def declare(
    core: _core.Store, specs: list[FieldSpec], *, names_only: bool, add_fields: bool
) -> None:
    """Declare the fields given on opening, or compare them with those of the store.

    Raises:
        ValueError: fields of the store differ, or it lacks some and `add_fields` is False.
    """
    if not core.fields:
        if core.mode == "r":
            raise ValueError(f"{core._path}: the store has no fields")
        core._define_fields(specs)
        return
    new = declared_fields(core).missing(core._path, specs, names_only=names_only)
    if new and not add_fields:
        names = ", ".join(repr(name) for name in dict.fromkeys(spec.path[0] for spec in new))
        raise ValueError(
            f"{core._path}: the fields given on opening have {names}, which the store lacks; open "
            "it for writing with add_fields=True to add them"
        )
    if new:
        core._add_fields(new)


def fixed_view(core: _core.Store) -> tuple[_core.Store, DeclaredFields]:
    """A snapshot of all rows of a store, and its fields.

    Raises:
        RuntimeError: no fields are declared.
        ValueError: the store is closed.
    """
    while True:
        fields = declared_fields(core)
        view = _core.Store(core, None)
        if core._fields_version == fields.version:  # else fields were added between the two
            return view, fields


def require_equal_fields(stores: list[AnyStore]) -> list[AnyStore]:
    """Refuse stores that cannot be sampled together, and name the store and the field.

    The core refuses them, too, but knows neither their paths nor how they were declared.

    Returns:
        The stores.

    Raises:
        ValueError: the fields of one of them differ.
    """
    declared = [declared_fields(store) for store in stores]
    if not all(fields.specs for fields in declared):
        return stores  # the core reports a store without fields
    most = max(range(len(stores)), key=lambda i: len(declared[i].outer_names))
    for i, fields in enumerate(declared):
        known = set(fields.outer_names)
        common = [spec for spec in declared[most].specs if spec.path[0] in known]
        lacking = [repr(name) for name in declared[most].outer_names if name not in known]
        text = difference(fields.specs, common)
        if text is not None:
            found = f"{_place(stores, i)} differs from {_place(stores, most)}: {text}"
        elif lacking:
            found = (
                f"{_place(stores, i)} has no field {' and no field '.join(lacking)}, which "
                f"{_place(stores, most)} has; its writer can add it with add_fields()"
            )
        else:
            continue
        raise ValueError(f"WindowSampler: expected stores with equal fields, but {found}")
    return stores


def _place(stores: Sequence[_core.Store], i: int) -> str:
    path = stores[i]._path
    return f"store {i} ({'temporary' if path is None else path})"


def declared_fields(core: _core.Store) -> DeclaredFields:
    """The fields that a StreamStore has now.

    They are remembered in the object until they change: with mode "r" another process may add
    fields, or declare others as long as there are no rows.

    Raises:
        ValueError: the store is closed.
    """
    attributes: dict[str, Any] = vars(core)
    known: DeclaredFields | None = attributes.get("_declared")
    if known is None or known.version != core._fields_version or core.closed:
        specs = [FieldSpec(*one) for one in core._field_specs()]
        # Reading the fields may have changed the version, so this is asked for afterwards.
        known = attributes["_declared"] = DeclaredFields(specs, core._fields_version)
    return known
