"""Writes the files of a store as docs/format.md specifies them, without the library.

So tests can have stores that no test could append: with numbers beyond 2^46, with a layout on each
side of word 2^32, or with any chunk missing. The chunks are sparse. Only `schema` and the id are
copied from a store of the library.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from format_page import page_reader
from store_helpers import chunk_name

REGION = 65536
WORD, RECORD = 8, 32

#: The words of one row by type id, and its step.
Row = tuple[int, dict[int, list[int]]]


@dataclass(frozen=True)
class Begin:
    """Where the retained part begins: the counts of everything before."""

    records: int = 0
    values: int = 0
    rows: int = 0
    layout_words: int = 0
    field_writes: int = 0


@dataclass
class Kind:
    """The chunks of one kind of data."""

    path: Path
    name: str
    chunk_bytes: int
    first_byte: int  # the first one that is retained

    def write(self, at: int, data: bytes) -> None:
        while data:
            chunk, offset = divmod(at, self.chunk_bytes)
            part = data[: self.chunk_bytes - offset]
            file = self.path / chunk_name(self.name, chunk)
            file.touch(0o600)
            with file.open("r+b") as opened:
                opened.seek(offset)
                opened.write(part)
            at, data = at + len(part), data[len(part) :]

    def finish(self, end: int) -> None:
        """Give each chunk its size: the last one ends at byte `end`."""
        first = max(self.first_byte - 1, 0) // self.chunk_bytes
        last = max(end - 1, 0) // self.chunk_bytes
        for chunk in range(first, last + 1):
            file = self.path / chunk_name(self.name, chunk)
            with file.open("ab") as opened:
                opened.truncate(min(self.chunk_bytes, end - chunk * self.chunk_bytes))
            file.chmod(0o600)


@dataclass
class Encoder:
    """Appends rows of one record each after `begin`."""

    path: Path
    chunk_bytes: int
    begin: Begin
    seed: int = 0x12345678
    session: int = 5
    crc32c: Any = field(default_factory=lambda: page_reader()["crc32c"])

    def __post_init__(self) -> None:
        begin = self.begin
        firsts = {
            "values": begin.values * WORD,
            "records": begin.records * RECORD,
            "layouts": begin.layout_words * WORD,
            "position_hints": begin.values // 256 * WORD,
            "row_hints": begin.rows // 256 * WORD,
        }
        self.kinds = {
            name: Kind(self.path, name, self.chunk_bytes, first) for name, first in firsts.items()
        }
        self.layouts: dict[tuple[int, ...], tuple[int, int]] = {}
        self.n, self.d, self.r = begin.records, begin.values, begin.rows
        self.layout_end, self.writes = max(begin.layout_words, 1), begin.field_writes
        if begin.layout_words == 0:
            self.kinds["layouts"].write(0, bytes(WORD))

    def layout_of(self, words: tuple[int, ...]) -> tuple[int, int]:
        """The number of the layout's first word, and its digest. Writes a new layout."""
        if self.n * RECORD % self.chunk_bytes == 0:
            self.layouts.clear()
        data = struct.pack(f"<{len(words)}Q", *words)
        if len(words) == 1:
            return 0, self.crc32c(data)
        if words not in self.layouts:
            self.layout_end += self.layout_end % 2**32 == 0
            self.kinds["layouts"].write(self.layout_end * WORD, data)
            self.layouts[words] = self.layout_end, self.crc32c(data)
            self.layout_end += len(words)
        return self.layouts[words]

    def append(self, step: int, writes: dict[int, list[int]]) -> None:
        total = sum(map(len, writes.values()))
        fields = [type_id << 48 | len(words) for type_id, words in writes.items()]
        layout, digest = self.layout_of((len(writes) << 48 | total, *fields))
        words = [word for part in writes.values() for word in part]
        values = struct.pack(f"<{total}q", *words)
        row_session = self.r | (self.session & 0xFFFF) << 48
        head = struct.pack("<QqQI", self.d, step, row_session, layout % 2**32)
        checksum = self.crc32c(head + struct.pack("<I", digest) + values, self.seed)
        self.kinds["records"].write(self.n * RECORD, head + struct.pack("<I", checksum))
        self.kinds["values"].write(self.d * WORD, values)
        for position in range(-(-self.d // 256) * 256, self.d + total, 256):
            self.kinds["position_hints"].write(position // 256 * WORD, struct.pack("<Q", self.n))
        if self.r % 256 == 0:
            self.kinds["row_hints"].write(self.r // 256 * WORD, struct.pack("<Q", self.n))
        self.n, self.d, self.r = self.n + 1, self.d + total, self.r + 1
        self.writes += len(writes)

    def finish(self, template: Path) -> None:
        """Write the sentinel, `control`, `schema` and `lock`, and set the sizes of the chunks."""
        self.kinds["records"].write(self.n * RECORD, struct.pack("<Q", self.d) + bytes(24))
        ends = {
            "values": self.d * WORD,
            "records": (self.n + 1) * RECORD,
            "layouts": self.layout_end * WORD,
            "position_hints": -(-self.d // 256) * WORD,
            "row_hints": -(-self.r // 256) * WORD,
        }
        for name, end in ends.items():
            self.kinds[name].finish(end)
        (self.path / "schema").write_bytes((template / "schema").read_bytes())
        (self.path / "lock").touch()
        (self.path / "control").write_bytes(self.control((template / "control").read_bytes()))
        for name in ("schema", "lock", "control"):
            (self.path / name).chmod(0o600)

    def control(self, template: bytes) -> bytes:
        store_id, begin = template[16:32], self.begin
        (revision,) = struct.unpack_from("<Q", template, REGION + 160)
        identity = struct.pack("<8sII", b"SSCONTRL", 2, 0x01020304) + store_id + bytes(16)
        identity += struct.pack("<I4xQ", self.seed, self.chunk_bytes)
        live = struct.pack("<Q56xQQ48x", self.n, begin.records, begin.layout_words)
        live += struct.pack("<5Q", self.session, 0, 0, self.n, revision)
        regions = [self.block(identity), live]
        begins = (begin.records, begin.values, begin.rows, begin.layout_words, begin.field_writes)
        counts = (self.n, self.d, self.layout_end, self.r, self.writes)
        for sequence in (8, 9):
            slot = b"SSSYSLOT" + store_id
            slot += struct.pack("<2Q5Q2Q5Q", sequence, self.session, *counts, 1, 0, *begins)
            regions.append(self.block(slot))
        return b"".join(region.ljust(REGION, b"\0") for region in regions)

    def block(self, data: bytes) -> bytes:
        data = data.ljust(508, b"\0")
        return data + struct.pack("<I", self.crc32c(data))


def encode_store(
    path: Path,
    template: Path,
    rows: list[Row],
    begin: Begin | None = None,
    chunk_bytes: int = 1 << 20,
) -> Encoder:
    """Write a closed store with the fields and the id of the store `template`."""
    path.mkdir(mode=0o700)
    encoder = Encoder(path, chunk_bytes, begin or Begin())
    for step, writes in rows:
        encoder.append(step, writes)
    encoder.finish(template)
    return encoder
