"""The declaration to suggest when a value does not fit the type of its column."""

from __future__ import annotations

import json
from typing import Any

from .exact import array_of
from .inspect import is_list
from .leaves import Rule, Unfit
from .optional import require
from .tables import storage

_MAX_DEPTH = 100  # of lists and dicts inside each other


def declaration(column: str, kind: Any, value: Any, *, nested: bool = False) -> str:
    """A declaration that holds the values of a type and one more, as text of an argument.

    Args:
        column: the name.
        kind: the Arrow type of the column.
        value: a value of the whole cell that does not fit.
        nested: whether a null inside a list is why it does not fit.

    Returns:
        Such as ``fields={"reward": "float64"}``; "" if no type holds both.
    """
    pyarrow = require("pyarrow", "the import of rows")
    if not _is_shallow(value):
        return ""
    other = guess_type([value])
    both = None if other is None else _common(storage(kind), other)
    if both is None or isinstance(both, pyarrow.BaseExtensionType) or not _takes(both, value):
        return ""
    text = _array_text(kind, both, value) or _declared(both, nested=nested)
    return f"fields={{{json.dumps(column, ensure_ascii=False)}: {json.dumps(text)}}}"


def json_declaration(column: str, value: Any) -> str:
    """The declaration of a column of JSON, which takes values of mixed types; "" without JSON."""
    if not _is_shallow(value) or not _is_json(value):
        return ""
    return f"fields={{{json.dumps(column, ensure_ascii=False)}: datasets.Json()}}"


def decimal_declaration(column: str, values: list[Any]) -> str:
    """The declaration of a column of integers beyond 64 bits; "" for other values."""
    present = [value for value in values if value is not None]
    kind = _big_decimal(present) if present else None
    if kind is None:
        return ""
    return f"fields={{{json.dumps(column, ensure_ascii=False)}: {json.dumps(str(kind))}}}"


def _is_shallow(value: Any, depth: int = 0) -> bool:
    """Whether a value has few levels of lists and dicts; one that contains itself has not."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        return all(_is_shallow(item, depth + 1) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_shallow(item, depth + 1) for item in value)
    return True


def _is_json(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_json, value.values()))
    return value is None or isinstance(value, (bool, int, float, str))


def _takes(kind: Any, value: Any) -> bool:
    """Whether a type holds a value: some objects are rounded when their type is inferred."""
    try:
        array_of([value], Rule(kind))
    except Unfit:
        return False
    return True


def type_text(kind: Any) -> str:
    """An Arrow type as it may be declared."""
    text = _declared(storage(kind), nested=False)
    text = text if isinstance(text, str) else json.dumps(text)
    return _array_text(kind, storage(kind), None) or text.removeprefix("nested ")


def _array_text(kind: Any, both: Any, value: Any) -> str:
    """The declaration of an array of a fixed shape; "" if the value has another one."""
    shape = getattr(kind, "shape", None)
    if not shape or not hasattr(kind, "value_type"):
        return ""
    dims = list(shape)
    if value is not None and (found := _shape_of(value)) != tuple(shape):
        if len(found) != len(dims) or found[1:] != tuple(dims[1:]):
            return ""
        dims[0] = None
    while is_list(both):
        both = both.value_type
    return f"{_declared(both, nested=False)}[{','.join(map(str, dims))}]"


def _shape_of(value: Any) -> tuple[int, ...]:
    if hasattr(value, "shape"):
        return tuple(value.shape)
    shape = []
    while isinstance(value, (list, tuple)) and value:
        shape.append(len(value))
        value = value[0]
    return tuple(shape)


def guess_type(values: list[Any]) -> Any:
    """The Arrow type that `datasets` gives to values, or None."""
    sequence = require("datasets", "the import of rows").arrow_writer.TypedSequence
    pyarrow = require("pyarrow", "the import of rows")
    try:
        return storage(pyarrow.array(sequence(values)).type)
    except Exception:
        # Any library's own error means that there is no common type, except for integers beyond
        # 64 bits, which fit a decimal.
        return _big_decimal(values)


def _big_decimal(values: list[Any]) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    if all(isinstance(value, int) and abs(value) < 10**38 for value in values):
        return pyarrow.decimal128(38, 0)
    return None


def _common(one: Any, other: Any) -> Any:
    """A type that holds the values of both, or None."""
    pyarrow = require("pyarrow", "the import of rows")
    types = pyarrow.types
    if types.is_null(one) or one == other:
        return other
    if types.is_null(other):
        return one
    if types.is_struct(one) and types.is_struct(other):
        return _common_struct(one, other)
    if is_list(one) and is_list(other):
        item = _common(storage(one.value_type), storage(other.value_type))
        return None if item is None else pyarrow.list_(item)
    return _common_number(one, other) or _common_by_pyarrow(one, other)


def _common_struct(one: Any, other: Any) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    parts = {part.name: storage(part.type) for part in one}
    for part in other:
        kind = storage(part.type)
        both = _common(parts[part.name], kind) if part.name in parts else kind
        if both is None:
            return None
        parts[part.name] = both
    return pyarrow.struct(list(parts.items()))


def _common_number(one: Any, other: Any) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    types = pyarrow.types
    kinds = (one, other)
    if any(map(types.is_decimal, kinds)) and any(map(types.is_integer, kinds)):
        return pyarrow.decimal128(38, 0)
    if any(map(types.is_boolean, kinds)):
        number = other if types.is_boolean(one) else one
        if types.is_integer(number) or types.is_floating(number):
            return number
    if all(map(types.is_integer, kinds)) and pyarrow.uint64() in kinds:
        return pyarrow.decimal128(20, 0)
    if any(map(types.is_floating, kinds)) and all(
        types.is_floating(kind) or types.is_integer(kind) for kind in kinds
    ):
        return pyarrow.float64()
    return None


def _common_by_pyarrow(one: Any, other: Any) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    if pyarrow.types.is_date(one) and pyarrow.types.is_timestamp(other):
        return other
    schemas = [pyarrow.schema([("x", kind)]) for kind in (one, other)]
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field("x").type
    except (pyarrow.ArrowException, TypeError, ValueError):
        return None


_NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}


def _declared(kind: Any, *, nested: bool) -> Any:
    """A type as a declaration: a string, or a dict for a struct."""
    types = require("pyarrow", "the import of rows").types
    if types.is_struct(kind) and kind.num_fields:
        return {part.name: _declared(part.type, nested=nested) for part in kind}
    if is_list(kind) and not nested and _is_number(kind.value_type):
        return f"{_declared(kind.value_type, nested=False)}[]"
    if types.is_nested(kind):
        return f"nested {kind}"
    if types.is_date(kind):
        return f"date{kind.bit_width}"
    return _NAMES.get(str(kind), str(kind))


def _is_number(kind: Any) -> bool:
    types = require("pyarrow", "the import of rows").types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or (types.is_temporal(kind) and not types.is_interval(kind))
    )
