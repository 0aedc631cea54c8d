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
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store import _core
from stream_store._held import directory_of
from stream_store._store_life import StoreLife

#: Size of data after which a conversion lets go of mapped pages.
EVERY_BYTES = 8 << 20
_LINE = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \d+ +(.*)")


class Residency:
    """Counts the data that a conversion has touched in some stores."""

    def __init__(self, *stores: StoreLife) -> None:
        self._stores = stores
        self._done = 0

    @property
    def view(self) -> StoreLife:
        """The first of the stores."""
        return self._stores[0]

    def touched(self, size: int) -> None:
        """Note that about `size` bytes were read or written."""
        self._done += size
        if self._done >= EVERY_BYTES:
            self._done = 0
            for store in self._stores:
                release(store)

    def touched_rows(self, first: int, stop: int) -> None:
        """Note that rows of `view` were read."""
        begin = int(self.view.position_of(first))
        self.touched(8 * (end_position(self.view, stop) - begin))


def row_parts(view: StoreLife, most_rows: int) -> Iterator[slice]:
    """All rows of a view in parts: at most `most_rows` rows, or EVERY_BYTES if that is less.

    For passes that read a field or two of each row. Even those map most pages of a store whose rows
    are large, so the pages of each part are unmapped before the next one.
    """
    residency = Residency(view)
    first = view.first_row
    while first < view.num_rows:
        rows = range(first, min(first + most_rows, view.num_rows))
        stop = first + rows_within(view, rows, EVERY_BYTES)
        yield slice(first, stop)
        residency.touched_rows(first, stop)
        first = stop


def rows_within(view: StoreLife, rows: range | NDArray[np.int64], most_bytes: int) -> int:
    """How many of the rows, from the first one on, take at most `most_bytes` in the store.

    Rows between them count too. At least one. Halves the rows until they fit: one look-up each.
    """
    first, count = int(view.position_of(int(rows[0]))), len(rows)
    while count > 1 and 8 * (end_position(view, int(rows[count - 1]) + 1) - first) > most_bytes:
        count //= 2
    return count


def end_position(view: StoreLife, row: int) -> int:
    """The position at which rows before `row` end, in values of 8 bytes."""
    return len(view) if row >= view.num_rows else int(view.position_of(row))


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
