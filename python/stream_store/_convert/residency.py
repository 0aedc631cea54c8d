"""Keeps the resident memory of a long conversion flat.

A store is mapped, so every page that a conversion touches counts as resident memory of the
process, although it is page cache that the kernel takes back at will. Tools that look at the
resident set would see it grow with the data, so the pages are unmapped now and then. Nothing is
lost: the mappings are shared ones of files, and a page that is used again is mapped again.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from stream_store import _core
from stream_store._held import directory_of

#: Size of data after which a conversion lets go of mapped pages.
EVERY_BYTES = 8 << 20
_LINE = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \d+ +(.*)")


class Residency:
    """Counts the data that a conversion has touched in some stores."""

    def __init__(self, *stores: _core.Store) -> None:
        self._stores = stores
        self._done = 0

    def touched(self, size: int) -> None:
        """Note that about `size` bytes were read or written."""
        self._done += size
        if self._done >= EVERY_BYTES:
            self._done = 0
            for store in self._stores:
                release(store)


def release(store: _core.Store) -> None:
    """Unmap the pages of the files of a store, until they are used again.

    Does nothing where the mappings cannot be listed.
    """
    function = _madvise()
    if function is None or not store.fields:
        return
    # The kernel writes a newline in a path as \\012.
    folder = os.fsencode(os.path.realpath(directory_of(store))).replace(b"\n", rb"\012") + b"/"
    try:
        maps = Path("/proc/self/maps").read_bytes()
    except OSError:
        return
    for line in maps.splitlines():
        match = _LINE.match(line)
        # Only shared mappings of files: a private one would lose what was written to it.
        if match and match[3].endswith(b"s") and match[4].startswith(folder):
            start, stop = int(match[1], 16), int(match[2], 16)
            function(start, stop - start, mmap.MADV_DONTNEED)


@cache
def _madvise() -> Any:
    try:
        function = ctypes.CDLL(None, use_errno=True).madvise
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function
