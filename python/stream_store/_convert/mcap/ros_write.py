"""Encoding of messages of ROS 1 and ROS 2, from the values that `StreamStore.row` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .definitions import PRIMITIVES, Member, Message

_CDR_HEADER = b"\x00\x01\x00\x00"  # little-endian, no options

_Write = Callable[[bytearray, Any], None]


def encoder_of(message: Message, ros: int) -> Callable[[Mapping[str, Any]], bytes]:
    """A function that encodes a mapping of members to values.

    Args:
        message: the type.
        ros: 1 or 2.

    Raises (of the function):
        ValueError: a member is missing, or has another length than its array.

    Examples:
        >>> from stream_store._convert.mcap.definitions import parse_definition
        >>> from stream_store._convert.mcap.ros_write import encoder_of
        >>> encoder_of(parse_definition("a/B", "uint8 x\\nint16 y", 2), 2)({"x": 1, "y": 2}).hex()
        '0001000001000200'
    """
    writer = _Writer(ros)
    write = writer.struct(message)
    head = _CDR_HEADER if ros == 2 else b""

    def encode(values: Mapping[str, Any]) -> bytes:
        out = bytearray(head)
        write(out, values)
        return bytes(out)

    return encode


class _Writer:
    """Makes the functions that write the parts of a message."""

    def __init__(self, ros: int) -> None:
        self._aligns = self._nul = self._dummy = ros == 2

    def struct(self, message: Message) -> _Write:
        parts = [(one.name, self._member(one)) for one in message.members]
        dummy = self._dummy and not parts

        def write(out: bytearray, values: Any) -> None:
            if dummy:
                out.append(0)
            for name, part in parts:
                try:
                    value = values.get(name) if values is not None else None
                    part(out, value)
                except _Missing as error:
                    raise ValueError(f"member {name!r} is missing") from error

        return write

    def _member(self, member: Member) -> _Write:
        kind = member.kind
        if isinstance(kind, str) and PRIMITIVES[kind] is not None:
            return self._numbers(kind, member.size)
        item = self.struct(kind) if isinstance(kind, Message) else self._text
        if member.size is None:
            return item if isinstance(kind, str) or kind.members else self._nothing(item)
        return self._many(item, member.size)

    def _nothing(self, item: _Write) -> _Write:
        """A message without members, for which rows have no value."""
        return lambda out, _: item(out, {})

    def _pad(self, out: bytearray, size: int) -> None:
        if self._aligns:
            out += bytes(-(len(out) - len(_CDR_HEADER)) % size)

    def _count(self, out: bytearray, count: int) -> None:
        self._pad(out, 4)
        out += count.to_bytes(4, "little")

    def _numbers(self, kind: str, size: int | None) -> _Write:
        dtype = np.dtype("uint8" if kind == "bool" else kind).newbyteorder("<")

        def write(out: bytearray, value: Any) -> None:
            if value is None:
                raise _Missing
            if isinstance(value, bytes):
                value = np.frombuffer(value, np.uint8)
            values = np.asarray(value, dtype).reshape(-1)
            if size == 0:
                self._count(out, len(values))
            elif len(values) != (size or 1):
                raise ValueError(f"expected {size or 1} numbers, found {len(values)}")
            if len(values):
                self._pad(out, dtype.itemsize)
                out += values.tobytes()

        return write

    def _text(self, out: bytearray, value: Any) -> None:
        if value is None:
            raise _Missing
        data = str(value).encode()
        self._count(out, len(data) + self._nul)
        out += data
        if self._nul:
            out.append(0)

    def _many(self, item: _Write, size: int) -> _Write:
        def write(out: bytearray, values: Any) -> None:
            if values is None:
                raise _Missing
            if size == 0:
                self._count(out, len(values))
            elif len(values) != size:
                raise ValueError(f"expected {size} items, found {len(values)}")
            for value in values:
                item(out, value)

        return write


class _Missing(Exception):
    """A value is missing."""
