"""The exceptions that are the library's own; built-in ones are used everywhere else.

The C++ side raises them by name (python/convert/errors.cc).
"""

from __future__ import annotations


class Error(Exception):
    """Something is wrong with a store; parent of the exceptions below."""


class CorruptStoreError(Error):
    """The bytes of a store cannot be what was written; the message names the file and the place."""


class LockedError(Error):
    """Another writer has the store open."""


class VersionError(Error):
    """The store was written in a version of the format that this build does not read."""


class StoreFullError(Error, OSError):
    """Disk, quota, file size or address space is used up; the next append tries again."""


for _error in (Error, CorruptStoreError, LockedError, VersionError, StoreFullError):
    _error.__module__ = "stream_store"
del _error
