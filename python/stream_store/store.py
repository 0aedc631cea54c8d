"""StreamStore: the class that users open.

Its methods come from three places. The ones that programs call in loops are those of the core
(`_core.Store`, C++), so that a call needs no Python frame. `_store_base.py` has the other reads,
checks and the end of a store's life. This file adds opening, declaring fields, snapshots, exchange
with other libraries, and the protocols of Python, such as pickling.

Examples assume ``import numpy as np`` and ``from stream_store import StreamStore``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from . import _arguments, _retention
from ._fields import declare
from ._handover import hand_over, is_spawning
from ._opening import close_earlier_writer, open_writers
from ._store_tables import StoreTables
from ._types import AnyPath, Fields
from .errors import LockedError
from .features import parse_fields


class StreamStore(StoreTables):
    """An append-only, memory-mapped store of a stream of steps.

    Nothing is on disk until fields are declared; the directory then appears complete.

    Args:
        path: directory of the store; None makes a temporary store, in a hidden directory that is
            deleted with the object. If the process is killed, the next temporary store deletes it.
        mode: "a" opens a store or creates one; "x" creates one; "r" reads one and follows the rows
            that another process appends.
        capacity: growth step in values. It does not limit the store.
        retain_rows: how many rows the store retains; older ones are dropped in the background, a
            moment later, and never by an append. math.inf lifts a limit of an existing store, None
            keeps it. If there are several limits, the strictest applies.
        retain_bytes: disk space that the store takes, plus up to four chunks and what readers still
            use of the dropped rows. At least one chunk.
        retain_segments: how many segments, such as episodes, it retains; needs `segment_by`.
        segment_by: the fields that cut segments, as for `segments`. Rows are then dropped in whole
            segments, and never from the last one.
        chunk_bytes: size of the files that the data is split into, a power of two from `2**20`
            to `2**30`; None is `2**30`, or about a 32nd of `retain_bytes`. Ignored for an existing
            store.
        fields: as for `define_fields`. For an existing store, a list must equal its names, and a
            mapping its names and features.
        wait: with mode "r", seconds to wait for the store to appear.
        sync_seconds: seconds after which a thread syncs rows that were appended; None disables
            this. A failed background sync is permanent: the next append or sync raises it.
            Temporary stores are not synced.
        sync_bytes: bytes appended after which that thread syncs; None disables this.
        add_fields: add fields that `fields` names after those of an existing store, which otherwise
            raise ValueError.
        safe_reads: with mode "r", read with system calls instead of from mappings. Slower, but the
            process survives if another process shortens the files.

    Raises:
        ValueError: an argument is not valid, or the fields differ from those of the store.
        LockedError: another writer has the store open. The message says if it is one of this
            process; in an interactive session such an earlier object is closed, with a warning.
        FileNotFoundError: mode "r", and there is no store.
        FileExistsError: mode "x", and `path` is anything but an empty directory.
        CorruptStoreError: the store is damaged.
        VersionError: the store was written by a version with another format.

    Examples:
        >>> import numpy as np
        >>> from stream_store import StreamStore
        >>> fields = {"obs": "float32[]", "reward": "float32"}
        >>> with StreamStore("run", fields=fields) as store:
        ...     step = store.append_step({"obs": [0.5, 1.5], "reward": 1.0})
        ...     rows = store.extend({"obs": np.ones((3, 2)), "reward": np.arange(3)})
        >>> store = StreamStore("run", "r")
        >>> store.num_rows, store.fields, store.field_to_type["reward"]
        (4, ('obs', 'reward'), 1)
        >>> store.read_rows([0, 3])["reward"]
        array([1., 2.], dtype=float32)
    """

    def __init__(
        self,
        path: AnyPath | None = None,
        mode: Literal["a", "x", "r"] = "a",
        *,
        capacity: int = 1_000_000,
        fields: Fields | None = None,
        retain_rows: float | None = None,
        retain_bytes: float | None = None,
        retain_segments: float | None = None,
        segment_by: str | Sequence[str] | None = None,
        chunk_bytes: int | None = None,
        wait: float | None = None,
        sync_seconds: float | None = 30.0,
        sync_bytes: int | None = 1 << 30,
        safe_reads: bool = False,
        add_fields: bool = False,
    ) -> None:
        """Open or create the store; the class describes the arguments."""
        checked = _arguments.opening(path, mode, capacity, wait)
        syncs = _arguments.background_sync(sync_seconds, sync_bytes)
        if safe_reads and mode != "r":
            raise ValueError(f"safe_reads is for mode='r' only; mode is {mode!r}")
        if add_fields and (mode == "r" or fields is None):
            raise ValueError("add_fields=True needs fields=…, and a mode that can write")
        specs = None if fields is None else parse_fields(fields)
        limits = _retention.wishes(
            mode, (retain_rows, retain_bytes, retain_segments), segment_by, chunk_bytes
        )
        where, _, capacity, seconds = checked
        arguments = (where, mode, (capacity, limits.chunk_bytes), seconds)
        safety = (*syncs, bool(safe_reads))
        try:
            super().__init__(*arguments, safety)
        except LockedError:
            if where is None or not close_earlier_writer(where):
                raise
            super().__init__(*arguments, safety)
        if where is not None:
            self._absolute = _arguments.absolute_path(where)
        try:
            if mode != "r":
                open_writers.add(self)
            exists = bool(self.fields)
            if not exists:
                limits.apply(self)  # they are stored when fields are declared
            if specs is not None:
                declare(
                    self, specs, names_only=not isinstance(fields, Mapping), add_fields=add_fields
                )
            if exists:
                limits.apply(self)
            if mode != "r":
                self._start_dropping()  # only now: neither wrong fields nor old limits drop rows
        except BaseException:
            self.close()
            raise

    # --- fields ---

    def define_fields(
        self,
        fields: Fields,
        field_features: Mapping[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Declare the fields. Their type ids are 0, 1, 2, … in order. The store is then on disk.

        A feature is a `datasets` feature, a type of pyarrow, a NumPy dtype, a Gymnasium space, or a
        string such as "float32", "float32[]" (a list), "float32[3]", "packed uint8[84,84,4]",
        "string", "timestamp[ns]" or "nested list<struct<role: string, content: string>>".
        Features that are not flat, such as lists of strings, are nested without that word, and a
        Box space of uint8 with two or more dimensions is packed.

        Args:
            fields: names, or a mapping of name to feature; or a schema of pyarrow.
            field_features: features for a list of names: a mapping of name to feature, or a
                sequence in the order of the names. A field without a feature is a list of int64.

        Raises:
            ValueError: there are no fields, a name is repeated, empty or too long, or a feature
                cannot be stored.
            RuntimeError: the store has rows already.
            io.UnsupportedOperation: the store was not opened for writing.

        Examples:
            >>> store = StreamStore()
            >>> store.define_fields({"frame": "packed uint8[2,2]", "action": np.dtype("int8")})
            >>> store.fields
            ('frame', 'action')
        """
        self._require_writable("define_fields")
        self._define_fields(parse_fields(fields, field_features))

    # --- reading ---

    # --- exchange with other libraries ---

    def to_dataset(self, split: str | None = None, *, step_column: str | None = None) -> Any:
        """Write all rows as a `datasets.Dataset`, mapped from a file in the datasets cache.

        The features are the declared ones; a missing value is None. An unchanged store finds its
        file again. Progress bars and caching follow the settings of `datasets`.

        Args:
            split: name of the split.
            step_column: name of a first int64 column with the steps; None leaves the steps out.

        Returns:
            A `datasets.Dataset`.

        Cost:
            The time to write the file, and memory for two batches of 64 MiB.

        Raises:
            ImportError: `datasets` is not installed.
            RuntimeError: no fields are declared.
            ValueError: `split` or `step_column` is not valid.
            OSError: there is no space for the file.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, None]})
            2
            >>> store.to_dataset(step_column="step")[1]
            {'step': 1, 'reward': None}
        """
        from ._exchange.to_dataset import to_dataset

        return to_dataset(self, split, step_column)

    def from_dataset(
        self,
        ds: Any,
        *,
        append: bool = False,
        columns: Sequence[str] | None = None,
        step_column: str | None = None,
    ) -> int:
        """Import the rows of a `datasets.Dataset` or `IterableDataset`.

        A store without fields declares them from the columns. All rows appear at once at the end;
        after any failure the store is as it was. Memory does not grow with the dataset.

        Args:
            ds: one split. A shuffled, sorted, selected or filtered one is read in its own order.
            append: add to the rows of the store. Otherwise the rows of a temporary store are
                replaced, and a persistent one must be empty.
            columns: the columns to import; None imports all. Columns without a field are ignored.
            step_column: int column with the steps; None continues from the last step.

        Returns:
            The number of rows imported.

        Raises:
            ValueError: columns cannot be stored or do not fit their fields; a value is not valid;
                or a persistent store has rows and `append` is False. The message names the columns.
            TypeError: `ds` is not a dataset.

        Examples:
            >>> import datasets
            >>> store = StreamStore()
            >>> store.from_dataset(datasets.Dataset.from_dict({"text": ["a", "b"]}))
            2
        """
        from ._exchange.from_dataset import from_dataset

        return from_dataset(self, ds, append, columns, step_column)

    def load_dataset(
        self,
        name: str,
        split: str,
        sort_by: str | Sequence[str] | None = None,
        *,
        append: bool = False,
        config_name: str | None = None,
        columns: Sequence[str] | None = None,
        step_column: str | None = None,
        **kwargs: Any,
    ) -> int:
        """Import one split of a dataset on the Hub or in local files, as `from_dataset` does.

        Args:
            name: a dataset on the Hub; a builder such as "parquet", with `data_files`; or a
                directory, also one of `save_to_disk`.
            split: such as "train" or "train[:10%]".
            sort_by: columns to sort by, missing values last. Needs 8 bytes of memory per row.
            append: as for `from_dataset`.
            config_name: the dataset's configuration.
            columns: as for `from_dataset`.
            step_column: as for `from_dataset`.
            kwargs: passed to `datasets.load_dataset`: revision, token, streaming, …

        Returns:
            The number of rows imported.

        Raises:
            ValueError: as for `from_dataset`.
            OSError: the dataset cannot be read. The token is removed from the message.

        Examples:
            >>> import datasets
            >>> datasets.Dataset.from_dict({"text": ["b", "a"]}).save_to_disk("saved")
            >>> StreamStore().load_dataset("saved", "train", sort_by="text")
            2
        """
        from ._exchange.hub import load_dataset

        return load_dataset(
            self, name, split, sort_by, append, config_name, columns, step_column, kwargs
        )

    def save_dataset(
        self,
        name: str,
        split: str,
        *,
        config_name: str | None = None,
        step_column: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Push all rows to the Hub as one split, in the form of `to_dataset`.

        Args:
            name: "owner/dataset".
            split: name of the split.
            config_name: the dataset's configuration.
            step_column: as for `to_dataset`.
            kwargs: passed to `push_to_hub`: private, revision, token, num_shards, …

        Returns:
            The result of `Dataset.push_to_hub`.

        Raises:
            ValueError: an argument is not valid.
            OSError: the push failed. The token is removed from the message.

        Examples:
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> store.save_dataset("owner/name", "train")  # doctest: +SKIP
        """
        from ._exchange.hub import save_dataset

        return save_dataset(self, name, split, config_name, step_column, kwargs)

    # --- pickling ---

    def __reduce__(self) -> tuple[Any, ...]:
        if self.closed:
            raise ValueError(f"{self._where()}: a closed store cannot be pickled or copied")
        if self._path is None:
            if is_spawning():
                return hand_over(self, StreamStore)
            raise TypeError(
                "a temporary store exists in this process only and cannot be pickled or copied: "
                "with a path, as in StreamStore('some/directory'), the copy opens the directory"
            )
        if not self.fields:
            raise TypeError(f"{self.path}: declare fields before pickling; nothing is on disk yet")
        rows = self.num_rows if self._is_snapshot else None
        return _reopen, (self._absolute, rows, self._safe_reads)


def open(path: AnyPath, *, wait: float | None = None) -> StreamStore:
    """Open a store for reading, to look at it or to learn from it while another process writes.

    This is `StreamStore(path, "r")`: it creates nothing, locks nothing and changes nothing.

    Args:
        path: directory of the store.
        wait: seconds to wait for the store to appear.

    Returns:
        A store that follows the rows that its writer appends.

    Raises:
        FileNotFoundError: there is no store.
        CorruptStoreError: the store is damaged.
        VersionError: the store was written by a version with another format.

    Examples:
        >>> with StreamStore("run", fields={"reward": "float32"}) as store:
        ...     step = store.append_step({"reward": 1.0})
        >>> stream_store.open("run")["reward"][:]
        array([1.], dtype=float32)
    """
    return StreamStore(path, "r", wait=wait)


def _reopen(path: str, num_rows: int | None, safe_reads: bool = False) -> StreamStore:
    """The store that a pickled one becomes."""
    store = StreamStore(path, "r", safe_reads=safe_reads)
    if num_rows is None:
        return store
    with store:
        return store.snapshot(num_rows)
