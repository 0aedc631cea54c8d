"""The messages of an MCAP file in the order of their log time.

The file is scanned once, by the headers of its records, before anything is decoded. The scan needs
no summary, so a file whose recorder was killed is read like any other, up to its last whole record.
It finds the *pieces* of the file with their times: a chunk, or a run of messages outside chunks.
Reading then loads the pieces in the order of their first time, and returns a message once no piece
to come can have an earlier one. Messages of equal time keep their order in the file.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import IO, NamedTuple

from stream_store._exchange.optional import require

MAGIC = b"\x89MCAP0\r\n"
_HEADER = Struct("<BQ")  # opcode, length
_MESSAGE = Struct("<HIQQ")  # channel, sequence, log time, publish time
_CHUNK = Struct("<QQQI")  # first and last log time, size and checksum of its records
_UINT16, _UINT32, _UINT64 = Struct("<H"), Struct("<I"), Struct("<Q")
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE_OP, _CHUNK_OP, _INDEX = 2, 3, 4, 5, 6, 7
_PROFILE, _ATTACHMENT, _STATISTICS, _METADATA, _DATA_END = 1, 9, 11, 12, 15
_PIECE_BYTES = 4 << 20  # of a run of messages outside chunks
_MAX_CHUNK = 4 << 30


class Stamped(NamedTuple):
    """A message, undecoded. It sorts by log time, then by its order in the file."""

    log_time: int
    order: int
    channel: int
    sequence: int
    publish_time: int
    data: bytes


@dataclass(frozen=True)
class Channel:
    """A channel with its schema; `schema_encoding` is empty if it has none."""

    topic: str
    encoding: str
    metadata: dict[str, str]
    schema_name: str
    schema_encoding: str
    schema_data: bytes


@dataclass
class _Piece:
    """A part of the file, at [begin, begin + size)."""

    begin: int
    size: int
    first: int  # log times
    last: int
    chunk: bool
    channels: set[int] = field(default_factory=set)  # as the index of a chunk says
    indexed: bool = False


class McapFile:
    """A file, scanned.

    Args:
        path: the file.

    Attributes:
        channels: id -> channel, of all channels with messages, and perhaps others.
        profile: the profile of the file, such as "ros2".
        metadata: the metadata records, name and pairs.
        messages: number of messages, or None if the file does not say it.
        ending: how the file ended early, or None.
        attachments: number of attachments, which are not messages.

    Raises:
        ValueError: this is not an MCAP file, or it is damaged.

    Cost:
        One small read per record. Chunks without an index are read once more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channels: dict[int, Channel] = {}
        self.profile = ""
        self.metadata: list[tuple[str, dict[str, str]]] = []
        self.messages: int | None = None
        self.ending: str | None = None
        self.attachments = 0
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._pieces: list[_Piece] = []
        with path.open("rb") as file:
            self.ending = self._scan(file)
            if self.ending is not None:
                self._drop_torn_chunk(file)
            for piece in self._pieces:
                if piece.chunk and not (piece.indexed and piece.channels <= self.channels.keys()):
                    self._learn(file, piece)
        self._pieces.sort(key=lambda piece: (piece.first, piece.begin))

    @property
    def first_time(self) -> int:
        """The first log time; 0 without messages."""
        return self._pieces[0].first if self._pieces else 0

    def topics_of(self, piece: _Piece) -> str:
        """The topics of a piece, for messages."""
        known = (piece.channels or self.channels.keys()) & self.channels.keys()
        return ", ".join(sorted({self.channels[one].topic for one in known})) or "unknown topics"

    # --- scanning ---

    def _scan(self, file: IO[bytes]) -> str | None:
        """Find all pieces; returns how the file ends early, or None."""
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(
                f"{self.path}: from_mcap: expected an MCAP file, found one that begins otherwise"
            )
        at = len(MAGIC)
        while at + _HEADER.size <= size:
            opcode, length = _HEADER.unpack(file.read(_HEADER.size))
            end = at + _HEADER.size + length
            if opcode == _FOOTER:
                return None
            if opcode == 0 or end > size:  # zeros are space that a recorder had reserved
                break
            self._record(file, opcode, at, length)
            file.seek(end)
            at = end
        file.seek(max(0, size - len(MAGIC)))
        if size >= 2 * len(MAGIC) and file.read() == MAGIC:
            raise self.damaged(at, "expected a record, found damaged bytes")
        return f"it ends within a record at byte {at} of {size}; read up to there"

    def _drop_torn_chunk(self, file: IO[bytes]) -> None:
        """Drop the last chunk of a file that ends early, if only a part of it was written."""
        last = self._pieces[-1] if self._pieces else None
        if last is None or not last.chunk or last.indexed:
            return
        try:
            self._chunk(file, last)
        except ValueError:
            self._pieces.pop()
            self.ending = f"it ends within a chunk at byte {last.begin}; read up to there"

    def _record(self, file: IO[bytes], opcode: int, at: int, length: int) -> None:
        """Note a record at byte `at`, whose header was read."""
        if opcode == _MESSAGE_OP:
            channel, _, time, _ = _MESSAGE.unpack(self._take(file, _MESSAGE.size, at, length))
            self._add_message(at, _HEADER.size + length, channel, time)
        elif opcode == _CHUNK_OP:
            first, last, _, _ = _CHUNK.unpack(self._take(file, _CHUNK.size, at, length))
            self._pieces.append(_Piece(at + _HEADER.size, length, first, last, True))
        elif opcode == _INDEX and self._pieces and self._pieces[-1].chunk:
            (channel,) = _UINT16.unpack(self._take(file, _UINT16.size, at, length))
            self._pieces[-1].channels.add(channel)
            self._pieces[-1].indexed = True
        elif opcode in (_PROFILE, _SCHEMA, _CHANNEL, _METADATA):
            self._describe(opcode, self._take(file, length, at, length), at)
        elif opcode == _STATISTICS:
            (self.messages,) = _UINT64.unpack(self._take(file, _UINT64.size, at, length))
        elif opcode == _ATTACHMENT:
            self.attachments += 1
        elif opcode == _DATA_END:
            (crc,) = _UINT32.unpack(self._take(file, _UINT32.size, at, length))
            if crc and not all(piece.chunk for piece in self._pieces):
                self._check_data(file, at, crc)

    def _take(self, file: IO[bytes], size: int, at: int, length: int) -> bytes:
        if size > length:
            raise self.damaged(at, f"expected a record of {size} bytes or more, found {length}")
        return file.read(size)

    def _add_message(self, begin: int, size: int, channel: int, time: int) -> None:
        last = self._pieces[-1] if self._pieces else None
        if last is None or last.chunk or last.size >= _PIECE_BYTES:
            self._pieces.append(_Piece(begin, size, time, time, False, {channel}))
            return
        last.size = begin + size - last.begin
        last.first = min(last.first, time)
        last.last = max(last.last, time)
        last.channels.add(channel)

    def _check_data(self, file: IO[bytes], size: int, expected: int) -> None:
        """Compare the checksum of all bytes; chunks have one of their own."""
        file.seek(0)
        crc = 0
        at = 0
        while at < size:
            block = file.read(min(1 << 20, size - at))
            crc = zlib.crc32(block, crc)
            at += len(block)
        if crc != expected:
            topics = ", ".join(sorted({one.topic for one in self.channels.values()}))
            raise self.damaged(
                0,
                f"expected the checksum {expected:#010x} of the data, found {crc:#010x}; "
                f"topics {topics}",
            )

    def damaged(self, at: int, what: str) -> ValueError:
        """The error for damaged bytes at `at`."""
        return ValueError(f"{self.path}: from_mcap: damaged at byte {at}: {what}")

    def _describe(self, opcode: int, body: bytes, at: int) -> None:
        """Note a schema, a channel, or facts of the file."""
        try:
            if opcode == _PROFILE:
                self.profile, _ = _text(body, 0)
                return
            if opcode == _METADATA:
                name, next_at = _text(body, 0)
                self.metadata.append((name, _pairs(body, next_at)))
                return
            (number,) = _UINT16.unpack_from(body)
            if opcode == _SCHEMA:
                name, next_at = _text(body, 2)
                encoding, next_at = _text(body, next_at)
                self._schemas[number] = (name, encoding, _prefixed(body, next_at)[0])
                return
            (schema,) = _UINT16.unpack_from(body, 2)
            topic, next_at = _text(body, 4)
            encoding, next_at = _text(body, next_at)
            metadata = _pairs(body, next_at)
        except (StructError, UnicodeDecodeError) as error:
            raise self.damaged(at, f"expected a schema or a channel: {error}") from None
        if schema and schema not in self._schemas:
            raise self.damaged(at, f"the topic {topic!r} has the schema {schema}, which is missing")
        described = self._schemas.get(schema, ("", "", b""))
        self.channels[number] = Channel(topic, encoding, metadata, *described)

    def _learn(self, file: IO[bytes], piece: _Piece) -> None:
        """Note the schemas and channels that are defined within a chunk."""
        data = self._chunk(file, piece)
        at = 0
        while at < len(data):
            opcode, length = self._inner(data, at, piece)
            if opcode in (_SCHEMA, _CHANNEL):
                begin = at + _HEADER.size
                self._describe(opcode, data[begin : begin + length], piece.begin)
            elif opcode == _MESSAGE_OP and not piece.indexed:
                (channel,) = _UINT16.unpack_from(data, at + _HEADER.size)
                piece.channels.add(channel)
            at += _HEADER.size + length
        if unknown := piece.channels - self.channels.keys():
            raise self.damaged(piece.begin, f"the channel {min(unknown)} of messages is missing")

    # --- reading ---

    def read(self, channels: Collection[int]) -> Iterator[list[Stamped]]:
        """The messages of some channels in lists, in the order of log time over all lists."""
        wanted = frozenset(channels)
        pieces = [
            one for one in self._pieces if not one.channels or not wanted.isdisjoint(one.channels)
        ]
        waiting: list[Stamped] = []
        with self.path.open("rb") as file:
            for number, piece in enumerate(pieces):
                waiting += self._load(file, piece, wanted)
                waiting.sort()
                if number + 1 == len(pieces):
                    break
                cut = bisect_left(waiting, (pieces[number + 1].first,))
                if cut:
                    yield waiting[:cut]
                    waiting = waiting[cut:]
        if waiting:
            yield waiting

    def _load(self, file: IO[bytes], piece: _Piece, wanted: frozenset[int]) -> list[Stamped]:
        """The wanted messages of a piece, in their order."""
        data = self._chunk(file, piece) if piece.chunk else self._bytes(file, piece)
        found: list[Stamped] = []
        at = 0
        size = len(data)
        while at < size:
            opcode, length = self._inner(data, at, piece)
            body = at + _HEADER.size
            at = body + length
            if opcode == _MESSAGE_OP:
                if length < _MESSAGE.size:
                    raise self.damaged(piece.begin, f"a message of {length} bytes")
                channel, sequence, log_time, publish_time = _MESSAGE.unpack_from(data, body)
                if channel in wanted:
                    body += _MESSAGE.size
                    order = piece.begin + len(found)
                    message = (log_time, order, channel, sequence, publish_time, data[body:at])
                    found.append(Stamped._make(message))
        return found

    def _inner(self, data: bytes, at: int, piece: _Piece) -> tuple[int, int]:
        """The opcode and length of a record within a piece."""
        left = len(data) - at - _HEADER.size
        opcode, length = _HEADER.unpack_from(data, at) if left >= 0 else (0, 0)
        if left < length:
            raise self.damaged(
                piece.begin, f"a record crosses the end of its chunk; {self.topics_of(piece)}"
            )
        return opcode, length

    def _bytes(self, file: IO[bytes], piece: _Piece) -> bytes:
        file.seek(piece.begin)
        data = file.read(piece.size)
        if len(data) != piece.size:
            raise self.damaged(piece.begin, "the file became shorter while it was read")
        return data

    def _chunk(self, file: IO[bytes], piece: _Piece) -> bytes:
        """The records of a chunk, after a look at their checksum."""
        body = self._bytes(file, piece)
        try:
            _, _, size, crc = _CHUNK.unpack_from(body)
            compression, at = _text(body, _CHUNK.size)
        except (StructError, UnicodeDecodeError) as error:
            raise self.damaged(piece.begin, f"expected a chunk: {error}") from None
        (length,) = _UINT64.unpack_from(body, at)
        packed = body[at + _UINT64.size :][:length]
        try:
            data = _decompressed(compression, packed, size)
        except ImportError:
            raise
        except Exception as error:  # of the library; each has its own classes
            topics = self.topics_of(piece)
            raise self.damaged(
                piece.begin, f"cannot decompress a chunk of the topics {topics}: {error}"
            ) from error
        if len(data) != size:
            raise self.damaged(
                piece.begin,
                f"expected a chunk of {size} bytes, found {len(data)}; "
                f"topics {self.topics_of(piece)}",
            )
        if crc and zlib.crc32(data) != crc:
            raise self.damaged(
                piece.begin,
                f"expected the checksum {crc:#010x} of a chunk, found {zlib.crc32(data):#010x}; "
                f"topics {self.topics_of(piece)}",
            )
        return data


def _decompressed(compression: str, data: bytes, size: int) -> bytes:
    if size > _MAX_CHUNK:
        raise ValueError(f"a chunk of {size} bytes; expected at most {_MAX_CHUNK}")
    if compression == "":
        return data
    if compression == "zstd":
        zstandard = require("zstandard", "from_mcap", extra="mcap")
        made: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
        return made
    if compression == "lz4":
        plain: bytes = require("lz4.frame", "from_mcap", extra="mcap").decompress(data)
        return plain
    raise ValueError(f"unknown compression {compression!r}")


def _prefixed(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes after their length, and the offset after them."""
    (length,) = _UINT32.unpack_from(data, at)
    at += _UINT32.size
    if at + length > len(data):
        raise StructError(f"{length} bytes at {at} of {len(data)}")
    return data[at : at + length], at + length


def _text(data: bytes, at: int) -> tuple[str, int]:
    found, after = _prefixed(data, at)
    return found.decode(), after


def _pairs(data: bytes, at: int) -> dict[str, str]:
    """Pairs of texts after the size of all."""
    found, _ = _prefixed(data, at)
    pairs: dict[str, str] = {}
    at = 0
    while at < len(found):
        key, at = _text(found, at)
        pairs[key], at = _text(found, at)
    return pairs
