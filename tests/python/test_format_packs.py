"""docs/format.md, "Replication", is accurate: a reader that knows the page alone reads packs and
manifests, and finds the rows of the store.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from format_page import PAGE, decoded, page_reader
from remote_helpers import FIELDS, Remote, append, memory
from stream_store import StreamStore
from stream_store._core import Source

READER = page_reader()
CRC32C = READER["crc32c"]
RECORD = READER["RECORD"]


def read_pack(data: bytes, fields: list[dict[str, Any]]) -> tuple[dict[str, Any], list[Any]]:
    """The header of a pack and its records as (row, step, {field: words}), with NumPy alone."""
    header = decoded("pack: header", data[:128])
    assert header["checksum"] == CRC32C(data[:124] + data[128:])
    at = 128 + 8 * header["layout_words"]
    words = np.frombuffer(data[128:at], "<u8")
    layouts = {}
    while len(words):
        count = int(words[1] >> np.uint64(48)) + 1
        assert int(words[0]) & 0xFFFFFFFF not in layouts
        layouts[int(words[0]) & 0xFFFFFFFF] = words[1 : 1 + count]
        words = words[1 + count :]
    records = np.frombuffer(data, RECORD, header["records"], at)
    values = np.frombuffer(data, "<i8", header["values"], at + 32 * header["records"])
    assert len(data) == at + 32 * header["records"] + 8 * header["values"]
    found = []
    for record in records:
        layout = layouts[int(record["layout"])]
        start = int(record["start"]) - header["first_position"]
        body = values[start : start + int(layout[0] & np.uint64((1 << 48) - 1))]
        head = record.tobytes()[:28] + struct.pack("<I", CRC32C(layout))
        assert CRC32C(head + body.tobytes(), header["checksum_seed"]) == record["checksum"]
        writes = {}
        for word in layout[1:].tolist():
            length = word & (1 << 48) - 1
            writes[fields[word >> 48]["name"]] = body[:length].tolist()
            body = body[length:]
        row = int(record["row_session"]) & (1 << 48) - 1
        found.append((row, int(record["step"]), writes))
    return header, found


def content_checksum(pack: bytes) -> int:
    """The content checksum of the only record of a pack."""
    at = 128 + 8 * struct.unpack_from("<Q", pack, 80)[0]
    record = np.frombuffer(pack, RECORD, 1, at)[0]
    digest = CRC32C(pack[136:at])
    row = int(record["row_session"]) & (1 << 48) - 1
    words = struct.pack("<QqQQ", record["start"], record["step"], row, digest << 32)
    return int(CRC32C(words + pack[at + 32 :]))


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    with StreamStore(tmp_path / "store", fields=FIELDS) as store:
        append(store, 23)
    return StreamStore(tmp_path / "store", "r")


def test_a_pack_is_as_the_page_says(store: StreamStore) -> None:
    source = Source(store.path)
    begin, end = source.durable()
    schema = READER["read_schema"](source.schema(end[0]))
    rows: dict[int, Any] = {}
    for first in range(0, end[0], 7):
        data = source.pack(first, min(first + 7, end[0]), 1 << 30).tobytes()
        header, records = read_pack(data, schema)
        step, row, position, *_ = source.record(first)
        assert header["magic"] == "SSRECPAK"
        assert header["version"] == 2
        assert header["id"] == store.id
        assert header["chunk_bytes"] == 1 << 30
        assert (header["first_record"], header["first_position"]) == (first, position)
        assert (records[0][0], records[0][1]) == (row, step)
        assert header["flags"] == (first > begin[0])
        if first:
            assert header["rows_before"] == source.record(first - 1)[1] + 1
            before = source.pack(first - 1, first, 1).tobytes()
            assert header["previous"] == content_checksum(before)
        for row, step, writes in records:
            rows.setdefault(row, (step, {}))[1].update(writes)
    expected = READER["read_store"](store.path)[1]
    assert [rows[row] for row in sorted(rows)] == [
        (step, {name: words.tolist() for name, words in writes.items()})
        for step, writes in expected
    ]


def section(title: str) -> str:
    return PAGE.read_text().split(f"### {title}\n", 1)[1].split("\n### ")[0].split("\n## ")[0]


def test_a_manifest_has_the_keys_of_the_page(tmp_path: Path) -> None:
    keys = {
        line.split("|")[1].strip(" `")
        for line in section("Remote stores").split("| key |")[1].splitlines()[2:]
        if line.startswith("| `")
    }
    remote = memory()
    with StreamStore(tmp_path / "store", fields=FIELDS) as store:
        shipper = remote.shipper(store)
        for rows in (5, 0, 3):
            append(store, rows)
            shipper.ship_now()
        store.truncate(2)
        shipper.ship_now()
        check_manifests(remote, store, keys)


def check_manifests(remote: Remote, store: StreamStore, keys: set[str]) -> None:
    for number, name in enumerate(remote.names("manifests")):
        assert name == f"manifests/{number:020}.json"
        data = bytes(remote.bucket.get(name) or b"")
        content = json.loads(data)
        assert set(content) == keys
        checksum = content.pop("checksum")
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        assert CRC32C(text.encode()) == checksum
        assert (content["format"], content["number"], content["store"]) == (1, number, store.id)
        for pack, size, _level, last, session in content["added"]:
            packed = bytes(remote.bucket.get(pack) or b"")
            records = np.frombuffer(
                packed, RECORD, offset=128 + 8 * struct.unpack_from("<Q", packed, 80)[0], count=1
            )
            first, count, crc, shipper = (
                pack.removeprefix("packs/").removesuffix(".pack").split("-")
            )
            assert (len(packed), f"{CRC32C(packed):08x}") == (size, crc)
            assert struct.unpack_from("<QQ", packed, 40) == (int(first), int(count))
            assert content["shipper"].startswith(shipper)
            assert (last, session) == last_of(packed)
            assert len(records) == 1
        schema = bytes(remote.bucket.get(content["schema"]) or b"")
        assert content["schema"] == f"schemas/0-{CRC32C(schema):08x}.schema"
        assert [field["name"] for field in READER["read_schema"](schema)] == list(store.fields)
    assert content["cuts"] == [[number, 3]]  # row 2 begins there


def last_of(pack: bytes) -> tuple[int, int]:
    """The checksum of the last record of a pack, and its session."""
    (count,) = struct.unpack_from("<Q", pack, 48)
    at = 128 + 8 * struct.unpack_from("<Q", pack, 80)[0] + 32 * (count - 1)
    row_session, _layout, checksum = struct.unpack_from("<QII", pack, at + 16)
    return checksum, row_session >> 48
