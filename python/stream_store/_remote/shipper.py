"""Shipper: writes the durable records of a store to a remote store, round after round.

`publish` has the rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_store._arguments import integer
from stream_store._types import AnyPath, Progress
from stream_store.errors import Error, FencedError
from stream_store.store import StreamStore

from .arguments import seconds, source_path
from .background import Background
from .bucket import Bucket
from .loop import Rounds
from .publish import Publisher, ShipReport, changed_meanwhile

#: The largest pack that a round writes.
PACK_BYTES = 64 << 20
_PACK_BYTES_END = (1 << 31) + 1


class Shipper(Background):
    """Ships a store to an object store, from which `Mirror` makes replicas on other hosts.

    Only durable rows are shipped: a replica never has rows that the store could lose. Give the
    `StreamStore` that writes, and each round syncs it first; of a path, rows are shipped after
    their writer has synced them. Retention and truncation are shipped, too.

    In a ``with`` block, a thread ships every `every` seconds, and once more at the end. It goes on
    after errors that may pass, such as timeouts; see `error`.

    Args:
        store: a `StreamStore` that was opened for writing, or the path of a store, which another
            process may write.
        url: "s3://bucket/prefix", "gs://…", "az://…" or "file:///directory"; or a store of obstore.
            It is taken literally: nothing is decoded, so f"file://{Path.cwd()}" is right for every
            path. One remote store holds one store.
        every: seconds between two rounds. A round without new rows writes nothing.
        pack_bytes: size of the largest object, at most 2 GiB.
        grace: seconds for which objects stay that were replaced by larger ones or dropped.
        storage_options: configuration for obstore, such as credentials, by the name of each option.

    Raises:
        TypeError: an argument has the wrong type, such as a `StoreGroup`: ship each of its stores.
        ValueError: an argument is not valid, or the store is temporary.
        ImportError: obstore is not installed.
        RuntimeError: this process was forked from one that had used obstore; start it with "spawn".

    Examples:
        >>> from pathlib import Path
        >>> remote = f"file://{Path.cwd()}/remote"
        >>> with StreamStore("run", fields={"reward": "float32"}) as store:
        ...     with stream_store.Shipper(store, remote, every=1):
        ...         step = store.append_step({"reward": 1.0})
        >>> stream_store.Mirror(remote, "replica").pull().rows
        1
    """

    def __init__(
        self,
        store: StreamStore | AnyPath,
        url: Any,
        *,
        every: float = 1.0,
        pack_bytes: int = PACK_BYTES,
        grace: float = 600.0,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the arguments; the class describes them. Nothing is written yet."""
        self._store = store if isinstance(store, StreamStore) and store.mode != "r" else None
        self._path = source_path(store)
        super().__init__(every)
        grace = seconds("grace", grace, zero=True)
        pack_bytes = integer("pack_bytes", pack_bytes, 1, _PACK_BYTES_END)
        self._bucket = Bucket(url, storage_options, create=True)
        self._publisher = Publisher(self._path, self._bucket, pack_bytes, grace)

    # --- facts ---

    @property
    def url(self) -> str:
        """Where the store is shipped to."""
        return self._bucket.url

    # --- shipping ---

    def ship_now(self, progress: Progress | None = None) -> ShipReport:
        """Ship everything that is durable now.

        Args:
            progress: called with bytes shipped and bytes in all; an exception it raises ends the
                round.

        Returns:
            A `ShipReport`.

        Raises:
            FencedError: another shipper has taken over.
            RemoteError: the object store reported an error, or holds another store.
            FileNotFoundError: there is no store yet.
            OSError: the store cannot be read or synced.

        Examples:
            >>> import obstore.store
            >>> memory = obstore.store.MemoryStore()
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0]})
            2
            >>> stream_store.Shipper(store, memory).ship_now().records
            2
        """
        with self._one_round():
            if self._store is not None and not self._store.closed:
                self._store.sync()
            return self._publisher.round(progress)

    def run(self) -> None:
        """Ship every `every` seconds in this thread, until `close` is called or Ctrl-C.

        Raises:
            FencedError: another shipper has taken over.
            RemoteError: an error that does not pass; `ship_now` lists them.
            RuntimeError: it is shipping in the background already.

        Examples:
            >>> import threading
            >>> from pathlib import Path
            >>> StreamStore("run", fields={"reward": "float32"}).close()
            >>> shipper = stream_store.Shipper("run", f"file://{Path.cwd()}/remote")
            >>> threading.Timer(0.1, shipper.close).start()
            >>> shipper.run()
        """
        self._begin().run()

    def start(self) -> None:
        """Ship every `every` seconds in a thread, until `close`. A ``with`` block does this.

        The thread keeps this object and the store until `close`, which must be called, also to ship
        the last rows.

        Raises:
            RuntimeError: it is shipping already.

        Examples:
            >>> from pathlib import Path
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> shipper = stream_store.Shipper(store, f"file://{Path.cwd()}/remote")
            >>> shipper.start()
            >>> shipper.close()
        """
        self._begin().start()

    def close(self) -> None:
        """Ship once more if a thread was shipping, and end it. Further calls do nothing.

        Raises:
            RemoteError: the last round failed; see `ship_now`.

        Examples:
            >>> from pathlib import Path
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> stream_store.Shipper(store, f"file://{Path.cwd()}/remote").close()
        """
        rounds, self._rounds = self._rounds, None
        try:
            if rounds is not None and rounds.stop() and not isinstance(rounds.error, FencedError):
                self._quiet_round()
        finally:
            self._publisher.close()

    def _begin(self) -> Rounds:
        """Rounds that begin right after a sync, if the writer of the store is another one."""
        watch = self._durable if self._store is None else None
        return self._new_rounds(f"shipping {self._path}", self._quiet_round, watch)

    def _durable(self) -> int:
        with self._lock:
            return self._publisher.durable_records()

    def _quiet_round(self) -> None:
        """A round that waits for the store to appear, and for the next one after a truncation."""
        try:
            self.ship_now()
        except FileNotFoundError:
            return
        except Error as error:
            if not changed_meanwhile(error):
                raise
