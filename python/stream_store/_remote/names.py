"""The names of the objects of a remote store."""

from __future__ import annotations

import re
from typing import NamedTuple

MANIFESTS = "manifests"
PACKS = "packs"
SCHEMAS = "schemas"
#: Every manifest whose number is a multiple of this lists all live packs.
FULL_EVERY = 128
#: Numbers of records, rows and manifests are below this.
MOST = 1 << 63

_MANIFEST = re.compile(rf"{MANIFESTS}/(\d{{20}})\.json\Z")
_PACK = re.compile(rf"{PACKS}/(\d{{20}})-(\d+)-([0-9a-f]{{8}})-([0-9a-f]{{8}})\.pack\Z")
_SCHEMA = re.compile(rf"{SCHEMAS}/(\d+)-[0-9a-f]{{8}}\.schema\Z")


class PackRange(NamedTuple):
    """The records [first, end) of a pack."""

    first: int
    end: int


def manifest_name(number: int) -> str:
    """The name of a manifest. Names sort like numbers."""
    return f"{MANIFESTS}/{number:020}.json"


def manifest_number(name: str) -> int | None:
    """The number of a manifest of that name; None for another name."""
    match = _MANIFEST.match(name)
    return int(match[1]) if match else None


def pack_name(first: int, records: int, checksum: int, shipper: str) -> str:
    """The name of a pack. No two shippers write packs of the same name."""
    return f"{PACKS}/{first:020}-{records}-{checksum:08x}-{shipper[:8]}.pack"


def pack_range(name: str) -> PackRange | None:
    """The records of a pack of that name; None for another name."""
    match = _PACK.match(name)
    if not match or not int(match[2]) or int(match[1]) + int(match[2]) >= MOST:
        return None
    return PackRange(int(match[1]), int(match[1]) + int(match[2]))


def schema_name(schema: bytes, checksum: int) -> str:
    """The name of a schema, by its revision and content."""
    revision = int.from_bytes(schema[40:48], "little")
    return f"{SCHEMAS}/{revision}-{checksum:08x}.schema"


def is_schema_name(name: str) -> bool:
    """Whether a schema may have this name."""
    return _SCHEMA.match(name) is not None
