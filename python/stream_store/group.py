"""StoreGroup: the stores of several writers in one directory, read as one.

The C++ side (`_core.Group`) finds the stores. Examples assume ``import numpy as np`` and
``from stream_store import StoreGroup, StreamStore, WindowSampler``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from . import _arguments, _core
from ._closing import ClosedByWith
from ._fields import declared_fields
from ._types import AnyPath, Fields, Progress
from .features import difference, parse_fields
from .store import StreamStore

if TYPE_CHECKING:
    from pathlib import Path

    from .reports import VerifyReport

#: Options of StreamStore that a writer of a group cannot have.
_FIXED = ("path", "fields", "add_fields")


class StoreGroup(ClosedByWith, Mapping[str, StreamStore]):
    """A directory of stores with equal fields: a mapping of their names to stores to read.

    Each writer has a store of its own, so writers need not know of each other. Stores come and go:
    they appear complete, and leave the group when their directory is deleted or moved away. Give a
    group to `WindowSampler` to sample from all stores that exist at that moment.

    Every sub-directory that is a store belongs to the group, unless its name begins with a dot.
    Fields that a store has added after those of the group are not read through the group.

    Args:
        path: the directory.
        fields: as for `StreamStore`; creates the group if it does not exist, and must equal its
            fields otherwise. None reads a group that exists, which may also be a directory of
            stores that nobody has declared a group: its fields are those of the first store by
            name.
        on_error: what happens with a store that is damaged or has other fields: "skip" leaves it
            out, with a RuntimeWarning that names it, and lists it in `skipped`; "raise" raises its
            error.
        wait: seconds to wait for the group to have fields; None does not wait.
        safe_reads: as for `StreamStore`.

    Cost:
        Each store is opened once, for some hundred microseconds. A sampler looks at the directory
        every 100 ms, and at each store in it every 5 s or when the directory has changed.

    Raises:
        FileNotFoundError: there is no such directory, or nothing in it that has fields.
        ValueError: the fields differ from those of the group, or an argument is not valid.
        CorruptStoreError: with "raise", a store is damaged.

    Examples:
        >>> group = StoreGroup("runs", fields={"obs": "float32[2]", "action": "int64"})
        >>> with group.writer("first") as store:
        ...     rows = store.extend({"obs": np.ones((100, 2)), "action": np.arange(100)})
        >>> with group.writer("second") as store:
        ...     rows = store.extend({"obs": np.zeros((50, 2)), "action": np.arange(50)})
        >>> sampler = WindowSampler(group, 4, unit="row", batch_size=32)
        >>> sampler.num_starts
        144
        >>> group.refresh(), list(group), group["second"].num_rows
        (True, ['first', 'second'], 50)
    """

    def __init__(
        self,
        path: AnyPath,
        fields: Fields | None = None,
        *,
        on_error: Literal["skip", "raise"] = "skip",
        wait: float | None = None,
        safe_reads: bool = False,
    ) -> None:
        from pathlib import Path  # here, because it imports many others

        if on_error not in ("skip", "raise"):
            raise ValueError(f"on_error must be 'skip' or 'raise', not {on_error!r}")
        self._path = Path(_arguments.absolute_path(_arguments.path_text(path)))
        self._options = {"on_error": on_error, "safe_reads": bool(safe_reads)}
        self._warned: set[tuple[str, str]] = set()
        specs = None if fields is None else parse_fields(fields)
        seconds = 0.0 if wait is None else _arguments.timeout_seconds(wait)
        reads = (on_error == "skip", bool(safe_reads))
        self._core = _core.Group(str(self._path), specs, reads, seconds)
        self._holder = StreamStore(self._core.fields_path(), "r")
        self._report()

    # --- facts ---

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in declared order."""
        return self._holder.fields

    @property
    def features(self) -> dict[str, Any]:
        """The declared features, as `StreamStore.features`."""
        return self._holder.features

    @property
    def skipped(self) -> dict[str, str]:
        """The stores that are left out: their names, and the reason of each."""
        return dict(self._core.skipped())

    @property
    def kept_rows(self) -> int:
        """The number of rows that all stores retain now."""
        return self._core.kept_rows()

    def refresh(self) -> bool:
        """Look for stores that have come or gone. Samplers do so by themselves.

        Returns:
            Whether there were any.

        Raises:
            FileNotFoundError: the directory is gone.
            CorruptStoreError: with on_error="raise", a store is damaged.

        Examples:
            >>> group = StoreGroup("runs", fields={"reward": "float32"})
            >>> group.writer("a").close()
            >>> group.refresh(), len(group)
            (True, 1)
        """
        changed = self._core.refresh()
        self._report()
        return changed

    def _report(self) -> None:
        for name, reason in self._core.skipped():
            if (name, reason) not in self._warned:
                self._warned.add((name, reason))
                warnings.warn(
                    f"{self._path}: the group leaves out store {name}: {reason}",
                    RuntimeWarning,
                    stacklevel=3,
                )

    # --- a mapping of stores ---

    def __getitem__(self, name: object) -> StreamStore:
        """The store of a name, with mode "r".

        It follows its writer, and can be read also after it has left the group.

        Args:
            name: of its directory.

        Raises:
            KeyError: the group has no such store.

        Examples:
            >>> group = StoreGroup("runs", fields={"reward": "float32"})
            >>> group.writer("a").close()
            >>> group.refresh(), group["a"].num_rows
            (True, 0)
        """
        if not isinstance(name, str):
            raise KeyError(name)
        store = StreamStore.__new__(StreamStore)
        _core.Store.__init__(store, self._core, name)
        store._absolute = str(self._path / name)
        return store

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the stores, sorted."""
        return iter(self._core.names())

    def __len__(self) -> int:
        """Number of stores."""
        return len(self._core.names())

    def __bool__(self) -> bool:
        return True  # without this, a group without stores would be false

    # --- writing ---

    def writer(self, name: str | None = None, **options: Any) -> StreamStore:
        """Open a store of the group for writing. Each writer process has a store of its own.

        Args:
            name: of its directory. A store of that name is continued. None makes a new store, with
                a name that no other writer on any host has: time, host, process and a random
                number.
            options: arguments of `StreamStore`, such as `retain_rows` or `sync_seconds`, which are
                for this store alone. Its fields are those of the group.

        Returns:
            A StreamStore.

        Raises:
            ValueError: `name` is not a name of a directory or begins with a dot, or the store of
                that name has other fields.
            TypeError: an option is not one of `StreamStore`.
            LockedError: another writer has the store open.

        Examples:
            >>> group = StoreGroup("runs", fields={"reward": "float32"})
            >>> with group.writer(retain_rows=1000) as store:
            ...     store.append_step({"reward": 1.0})
            0
        """
        fixed = [option for option in _FIXED if option in options]
        if fixed:
            raise TypeError(f"writer: {fixed[0]} is given by the group; leave it out")
        if name is None:
            options.setdefault("mode", "x")
        elif not name or not isinstance(name, str):
            raise ValueError(f"writer: name must be a str that is not empty, not {name!r}")
        store = StreamStore(self._core.store_path(name or ""), **options)
        try:
            specs = declared_fields(self._holder).specs
            if store.fields:
                _require_fields(store, self._holder)
            else:
                store._define_fields(specs)
        except BaseException:
            store.close()
            raise
        return store

    # --- all rows ---

    def to_dataset(
        self,
        split: str | None = None,
        *,
        step_column: str | None = None,
        store_column: str | None = None,
    ) -> Any:
        """Write the rows of all stores as one `datasets.Dataset`, store by store, by name.

        Args:
            split: name of the split.
            step_column: as for `StreamStore.to_dataset`.
            store_column: name of a last string column with the name of the store; None leaves it
                out.

        Returns:
            A `datasets.Dataset`.

        Cost:
            That of `StreamStore.to_dataset` for each store; a store that has not changed since is
            not written again.

        Raises:
            ImportError: `datasets` is not installed.
            ValueError: an argument is not valid.
            OSError: there is no space for the files.

        Examples:
            >>> group = StoreGroup("runs", fields={"reward": "float32"})
            >>> for name in ("a", "b"):
            ...     with group.writer(name) as store:
            ...         rows = store.extend({"reward": [1.0, 2.0]})
            >>> group.to_dataset(store_column="store")[2]
            {'reward': 1.0, 'store': 'b'}
        """
        from ._exchange.group import group_to_dataset

        self.refresh()
        return group_to_dataset(self, self._holder, split, step_column, store_column)

    def verify(self, *, progress: Progress | None = None) -> dict[str, VerifyReport]:
        """Check every byte of every store, also of those that are left out.

        Args:
            progress: as for `stream_store.verify`, called for one store after the other.

        Returns:
            A report for each name.

        Examples:
            >>> group = StoreGroup("runs", fields={"reward": "float32"})
            >>> group.writer("a").close()
            >>> {name: report.ok for name, report in group.verify().items()}
            {'a': True}
        """
        from .reports import verify

        self.refresh()
        names = sorted({*self, *self.skipped})
        return {name: verify(self._path / name, progress=progress) for name in names}

    # --- protocols ---

    def close(self) -> None:
        """Release the group. Stores, writers and samplers that were made of it stay open.

        Examples:
            >>> group = StoreGroup("runs", fields={"reward": "float32"})
            >>> group.close()
        """
        self._holder.close()

    def __repr__(self) -> str:
        stores = len(self)
        count = f"{stores:,} {'store' if stores == 1 else 'stores'}"
        left_out = f", {len(self.skipped)} left out" if self.skipped else ""
        return f"<StoreGroup {str(self._path)!r}: {count}, {self.kept_rows:,} rows{left_out}>"

    def _repr_html_(self) -> str:
        """A table for notebooks: the stores with their rows."""
        from ._view.notebook import group_table

        return group_table(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), str(self._path), dict(self._options))


def is_group(path: Path) -> bool:
    """Whether the path is a directory of stores, and not a store."""
    if (path / "control").exists() or not path.is_dir():
        return False
    return (path / ".group").exists() or any(path.glob("[!.]*/control"))


def _reopen(kind: type[StoreGroup], path: str, options: dict[str, Any]) -> StoreGroup:
    """The group that a pickled one becomes."""
    return kind(path, **options)


def _require_fields(store: StreamStore, group: StreamStore) -> None:
    """Refuse a store whose first fields are not those of the group."""
    wanted = declared_fields(group).specs
    found = declared_fields(store).specs[: len(wanted)]
    text = difference(wanted, found)
    if text is not None:
        raise ValueError(f"{store._path}: the store has other fields than the group: {text}")
