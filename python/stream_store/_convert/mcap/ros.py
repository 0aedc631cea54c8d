"""Decoding of ROS 1 and ROS 2 messages into Arrow columns.

A message type becomes a tree of collectors. For each message, every collector copies its bytes and
moves the offset on; at the end of a block, each makes one Arrow array of all its bytes. So the cost
per message is that of its parts of variable length, not of its values.

Two wire formats are read: CDR (ROS 2), which aligns values and has a header of 4 bytes, and that
of ROS 1, which does neither. Trailing bytes are ignored, as the libraries of ROS do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from struct import error as StructError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream_store._exchange.optional import require

from .definitions import PRIMITIVES, Member, Message, has_values

#: A collector's step: the offset after it. `(data, offset, body)`, where body is the first offset.
Walk = Callable[[bytes, int], int]

_UINT32 = {"<": Struct("<I").unpack_from, ">": Struct(">I").unpack_from}
_HEADER = 4  # bytes of the header of CDR
_MAX_ITEMS = (1 << 31) - 1  # of all sequences of a field in a block, the limit of Arrow's offsets


class BadMessage(Exception):
    """The bytes of a message do not fit its definition; the text says where and why."""


class Wire:
    """How values lie in the bytes of messages.

    Attributes:
        order: "<" or ">".
        body: the offset of the first value, from which alignment counts.
        most: the greatest alignment in bytes; 1 for none.
        nul: whether strings end with a zero byte that counts.
        dummy: whether a message without members takes one byte.
    """

    def __init__(self, order: Literal["<", ">"], body: int, most: int, *, ros2: bool) -> None:
        self.order: Literal["<", ">"] = order
        self.body = body
        self.most = most
        self.nul = ros2
        self.dummy = ros2

    def alignment(self, dtype: np.dtype[Any]) -> int:
        """The alignment of values of a dtype."""
        return min(dtype.itemsize, self.most)


ROS1 = Wire("<", 0, 1, ros2=False)
_CDR = {
    0: Wire(">", _HEADER, 8, ros2=True),
    1: Wire("<", _HEADER, 8, ros2=True),
    6: Wire(">", _HEADER, 4, ros2=True),
    7: Wire("<", _HEADER, 4, ros2=True),
}


def wire_of_cdr(data: bytes) -> Wire:
    """The wire format that the header of a CDR message names."""
    if len(data) < _HEADER:
        raise BadMessage(f"expected a header of {_HEADER} bytes, found {len(data)} bytes")
    wire = _CDR.get(data[1]) if data[0] == 0 else None
    if wire is None:
        raise BadMessage(f"expected plain CDR, found the encapsulation {data[:2].hex()}")
    return wire


class Decoder:
    """Decodes the messages of one type, block by block.

    Args:
        message: the type, which has at least one value.
        ros: 1 or 2.
    """

    def __init__(self, message: Message, ros: int) -> None:
        self._message = message
        self._fixed = ROS1 if ros == 1 else None
        self.type = arrow_type(message)

    def decode(self, messages: list[bytes]) -> Any:
        """A `pyarrow.StructArray` of messages.

        Raises:
            BadMessage: a message does not fit; `args` are the text and its number in the list.
        """
        pa = require("pyarrow", "from_mcap", extra="mcap")
        parts = []
        start = 0
        while start < len(messages):  # one pass, unless the byte order changes
            wire = self._wire(messages, start)
            root = _Struct(self._message, wire)
            stop = self._collect(root, wire, messages, start)
            parts.append(root.array(pa, stop - start))
            start = stop
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)

    def _wire(self, messages: list[bytes], number: int) -> Wire:
        if self._fixed is not None:
            return self._fixed
        try:
            return wire_of_cdr(messages[number])
        except BadMessage as error:
            raise BadMessage(str(error), number) from None

    def _collect(self, root: _Struct, wire: Wire, messages: list[bytes], start: int) -> int:
        """Walk over messages with the same header; returns the number of the first other one."""
        walks = root.walks()
        marks = min(wire.body, 2)
        header = messages[start][:marks]
        number = start
        data = b""
        try:
            for number in range(start, len(messages)):
                data = messages[number]
                if data[:marks] != header:
                    return number
                at = wire.body
                for walk in walks:
                    at = walk(data, at)
                if at > len(data):
                    raise BadMessage(f"expected at least {at} bytes, found {len(data)}")
        except BadMessage as error:
            raise BadMessage(str(error), number) from None
        except StructError as error:
            raise BadMessage(f"it ends after {len(data)} bytes, within a value", number) from error
        return len(messages)


def arrow_type(message: Message) -> Any:
    """The `pyarrow.StructType` of a message, without members that have no value."""
    pa = require("pyarrow", "from_mcap", extra="mcap")
    fields = [(one.name, _member_type(pa, one)) for one in message.members if has_values(one.kind)]
    return pa.struct(fields)


def _member_type(pa: Any, member: Member) -> Any:
    kind = member.kind
    if isinstance(kind, Message):
        item = arrow_type(kind)
    elif kind == "uint8" and member.size == 0:
        return pa.binary()
    else:
        item = pa.bool_() if kind == "bool" else pa.type_for_alias(kind)
    if member.size is None:
        return item
    if member.size and isinstance(kind, str) and PRIMITIVES[kind] is not None:
        return pa.list_(item, member.size)
    return pa.list_(item)


class _Run:
    """Numbers that follow each other, scalars or arrays of fixed size.

    The padding between them depends on where the run begins, so there is a layout for each of the
    eight possibilities, made when it is needed.
    """

    def __init__(self, wire: Wire) -> None:
        self.items: list[tuple[np.dtype[Any], int]] = []  # with the number of items
        self._wire = wire
        self._chunks: list[bytes] = []
        self._phases = bytearray()
        self._layouts: list[np.dtype[Any] | None] = [None] * 8
        self._sizes = [0] * 8

    def add(self, kind: str, count: int) -> int:
        """Add a number, or an array of `count` numbers; returns its place in `columns`."""
        dtype = np.dtype("uint8" if kind == "bool" else kind).newbyteorder(self._wire.order)
        self.items.append((dtype, count))
        return len(self.items) - 1

    def _layout(self, phase: int) -> int:
        offsets, at = [], phase
        for dtype, count in self.items:
            at += -at % self._wire.alignment(dtype)
            offsets.append(at - phase)
            at += dtype.itemsize * count
        names = [str(number) for number in range(len(self.items))]
        formats = [(dtype, (count,)) for dtype, count in self.items]
        self._sizes[phase] = at - phase
        self._layouts[phase] = np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": at - phase}
        )
        return at - phase

    def walk(self) -> Walk:
        body, sizes, layout = self._wire.body, self._sizes, self._layout
        take, mark = self._chunks.append, self._phases.append

        def walk(data: bytes, at: int) -> int:
            phase = (at - body) & 7
            end = at + (sizes[phase] or layout(phase))
            take(data[at:end])
            mark(phase)
            return end

        return walk

    def walk_many(self, data: bytes, at: int, count: int) -> int | None:
        """The step over `count` runs, if no padding is between them; otherwise None."""
        phase = (at - self._wire.body) & 7
        size = self._sizes[phase] or self._layout(phase)
        if size % max(self._wire.alignment(dtype) for dtype, _ in self.items):
            return None
        end = at + size * count
        self._chunks.append(data[at:end])
        self._phases += bytes([phase]) * count
        return end

    def columns(self) -> list[NDArray[Any]]:
        """One array of shape (runs, count) per item, in the machine's byte order."""
        phases = np.frombuffer(self._phases, np.uint8)
        different = np.unique(phases)
        if len(different) == 1:
            rows = np.frombuffer(b"".join(self._chunks), self._layouts[different[0]])
            return [rows[str(i)].astype(dtype.newbyteorder("=")) for i, (dtype, _) in self._each()]
        made = [np.empty((len(phases), n), dtype.newbyteorder("=")) for dtype, n in self.items]
        sizes = np.array(self._sizes)[phases]
        data = np.frombuffer(b"".join(self._chunks), np.uint8)
        starts = np.cumsum(sizes) - sizes
        for phase in different:
            where = np.flatnonzero(phases == phase)
            picked = data[starts[where, None] + np.arange(self._sizes[phase])]
            rows = np.ascontiguousarray(picked).view(self._layouts[phase])[:, 0]
            for number, column in enumerate(made):
                column[where] = rows[str(number)]
        return made

    def _each(self) -> Iterator[tuple[int, tuple[np.dtype[Any], int]]]:
        return enumerate(self.items)


class _Bytes:
    """Strings, or sequences of bytes."""

    def __init__(self, wire: Wire, *, text: bool) -> None:
        self._wire = wire
        self._text = text
        self._chunks: list[bytes] = []

    def walk(self) -> Walk:
        body, align, nul = self._wire.body, min(4, self._wire.most) - 1, self._wire.nul
        length_of, take = _UINT32[self._wire.order], self._chunks.append
        drop = self._text and nul

        def walk(data: bytes, at: int) -> int:
            at += (body - at) & align
            length: int = length_of(data, at)[0]
            at += 4
            end = at + length
            take(data[at : end - 1] if drop and length else data[at:end])
            return end

        return walk

    def array(self, pa: Any, count: int) -> Any:
        kind = pa.string() if self._text else pa.binary()
        offsets = _offsets([len(chunk) for chunk in self._chunks])
        data = pa.py_buffer(b"".join(self._chunks))
        array = pa.Array.from_buffers(kind, count, [None, pa.py_buffer(offsets), data])
        if self._text:
            try:
                array.validate(full=True)
            except pa.ArrowException:
                raise BadMessage("a string is not UTF-8", self._first_bad()) from None
        return array

    def _first_bad(self) -> int:
        for number, chunk in enumerate(self._chunks):
            try:
                chunk.decode()
            except UnicodeDecodeError:
                return number
        return 0


class _Numbers:
    """Sequences of numbers."""

    def __init__(self, kind: str, wire: Wire) -> None:
        self._dtype = np.dtype("uint8" if kind == "bool" else kind).newbyteorder(wire.order)
        self._is_bool = kind == "bool"
        self._wire = wire
        self._chunks: list[bytes] = []
        self._lengths: list[int] = []

    def walk(self) -> Walk:
        body, align = self._wire.body, min(4, self._wire.most) - 1
        size, align_item = self._dtype.itemsize, self._wire.alignment(self._dtype) - 1
        length_of, take = _UINT32[self._wire.order], self._chunks.append
        count = self._lengths.append

        def walk(data: bytes, at: int) -> int:
            at += (body - at) & align
            length: int = length_of(data, at)[0]
            at += 4
            count(length)
            if not length:
                return at  # an empty sequence has no padding
            at += (body - at) & align_item
            end = at + size * length
            take(data[at:end])
            return end

        return walk

    def array(self, pa: Any, count: int) -> Any:
        del count
        values = np.frombuffer(b"".join(self._chunks), self._dtype)
        flat = _numbers(pa, values.astype(self._dtype.newbyteorder("=")), is_bool=self._is_bool)
        return pa.ListArray.from_arrays(pa.array(_offsets(self._lengths)), flat)


class _Many:
    """Sequences and arrays of strings or messages."""

    def __init__(self, member: Member, wire: Wire) -> None:
        self._wire = wire
        self._size = member.size or 0
        self._item: _Struct | _Bytes
        if isinstance(member.kind, Message):
            self._item = _Struct(member.kind, wire)
        else:
            self._item = _Bytes(wire, text=True)
        self._lengths: list[int] = []

    def walk(self) -> Walk:
        body, align = self._wire.body, min(4, self._wire.most) - 1
        length_of, count, fixed = _UINT32[self._wire.order], self._lengths.append, self._size
        item = self._item
        walks = item.walks() if isinstance(item, _Struct) else [item.walk()]
        run = item.only_run() if isinstance(item, _Struct) else None
        many = None if run is None else run.walk_many

        def walk(data: bytes, at: int) -> int:
            length = fixed
            if not fixed:
                at += (body - at) & align
                length = length_of(data, at)[0]
                at += 4
                if length > len(data) - at:
                    raise BadMessage(f"{length} items in {len(data) - at} bytes")
            count(length)
            if many is not None and length > 1:
                end = many(data, at, length)
                if end is not None:
                    return end
            for _ in range(length):
                for step in walks:
                    at = step(data, at)
            return at

        return walk

    def array(self, pa: Any, count: int) -> Any:
        del count
        items = self._item.array(pa, sum(self._lengths))
        return pa.ListArray.from_arrays(pa.array(_offsets(self._lengths)), items)


class _Struct:
    """The members of a message."""

    def __init__(self, message: Message, wire: Wire, owner: _Struct | None = None) -> None:
        self._wire = wire
        self._parts: list[_Run | _Bytes | _Numbers | _Many] = owner._parts if owner else []
        self._members: list[tuple[str, Any]] = []  # name -> collector, or (run, place, member)
        if not message.members and wire.dummy:
            self._run().add("uint8", 1)
        for member in message.members:
            made = self._member(member)
            if has_values(member.kind):
                self._members.append((member.name, made))

    def _run(self) -> _Run:
        if not self._parts or not isinstance(self._parts[-1], _Run):
            self._parts.append(_Run(self._wire))
        last = self._parts[-1]
        assert isinstance(last, _Run)
        return last

    def _member(self, member: Member) -> Any:
        kind = member.kind
        if isinstance(kind, Message) and member.size is None:
            return _Struct(kind, self._wire, self)
        if isinstance(kind, str) and PRIMITIVES[kind] is not None and member.size != 0:
            run = self._run()
            return run, run.add(kind, member.size or 1), member
        part: _Bytes | _Numbers | _Many
        if kind == "string" and member.size is None:
            part = _Bytes(self._wire, text=True)
        elif kind == "uint8":
            part = _Bytes(self._wire, text=False)
        elif isinstance(kind, str) and kind != "string":
            part = _Numbers(kind, self._wire)
        else:
            part = _Many(member, self._wire)
        self._parts.append(part)
        return part

    def walks(self) -> list[Walk]:
        return [part.walk() for part in self._parts]

    def only_run(self) -> _Run | None:
        """The run that this message is, if it has a fixed size."""
        part = self._parts[0] if len(self._parts) == 1 else None
        return part if isinstance(part, _Run) else None

    def array(self, pa: Any, count: int) -> Any:
        return self._array(pa, count, {})

    def _array(self, pa: Any, count: int, columns: dict[int, list[NDArray[Any]]]) -> Any:
        """The struct; `columns` has those of runs that were made already, by their identity."""
        names, arrays = [], []
        for name, made in self._members:
            names.append(name)
            if isinstance(made, _Struct):
                arrays.append(made._array(pa, count, columns))
            elif isinstance(made, tuple):
                run, place, member = made
                if id(run) not in columns:
                    columns[id(run)] = run.columns()
                arrays.append(_fixed(pa, columns[id(run)][place], member))
            else:
                arrays.append(made.array(pa, count))
        return pa.StructArray.from_arrays(arrays, names)


def _fixed(pa: Any, values: NDArray[Any], member: Member) -> Any:
    flat = _numbers(pa, values.reshape(-1), is_bool=member.kind == "bool")
    return flat if member.size is None else pa.FixedSizeListArray.from_arrays(flat, member.size)


def _numbers(pa: Any, values: NDArray[Any], *, is_bool: bool) -> Any:
    return pa.array(values != 0 if is_bool else values)


def _offsets(lengths: list[int]) -> NDArray[np.int32]:
    ends = np.cumsum(lengths, dtype=np.int64)
    if len(ends) and ends[-1] > _MAX_ITEMS:
        raise BadMessage(f"{ends[-1]} items in one block; expected at most {_MAX_ITEMS}", 0)
    return np.concatenate([np.zeros(1, np.int64), ends]).astype(np.int32)
