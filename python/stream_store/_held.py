"""Disk space of dropped chunks that is not free yet, because a process still has them mapped."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from . import _core

_KINDS = b"values|records|layouts|position_hints|row_hints"
# address-address permissions offset device inode path
_LINE = rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) (\S+) (\d+) +%s/(?:%s)\.\d{12} \(deleted\)$"


@dataclass(frozen=True)
class Held:
    """Dropped chunk files of a store that processes still have mapped.

    Attributes:
        chunks: number of files.
        bytes: their disk space. It is free again once no reader uses them.
        unread: number of processes whose mappings this user may not see; what they hold is not
            counted.
    """

    chunks: int
    bytes: int
    unread: int

    def __str__(self) -> str:
        files = "chunk" if self.chunks == 1 else "chunks"
        note = "; processes of other users are not counted" if self.unread else ""
        return f"{self.bytes:,} bytes in {self.chunks:,} dropped {files}{note}"


def directory_of(core: _core.Store) -> str:
    """The directory of a store that has fields, also of a temporary one."""
    return core._hand_over() if core._path is None else str(core._path)


def held_by_readers(directory: str) -> Held:
    """Look for dropped chunks of the store in the mappings of all processes.

    A chunk counts once, however many processes have it mapped. Where there is no /proc, none is
    found.
    """
    from pathlib import Path  # here, because it imports many others

    # The kernel writes a newline in a path as \012.
    where = os.fsencode(os.path.realpath(directory)).replace(b"\n", rb"\012")
    prefix = where + b"/"
    pattern = re.compile(_LINE % (re.escape(where), _KINDS), re.MULTILINE)
    sizes: dict[tuple[bytes, bytes], int] = {}
    unread = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            maps = (process / "maps").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        except OSError:
            unread += 1
            continue
        if prefix not in maps:
            continue
        for start, end, offset, device, inode in pattern.findall(maps):
            size = int(offset, 16) + int(end, 16) - int(start, 16)
            file = device, inode
            sizes[file] = max(size, sizes.get(file, 0))
    return Held(len(sizes), sum(sizes.values()), unread)
