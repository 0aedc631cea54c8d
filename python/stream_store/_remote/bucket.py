"""Bucket: the objects under one URL, with errors that name the object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from stream_store._exchange.optional import require
from stream_store._outside import require_outside
from stream_store.errors import RemoteError

from .fork import note_use, require_usable
from .url import directory_of, encoded_url

#: What servers say when the whole bucket is missing. obstore reports it like a missing object.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
#: Errors of obstore that trying again does not cure.
_PERMANENT = (
    "InvalidPathError",
    "NotSupportedError",
    "PermissionDeniedError",
    "UnauthenticatedError",
    "UnknownConfigurationKeyError",
)
#: obstore tries a request again by itself only for a short time: the callers go on trying.
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}


def _checked_options(options: Any) -> dict[str, Any]:
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(
            "storage_options must be a dict of options of obstore by name, such as "
            f'{{"region": "us-east-1"}}, not {options!r}'
        )
    return dict(options or {})


class Bucket:
    """The objects under a URL. Names are relative to it. All methods may be called by any thread.

    Args:
        url: such as "s3://bucket/prefix", or a store of obstore; `url` has the rules.
        storage_options: the configuration of the store, as obstore takes it.
        create: whether writing creates the directory of a `file://` URL.
    """

    def __init__(
        self, url: Any, storage_options: Mapping[str, Any] | None = None, *, create: bool = False
    ) -> None:
        require_usable()
        self._obstore = require("obstore", "shipping and mirroring", extra="remote")
        if isinstance(url, str):
            self._arguments = encoded_url(url), _checked_options(storage_options)
            self._create = create
            self.url = url.rstrip("/")
            self._directory = directory_of(url)
            if create and self._directory is not None:
                require_outside(self._directory, "ship")
            self._opened = self._open(create=False)
        else:
            in_memory = type(url).__name__ == "MemoryStore"
            if not in_memory and not hasattr(url, "prefix"):
                raise TypeError(
                    f"a remote store is a URL or a store of obstore, not {type(url).__name__}"
                )
            self.url = "memory:/" if in_memory else repr(url)
            self._opened = url

    @property
    def _store(self) -> Any:
        return self._ready(create=False)

    def _ready(self, *, create: bool) -> Any:
        if self._opened is None:
            self._opened = self._open(create=create and self._create)
        if self._opened is None:
            raise FileNotFoundError(f"{self.url}: there is no such directory")
        return self._opened

    def _open(self, *, create: bool) -> Any:
        """The store of obstore; None for a directory that does not exist yet."""
        url, options = self._arguments
        stores = require("obstore.store", "shipping and mirroring", extra="remote")
        if self._directory is not None:
            if not create and not self._directory.exists():
                return None  # a shipper may create it later
            options = {"mkdir": create, **options}
        else:
            options = {"retry_config": _RETRIES, **options}
        return self._answer(lambda: stores.from_url(url, **options), "opening", "")

    def url_of(self, name: str) -> str:
        """The address of an object, for messages."""
        return f"{self.url}/{name}" if name else self.url

    def error(self, name: str, problem: str, *, transient: bool = False) -> RemoteError:
        """An error about an object."""
        return RemoteError(
            f"{self.url_of(name)}: {problem}", self.url_of(name), transient=transient
        )

    def _answer(self, call: Callable[[], Any], operation: str, name: str) -> Any:
        """The result of a call of obstore; its errors name the object.

        Raises:
            FileNotFoundError: there is no such object.
            FileExistsError: there is such an object already.
            RemoteError: any other error.
        """
        if operation != "opening":  # which starts no thread
            note_use()
        try:
            return call()
        except (self._obstore.exceptions.BaseError, OSError) as error:
            kind = type(error).__name__
            text = " ".join(str(error).partition("\n\nDebug source")[0].split())
            no_bucket = any(part in text for part in _NO_BUCKET)
            if not no_bucket and kind in {"FileNotFoundError", "NotFoundError"}:
                raise FileNotFoundError(name) from error
            if kind in {"AlreadyExistsError", "PreconditionError"}:
                raise FileExistsError(name) from error
            transient = kind not in _PERMANENT and not no_bucket and operation != "opening"
            raise self.error(name, f"{operation}: {text}", transient=transient) from error

    def get(self, name: str) -> memoryview | None:
        """The bytes of an object, or None if there is none."""
        try:
            answer = self._answer(lambda: self._obstore.get(self._store, name), "reading", name)
            return memoryview(self._answer(answer.bytes, "reading", name))
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        try:
            self._answer(lambda: self._obstore.head(self._store, name), "looking at", name)
        except FileNotFoundError:
            return False
        return True

    def put(self, name: str, data: Any) -> None:
        """Write an object of a name that no other program uses."""
        try:
            store = self._ready(create=True)
            self._answer(lambda: self._obstore.put(store, name, data), "writing", name)
        except FileNotFoundError as error:  # part of the place is missing
            raise self.error(name, f"writing: {error.__cause__}", transient=True) from error

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one of that name; returns whether it was written."""
        try:
            store = self._ready(create=True)
            self._answer(
                lambda: self._obstore.put(store, name, data, mode="create"), "creating", name
            )
        except FileExistsError:
            return False
        except FileNotFoundError as error:
            raise self.error(name, f"creating: {error.__cause__}", transient=True) from error
        return True

    def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        with suppress(FileNotFoundError):
            self._answer(lambda: self._obstore.delete(self._store, name), "deleting", name)

    def list(self, folder: str, after: str | None = None) -> dict[str, int]:
        """The names and sizes of the objects in a folder, in order, from those after `after` on."""

        def listed() -> dict[str, int]:
            found = {}
            for page in self._obstore.list(self._store, folder + "/", offset=after):
                for entry in page:
                    found[str(entry["path"])] = int(entry["size"])
            return dict(sorted(found.items()))

        try:
            names: dict[str, int] = self._answer(listed, "listing", folder)
        except FileNotFoundError:
            return {}
        return names
