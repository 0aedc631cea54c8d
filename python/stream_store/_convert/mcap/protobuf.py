"""Decoding of protobuf messages into Arrow columns, if the `protobuf` package is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_store._exchange.optional import require

from .json_messages import Unsupported
from .ros import BadMessage

_MAX_DEPTH = 30
_INTEGERS = {
    3: "int64",
    4: "uint64",
    5: "int32",
    6: "uint64",
    7: "uint32",
    13: "uint32",
    14: "int32",
    15: "int32",
    16: "int64",
    17: "int32",
    18: "int64",
}
_OTHERS = {1: "float64", 2: "float32", 8: "bool", 9: "string", 12: "binary"}
_MESSAGE_KINDS = (10, 11)  # a group, a message


class ProtobufDecoder:
    """Decodes the messages of one topic.

    Args:
        name: full name of the message.
        descriptors: a serialised FileDescriptorSet that contains it and all it refers to.

    Raises:
        Unsupported: `protobuf` is not installed, or the descriptors cannot be used.
    """

    def __init__(self, name: str, descriptors: bytes) -> None:
        try:
            from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
        except ImportError:
            raise Unsupported("the `protobuf` package is not installed") from None
        pool = descriptor_pool.DescriptorPool()
        try:
            for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
                pool.Add(file)
            descriptor = pool.FindMessageTypeByName(name)
            self._class = message_factory.GetMessageClass(descriptor)
        except (message.DecodeError, KeyError, TypeError) as error:
            raise Unsupported(f"its descriptors cannot be used: {error}") from None
        self._error = message.DecodeError
        self.type, self._convert = _message(descriptor, 0)
        if not self.type.num_fields:
            raise Unsupported("its messages have no fields")

    def decode(self, messages: list[bytes]) -> Any:
        """A `pyarrow.StructArray` of messages."""
        pa = require("pyarrow", "from_mcap", extra="mcap")
        rows = []
        for number, data in enumerate(messages):
            try:
                rows.append(self._convert(self._class.FromString(data)))
            except self._error as error:
                raise BadMessage(
                    f"it is no protobuf message of its type: {error}", number
                ) from None
        return pa.array(rows, self.type)

    def encode(self, value: Any) -> bytes:
        """The message of a value that was decoded before."""
        message = self._class()
        _fill(message, value)
        data: bytes = message.SerializeToString()
        return data


def _fill(message: Any, values: Any) -> None:
    """Set the fields of a message."""
    for field in message.DESCRIPTOR.fields:
        value = values[field.name]
        if value is None:
            continue
        inner = field.message_type
        if inner is None:
            plain = value.tolist() if hasattr(value, "tolist") else value
            if _is_repeated(field):
                getattr(message, field.name).extend(plain)
            else:
                setattr(message, field.name, plain)
        elif inner.GetOptions().map_entry:
            target = getattr(message, field.name)
            for pair in value:
                if inner.fields_by_name["value"].message_type is not None:
                    _fill(target[pair["key"]], pair["value"])
                else:
                    target[pair["key"]] = pair["value"]
        elif _is_repeated(field):
            for one in value:
                _fill(getattr(message, field.name).add(), one)
        else:
            part = getattr(message, field.name)
            part.SetInParent()
            _fill(part, value)


def _message(descriptor: Any, depth: int) -> tuple[Any, Callable[[Any], Any]]:
    """The Arrow type of a message, and a function that makes a dict of one."""
    pa = require("pyarrow", "from_mcap", extra="mcap")
    if depth > _MAX_DEPTH:
        raise Unsupported("its messages contain themselves")
    fields, steps = [], []
    for field in descriptor.fields:
        kind, convert = _value(field, depth)
        repeated = _is_repeated(field)
        fields.append((field.name, pa.list_(kind) if repeated else kind))
        steps.append((field.name, convert, repeated, field.has_presence and not repeated))

    def to_dict(message: Any) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, convert, repeated, optional in steps:
            if optional and not message.HasField(name):
                row[name] = None
                continue
            value = getattr(message, name)
            if repeated:
                items = value.items() if hasattr(value, "items") else value  # of a map
                row[name] = [convert(one) for one in items] if convert else list(items)
            else:
                row[name] = convert(value) if convert else value
        return row

    return pa.struct(fields), to_dict


def _is_repeated(field: Any) -> bool:
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == field.LABEL_REPEATED)  # before protobuf 6.31


def _value(field: Any, depth: int) -> tuple[Any, Callable[[Any], Any] | None]:
    """The Arrow type of one item of a field, and its conversion, if it needs one."""
    pa = require("pyarrow", "from_mcap", extra="mcap")
    if field.type not in _MESSAGE_KINDS:
        name = _INTEGERS.get(field.type) or _OTHERS[field.type]
        return pa.type_for_alias(name), None
    inner = field.message_type
    if not inner.GetOptions().map_entry:
        return _message(inner, depth + 1)
    key, convert_key = _value(inner.fields_by_name["key"], depth + 1)
    value, convert_value = _value(inner.fields_by_name["value"], depth + 1)
    del convert_key  # keys are plain

    def pair(item: Any) -> dict[str, Any]:
        return {"key": item[0], "value": convert_value(item[1]) if convert_value else item[1]}

    return pa.struct([("key", key), ("value", value)]), pair
