"""Mirror: keeps a replica of a remote store on this host. `replicate` has the rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_store._arguments import absolute_path, path_text
from stream_store._types import AnyPath, Progress
from stream_store.errors import Error

from .background import Background
from .bucket import Bucket
from .loop import Rounds
from .replicate import PullReport, Replicator


class Mirror(Background):
    """Keeps a replica of a store that a `Shipper` ships from another host.

    The replica is an ordinary store, of which this object is the writer: open it with mode "r", in
    this process or in others, and sample from it while it grows. Its rows, positions and steps are
    those of the source. Rows that the source drops or truncates are dropped and truncated here,
    too.

    Everything that is downloaded is verified before it is applied. A mirror that was stopped or
    killed continues where its replica ends. In a ``with`` block, a thread looks for new rows every
    `every` seconds. It goes on after errors that may pass, such as timeouts; see `error`.

    Args:
        url: the URL that the `Shipper` was given.
        path: directory of the replica. It appears with the first rows.
        every: seconds between two looks; each costs one request.
        storage_options: configuration for obstore, such as credentials, by the name of each option.

    Raises:
        ValueError: an argument is not valid.
        ImportError: obstore is not installed.
        RuntimeError: this process was forked from one that had used obstore; start it with "spawn".

    Examples:
        >>> from pathlib import Path
        >>> remote = f"file://{Path.cwd()}/remote"
        >>> with StreamStore("run", fields={"reward": "float32"}) as store:
        ...     count = store.extend({"reward": [1.0, 2.0]})
        ...     report = stream_store.Shipper(store, remote).ship_now()
        >>> with stream_store.Mirror(remote, "replica") as mirror:
        ...     replica = StreamStore("replica", "r", wait=60)
        ...     replica.wait(2, timeout=60)
        True
    """

    def __init__(
        self,
        url: Any,
        path: AnyPath,
        *,
        every: float = 0.5,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the arguments; the class describes them. Nothing is read yet."""
        super().__init__(every)
        self._path = absolute_path(path_text(path))
        self._bucket = Bucket(url, storage_options)
        self._replicator = Replicator(self._bucket, self._path)

    @property
    def url(self) -> str:
        """Where the replica comes from."""
        return self._bucket.url

    def pull(self, progress: Progress | None = None) -> PullReport:
        """Apply everything that is there now.

        Args:
            progress: called with bytes downloaded and bytes in all; an exception it raises ends the
                round.

        Returns:
            A `PullReport`. If nothing was shipped yet, its manifest is -1.

        Raises:
            RemoteError: the object store reported an error, an object is damaged or missing, or the
                replica is one of another store. The message names the object, and the replica has
                the rows before it.
            LockedError: another mirror writes the replica.
            StoreFullError: there is no space.

        Examples:
            >>> import obstore.store
            >>> memory = obstore.store.MemoryStore()
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0]})
            2
            >>> report = stream_store.Shipper(store, memory).ship_now()
            >>> stream_store.Mirror(memory, "replica").pull().records
            2
        """
        try:
            return self._round(progress, look=True)
        finally:
            if self._rounds is None:
                self._replicator.close()

    def follow(self) -> None:
        """Apply new rows every `every` seconds in this thread, until `close` is called or Ctrl-C.

        Raises:
            RemoteError: an error that does not pass; `pull` lists them.
            RuntimeError: it is mirroring in the background already.

        Examples:
            >>> import threading
            >>> from pathlib import Path
            >>> mirror = stream_store.Mirror(f"file://{Path.cwd()}", "replica")
            >>> threading.Timer(0.1, mirror.close).start()
            >>> mirror.follow()
        """
        rounds = self._begin()
        try:
            rounds.run()
        finally:
            self._replicator.close()

    def start(self) -> None:
        """Apply new rows every `every` seconds in a thread, until `close`.

        A ``with`` block does this. The thread keeps this object until `close`, which must be
        called.

        Raises:
            RuntimeError: it is mirroring already.

        Examples:
            >>> from pathlib import Path
            >>> mirror = stream_store.Mirror(f"file://{Path.cwd()}", "replica")
            >>> mirror.start()
            >>> mirror.close()
        """
        self._begin().start()

    def close(self) -> None:
        """End the thread, after the round under way, and close the replica.

        Examples:
            >>> from pathlib import Path
            >>> stream_store.Mirror(f"file://{Path.cwd()}", "replica").close()
        """
        rounds, self._rounds = self._rounds, None
        if rounds is None or not rounds.stop():
            return
        try:
            self._replicator.close()
        except (Error, OSError):
            if rounds.error is None:  # else it was reported
                raise

    def _begin(self) -> Rounds:
        return self._new_rounds(f"mirroring {self.url}", lambda: self._round(look=False))

    def _round(self, progress: Progress | None = None, *, look: bool) -> PullReport:
        with self._one_round():
            return self._replicator.round(progress, look=look)
