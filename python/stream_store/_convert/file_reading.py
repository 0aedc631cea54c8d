"""Files that libraries read: which there are, and errors, each of which names the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Suffixes of the HDF5 files of a directory.
HDF5_SUFFIXES = (".hdf5", ".h5", ".hdf", ".he5")


def files_with(directory: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """The files of a directory that have one of the suffixes, in any order."""
    return (one for one in directory.iterdir() if one.suffix.lower() in suffixes and one.is_file())


@contextmanager
def reading(path: Path, operation: str, hint: str = "") -> Iterator[None]:
    """Name the file in all errors of a library while it is read.

    A damaged file raises nearly any exception of the library, and an OSError without a number, none
    of which names the file. All become a ValueError of one line. An error of the operating system
    keeps its type.

    Args:
        path: the file, or the directory of several.
        operation: what is being done.
        hint: what may have caused the damage.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise _unreadable(path, operation, hint, error) from error
        if error.filename is not None:
            raise
        reason = f"{operation}: {one_line(error.strerror)}"
        raise OSError(error.errno, reason, str(path)) from error
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(path, operation, hint, error) from error


def read_batches(batches: Iterable[Any], path: Path, operation: str) -> Iterator[Any]:
    """The batches of a file. An error while one is read names the file."""
    remaining = iter(batches)
    while True:
        with reading(path, operation):
            batch = next(remaining, None)
        if batch is None:
            return
        yield batch


def one_line(text: object) -> str:
    """A message without the line breaks that those of libraries have."""
    return " ".join(str(text).split())


def _unreadable(path: Path, operation: str, hint: str, error: Exception) -> ValueError:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    reason = one_line(text) or type(error).__name__
    return ValueError(f"{path}: {operation}: the file cannot be read{hint}: {reason}")
