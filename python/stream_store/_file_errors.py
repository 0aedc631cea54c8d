"""Errors of files that Python writes: each names its file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def naming(target: str | os.PathLike[str], operation: str) -> Iterator[None]:
    """Adds the target to an error of the operating system that names no file, such as ENOSPC.

    Writing to an open file raises such errors; opening it raises errors that name it.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None or type(error) is not OSError:
            raise
        reason = os.strerror(error.errno)
        raise OSError(error.errno, f"{operation}: {reason}", os.fspath(target)) from error
