"""Opening for reading, and the writers that this process has open.

A script that ends without close() closes its writers here. In an interactive session, running a
cell again opens a store a second time: the first object, which only the session's history still
needs, is then closed instead of refusing the second.
"""

from __future__ import annotations

import atexit
import builtins
import io
import os
import sys
import warnings
import weakref
from typing import Any

from ._arguments import absolute_path

open_writers: weakref.WeakSet[Any] = weakref.WeakSet()


def is_interactive() -> bool:
    """Whether this is a notebook, IPython, or the prompt of Python."""
    return hasattr(sys, "ps1") or hasattr(builtins, "get_ipython")


def close_earlier_writer(path: str) -> bool:
    """In an interactive session, close the object of this process that writes to the store.

    Returns:
        Whether there was one.
    """
    if not is_interactive():
        return False
    wanted = os.path.realpath(absolute_path(path))
    for store in list(open_writers):
        if store._absolute is None or os.path.realpath(store._absolute) != wanted or store.closed:
            continue
        store.close()
        warnings.warn(
            f"{path}: this session had the store open for writing already; the earlier object was "
            "closed. Use `with`, or close(), to do that yourself, and stream_store.open() to look "
            "at a store",
            stacklevel=3,
        )
        return True
    return False


@atexit.register
def _close_writers() -> None:
    """Close the stores of a script that ends without close()."""
    for store in list(open_writers):
        try:
            store.close()
        except (OSError, ValueError, io.UnsupportedOperation):
            continue  # the next open recovers it
