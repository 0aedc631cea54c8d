"""Decoding of JSON messages into Arrow columns, by their JSON schema.

A property whose type the schema leaves open is stored as JSON text. A message that does not fit its
schema is an error: nothing is dropped or converted in silence.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from stream_store._exchange.optional import require

from .ros import BadMessage

_Convert = Callable[[Any], Any]
_MAX_DEPTH = 30
_OBJECT, _ARRAY = "object", "array"


class Unsupported(Exception):
    """A schema that gives no columns; the text says why."""


class JsonDecoder:
    """Decodes the messages of one topic.

    Args:
        schema: text of the JSON schema.

    Raises:
        Unsupported: the schema is not one of an object with properties.
    """

    def __init__(self, schema: bytes) -> None:
        try:
            root = json.loads(schema)
        except ValueError as error:
            raise Unsupported(f"its JSON schema is not JSON: {error}") from None
        if not isinstance(root, Mapping):
            raise Unsupported("its JSON schema is not an object")
        self.type, self._convert, self._back = _Schema(root).read(root, 0)
        if not require("pyarrow", "from_mcap", extra="mcap").types.is_struct(self.type):
            raise Unsupported("its JSON schema declares no properties")

    def decode(self, messages: list[bytes]) -> Any:
        """A `pyarrow.StructArray` of messages."""
        pa = require("pyarrow", "from_mcap", extra="mcap")
        rows = []
        for number, data in enumerate(messages):
            try:
                row = self._convert(json.loads(data))
            except (ValueError, TypeError, RecursionError) as error:
                raise BadMessage(f"it does not fit its JSON schema: {error}", number) from None
            if row is None:
                raise BadMessage("expected a JSON object, found null", number)
            rows.append(row)
        try:
            return pa.array(rows, self.type)
        except (pa.ArrowException, OverflowError) as error:
            raise BadMessage(
                f"it does not fit its JSON schema: {error}", _first(pa, rows, self.type)
            ) from None

    def encode(self, value: Any) -> bytes:
        """The message of a value that was decoded before. Members without a value are left out."""
        return json.dumps(self._back(value), ensure_ascii=False).encode()


def _first(pa: Any, rows: list[Any], kind: Any) -> int:
    for number, row in enumerate(rows):
        try:
            pa.array([row], kind)
        except (pa.ArrowException, OverflowError):
            return number
    return 0


class _Schema:
    """Reads a JSON schema as an Arrow type, and a function that checks and converts values."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._pa = require("pyarrow", "from_mcap", extra="mcap")

    def read(self, schema: Any, depth: int) -> tuple[Any, _Convert, _Convert]:
        """The type, the conversion from JSON, and the one back from values of a row."""
        if depth > _MAX_DEPTH:
            raise Unsupported(f"its JSON schema is nested more than {_MAX_DEPTH} levels deep")
        if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            return self.read(self._referred(schema["$ref"]), depth + 1)
        kind = _kind_of(schema)
        if kind == _OBJECT and schema.get("properties"):
            return self._object(schema["properties"], depth)
        if kind == _ARRAY and isinstance(schema.get("items"), Mapping):
            return self._array(schema, depth)
        if kind == "string" and schema.get("contentEncoding") == "base64":
            return self._pa.binary(), _nullable(str, base64.b64decode), _base64
        if kind == "string":
            return self._pa.string(), _nullable(str, str), str
        if kind == "boolean":
            return self._pa.bool_(), _nullable(bool, bool), bool
        if kind == "integer":
            return self._pa.int64(), _integer, int
        if kind == "number":
            return self._pa.float64(), _number, float
        return self._pa.string(), _text, json.loads

    def _referred(self, reference: str) -> Any:
        found: Any = self._root
        if not reference.startswith("#/"):
            raise Unsupported(f"its JSON schema refers to {reference!r}, outside itself")
        for part in reference[2:].split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None:
            raise Unsupported(f"its JSON schema refers to {reference!r}, which is missing")
        return found

    def _object(self, properties: Any, depth: int) -> tuple[Any, _Convert, _Convert]:
        if not isinstance(properties, Mapping) or "" in properties:
            raise Unsupported("its JSON schema has properties without names")
        parts = {name: self.read(schema, depth + 1) for name, schema in properties.items()}
        converts = {name: convert for name, (_, convert, _) in parts.items()}
        backs = {name: back for name, (_, _, back) in parts.items()}

        def convert(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, dict):
                raise TypeError(f"expected an object, found {_short(value)}")
            row = {}
            for name, item in value.items():
                if name not in converts:
                    raise ValueError(f"the property {name!r} is not declared")
                row[name] = converts[name](item)
            return row

        def back(row: Any) -> Any:
            return {name: one(row[name]) for name, one in backs.items() if row[name] is not None}

        return self._pa.struct([(name, one[0]) for name, one in parts.items()]), convert, back

    def _array(self, schema: Mapping[str, Any], depth: int) -> tuple[Any, _Convert, _Convert]:
        item, convert_item, back = self.read(schema["items"], depth + 1)
        least, most = schema.get("minItems"), schema.get("maxItems")
        size = most if isinstance(most, int) and least == most and most > 0 else -1

        def convert(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, list):
                raise TypeError(f"expected an array, found {_short(value)}")
            if None in value:
                raise ValueError("an array has null items")
            return [convert_item(one) for one in value]

        return self._pa.list_(item, size), convert, lambda row: [back(one) for one in row]


def _kind_of(schema: Any) -> str | None:
    """The one type that a schema allows beside null."""
    if not isinstance(schema, Mapping):
        return None
    kinds = schema.get("type")
    if kinds is None:
        return _kind_of_constants(schema)
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        return others[0] if len(others) == 1 and isinstance(others[0], str) else None
    return kinds if isinstance(kinds, str) else None


def _kind_of_constants(schema: Mapping[str, Any]) -> str | None:
    """The type of an enumeration: of `enum`, or of alternatives with one constant each."""
    values = schema.get("enum")
    if values is None and isinstance(schema.get("oneOf"), list):
        values = [one.get("const") if isinstance(one, Mapping) else None for one in schema["oneOf"]]
    if not isinstance(values, list) or not values:
        return None
    if all(isinstance(one, int) and not isinstance(one, bool) for one in values):
        return "integer"
    return "string" if all(isinstance(one, str) for one in values) else None


def _nullable(expected: type, convert: _Convert) -> _Convert:
    def checked(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, expected):
            raise TypeError(f"expected {expected.__name__}, found {_short(value)}")
        return convert(value)

    return checked


def _integer(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"expected an integer, found {_short(value)}")
    return value


def _number(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise TypeError(f"expected a number, found {_short(value)}")
    return value


def _base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
