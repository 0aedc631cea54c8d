"""DeclaredFields: the fields of a store, as every module of the package sees them.

The core keeps the declaration; `declared_fields` reads it once and again only when it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from . import _core
from ._structs import StructTree
from .features import FieldSpec, build_features, difference, features_json, same_features
from .features.nodes import Json


class DeclaredFields:
    """The fields of a store at one moment. Immutable.

    Attributes:
        specs: one FieldSpec per type id; the hidden markers of structs come last.
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

    def require_same(self, path: object, specs: Sequence[FieldSpec], *, names_only: bool) -> None:
        """Check that an existing store has the fields that were given when it was opened.

        Raises:
            ValueError: names, order or, unless `names_only`, features differ.
        """
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


def declared_fields(core: _core.Store) -> DeclaredFields:
    """The fields that a StreamStore has now.

    They are remembered in the object until they change: with mode "r" another process may declare
    them again as long as there are no rows.

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
