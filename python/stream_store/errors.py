"""The library's own exceptions. All other errors are raised as built-in exceptions.

The C++ side raises them by name (python/convert/errors.cc).
"""

from __future__ import annotations


class Error(Exception):
    """A problem of a store; the parent of the library's other exceptions.

    Examples:
        >>> import stream_store
        >>> with StreamStore("run", fields={"reward": "float32"}):
        ...     try:
        ...         StreamStore("run")
        ...     except stream_store.Error as error:
        ...         type(error).__name__
        'LockedError'
    """


class CorruptStoreError(Error):
    """A store is damaged; the message names the file and the position.

    Examples:
        >>> import pathlib, stream_store
        >>> StreamStore("run", fields={"reward": "float32"}).close()
        >>> size = pathlib.Path("run/schema").write_bytes(b"")
        >>> try:
        ...     StreamStore("run", "r")
        ... except stream_store.CorruptStoreError as error:
        ...     "schema" in str(error)
        True
    """


class DroppedError(Error, IndexError):
    """A row or position existed but was dropped; the message names the first one that is left.

    It is also an IndexError, as for a row that does not exist.

    Examples:
        >>> import stream_store
        >>> issubclass(stream_store.DroppedError, IndexError)
        True
    """


class LockedError(Error):
    """Another writer has the store open.

    Examples:
        >>> import stream_store
        >>> store = StreamStore("run", fields={"reward": "float32"})
        >>> try:
        ...     StreamStore("run")
        ... except stream_store.LockedError:
        ...     "locked"
        'locked'
    """


class VersionError(Error):
    """The store has a version of the format that this build does not read.

    Examples:
        >>> import pathlib, stream_store
        >>> StreamStore("run", fields={"reward": "float32"}).close()
        >>> control = pathlib.Path("run/control")
        >>> data = bytearray(control.read_bytes())
        >>> data[8] = 99  # the version of the format
        >>> size = control.write_bytes(data)
        >>> try:
        ...     StreamStore("run", "r")
        ... except stream_store.VersionError as error:
        ...     "99" in str(error)
        True
    """


class StoreFullError(Error, OSError):
    """No space is left: disk, quota, file size or address space. The next append tries again.

    It is also an OSError, so code that handles a full disk for other files handles it too.

    Examples:
        >>> import stream_store
        >>> issubclass(stream_store.StoreFullError, OSError)
        True
    """


class RemoteError(Error):
    """A problem of a remote store; the message names the object.

    Attributes:
        url: the address of the object, or of the whole remote store.
        transient: whether trying again may help, as after a timeout. `Shipper` and `Mirror` go on
            trying in the background then.

    Examples:
        >>> import stream_store
        >>> error = stream_store.RemoteError("s3://bucket/a: no answer", "s3://bucket/a", True)
        >>> error.url, error.transient
        ('s3://bucket/a', True)
    """

    def __init__(self, message: str, url: str = "", transient: bool = False) -> None:
        super().__init__(message)
        self.url = url
        self.transient = transient


class FencedError(RemoteError):
    """Another `Shipper` has taken over the remote store, so this one must not write any more.

    Examples:
        >>> import stream_store
        >>> issubclass(stream_store.FencedError, stream_store.RemoteError)
        True
    """


class CheckError(Error):
    """A conversion with `check=True` found a value that differs from its source.

    Examples:
        >>> import stream_store
        >>> issubclass(stream_store.CheckError, stream_store.Error)
        True
    """


for _error in (
    CheckError,
    Error,
    CorruptStoreError,
    DroppedError,
    LockedError,
    VersionError,
    StoreFullError,
    RemoteError,
    FencedError,
):
    _error.__module__ = "stream_store"
del _error
