"""The columns of a dataset that an import reads, and the fields that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_store import _core
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec, parse_fields

from .inspect import Storage


def choose_columns(
    core: _core.Store,
    names: Sequence[str],
    columns: Sequence[str] | None,
    step_column: str | None,
) -> tuple[list[str], list[str]]:
    """The columns that become fields, and those to read: the same with the step column.

    Args:
        core: the store. If it has fields, other columns are ignored.
        names: the columns of the dataset.
        columns: the names that the caller asked for, or None for all.
        step_column: name of the column with the steps, or None.

    Raises:
        ValueError: a name is unknown or repeated, or no column has the name of a field.
    """
    chosen = list(names) if columns is None else _asked(names, columns)
    if step_column is not None and step_column not in names:
        raise ValueError(
            f"there is no step column {step_column!r}; the columns are {', '.join(names)}"
        )
    if core.fields:
        known = declared_fields(core).tree.children
        fields = [name for name in chosen if name in known]
        if not fields:
            raise ValueError(
                f"no column has the name of a field; the columns are {', '.join(chosen)}; "
                f"the fields are {', '.join(known)}"
            )
    else:
        fields = [name for name in chosen if columns is not None or name != step_column]
    if step_column is None or step_column in fields:
        return fields, fields
    return fields, [*fields, step_column]


def _asked(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    if isinstance(columns, (str, bytes)):
        raise TypeError(f"columns must be a list of names, not {columns!r}")
    columns = list(columns)
    for name in columns:
        if name not in names:
            raise ValueError(f"there is no column {name!r}; the columns are {', '.join(names)}")
    if len(set(columns)) != len(columns):
        raise ValueError(f"columns has a duplicate: {columns}")
    return columns


def declare(features: Mapping[str, Any], storage: Storage) -> list[FieldSpec]:
    """Fields for all columns; one error names every column that cannot be stored."""
    refused: list[str] = []
    good: list[str] = []
    for name, feature in features.items():
        try:
            parse_fields({name: feature}, any_names=True)
            good.append(name)
        except ValueError as error:
            refused.append(str(error))
    if refused:
        shown = "\n  ".join(refused)
        hint = f"import the others with columns={good!r}" if good else "there is no other column"
        raise ValueError(f"these columns cannot be stored:\n  {shown}\n{hint}")
    return parse_fields(features, nested=storage.nested, packed=storage.packed, any_names=True)


def check_class_names(core: _core.Store, features: Mapping[str, Any]) -> None:
    """Check that each class name has the same number in the column and in the field."""
    specs = declared_fields(core).specs
    fields = {spec.path: spec.class_names for spec in specs if spec.class_names is not None}
    for name, feature in features.items():
        try:
            others = parse_fields({name: feature}, any_names=True)
        except ValueError:
            continue  # the import itself compares types
        for other in others:
            here, there = fields.get(other.path), other.class_names
            if here is not None and there is not None and here != there[: len(here)]:
                raise ValueError(
                    f"column {other.name!r} has the classes {', '.join(there)}, the field has "
                    f"{', '.join(here)}: give both the same names in the same order, with "
                    "ds.align_labels_with_mapping or ds.cast_column"
                )
