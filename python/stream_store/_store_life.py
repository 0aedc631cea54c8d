"""Views of a store, the end of its rows and its own, and Python's protocols.

`StreamStore` inherits from StoreLife; see store.py.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

from . import _arguments, _core
from ._closing import ClosedByWith
from ._fields import declared_fields
from ._repr import represent
from ._retention import Retention, retention_of
from ._store_pictures import StorePictures

if TYPE_CHECKING:
    from typing_extensions import Self


class StoreLife(StorePictures, ClosedByWith):
    """A base class of StreamStore."""

    _absolute: str | None = None  # the path, for pickling

    # --- views ---

    def rows(self, start: int | None = None, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over rows [start, stop) of a snapshot, each as `row` returns it.

        Args:
            start: first row, the first retained one by default; negative numbers count from the end
            stop: row to stop before; None is the end.

        Returns:
            An iterator, which stays valid after `close`.

        Raises:
            DroppedError: `start` names a row that was dropped.
            ValueError: the store is closed.

        Examples:
            >>> store = StreamStore(fields={"text": "string"})
            >>> store.extend({"text": ["a", "b", "c"]})
            3
            >>> [row["text"] for row in store.rows(start=-2)]
            ['b', 'c']
        """
        if not self.fields:
            return iter(())
        view = self.snapshot()
        fields = declared_fields(view)
        numbers = range(*_arguments.row_range(view, start, stop))
        return (fields.collect(view._decode_row(number)) for number in numbers)

    def snapshot(self, num_rows: int | None = None) -> Self:
        """Make a read-only view of the first rows. Nothing is copied.

        Args:
            num_rows: the number of rows, not negative; None takes all current rows.

        Returns:
            A store that stays as it is when this one grows, is cleared or is closed.

        Raises:
            IndexError: the store has fewer rows.
            DroppedError: rows from `num_rows` on were dropped.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0, 3.0]})
            3
            >>> store.snapshot(2).num_rows
            2
        """
        if num_rows is not None and not 0 <= (num_rows := operator.index(num_rows)) < 2**63:
            raise IndexError(f"a snapshot of {num_rows} rows: expected [0, {self.num_rows}]")
        view = type(self).__new__(type(self))
        _core.Store.__init__(view, self, num_rows)
        view._absolute = self._absolute
        return view

    # --- dropping and removing rows ---

    @property
    def retention(self) -> Retention:
        """What the store retains, a `Retention`: the limits that its writer has set."""
        return retention_of(self)

    @property
    def held_bytes(self) -> int:
        """Disk space of dropped rows that readers still hold, in bytes.

        It is free again after the next call on each of them, or when they are closed. Readers in
        processes of other users are not counted. Looks at the mappings of all processes.
        """
        from ._held import directory_of, held_by_readers

        return held_by_readers(directory_of(self)).bytes if self.first_row else 0

    def drop_before(self, row: SupportsIndex) -> int:
        """Drop all rows before `row`, at the front of the store.

        Their disk space is free again, in whole chunks. Rows and positions keep their numbers:
        `first_row` and `first_position` tell where the rest begins. Readers, snapshots and samplers
        keep the rows that they see until their next call; a row that is gone then raises
        `DroppedError`. An epoch of a sampler keeps its rows until it ends.

        Args:
            row: in [first_row, num_rows); `first_row` drops nothing. The last row is always
                retained. A negative number does not count from the end here, because a wrong
                difference would drop nearly all rows.

        Returns:
            The number of rows dropped.

        Cost:
            A look at each dropped record and a small sync; a sync of all data if the rows are not
            durable yet. A temporary store is not synced.

        Raises:
            DroppedError: rows from `row` on were dropped already.
            IndexError: `row` is negative, or the store does not have it.
            RuntimeError: no fields are declared.
            io.UnsupportedOperation: the store was not opened for writing.
            OSError: the store cannot be synced. Appending has ended.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0, 3.0]})
            3
            >>> store.drop_before(2)
            2
            >>> store.first_row, store.num_rows, store.kept_rows
            (2, 3, 1)
        """
        row = operator.index(row)
        if not 0 <= row < 2**63:
            self._require_writable("drop_before")
            raise IndexError(
                f"drop_before row {row}: expected a row in [{self.first_row}, {self.num_rows})"
            )
        return super().drop_before(row)

    def clear(self) -> None:
        """Remove all rows of a temporary store. Its fields stay.

        Raises:
            io.UnsupportedOperation: the store is persistent, or was not opened for writing.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.append_step({"reward": 1.0})
            0
            >>> store.clear()
            >>> store.num_rows
            0
        """
        super().clear()

    def truncate(self, num_rows: SupportsIndex) -> int:
        """Remove all rows from `num_rows` on, at the end of the store.

        For example, to return to the rows that a model checkpoint has seen, or to discard the last
        take. The step of the next row may be any that is greater than the last one kept.

        Every reader from before raises `stream_store.Error` from then on: stores opened with mode
        "r", snapshots, and samplers of either, here and in other processes. Open them again. This
        store continues with `num_rows` rows, and so do its own samplers; one in the middle of an
        epoch raises, because its epoch has lost rows.

        Args:
            num_rows: in [0, store.num_rows]; `store.num_rows` removes nothing.

        Returns:
            The number of rows removed. After a crash during the call, either all rows are left that
            a crash would leave otherwise, or exactly `num_rows`.

        Cost:
            A few syncs, and a look at each removed record. The space of the rows is used by later
            appends; the files of the store never become shorter after a truncation.

        Raises:
            IndexError: `num_rows` is negative or greater than the number of rows.
            RuntimeError: no fields are declared, or an import is running.
            io.UnsupportedOperation: the store was not opened for writing.
            OSError: the store cannot be synced. Appending has ended.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0, 3.0]})
            3
            >>> store.truncate(1)
            2
            >>> store.num_rows
            1
        """
        num_rows = operator.index(num_rows)
        if not 0 <= num_rows < 2**63:
            self._require_writable("truncate")
            raise IndexError(f"truncate to {num_rows} rows: expected [0, {self.num_rows}]")
        return super().truncate(num_rows)

    # --- protocols of Python ---

    def _where(self) -> str:
        """The path, for messages."""
        return "a temporary store" if self._path is None else repr(self._path)

    def __iter__(self) -> NoReturn:
        """Raises TypeError, because rows and values could both be meant."""
        raise TypeError(
            "a StreamStore is not iterable: rows() iterates over rows, store[:] reads all values"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(
            f"{item!r} in store: use store.fields, store[:]['values'] or rows() instead"
        )

    def __repr__(self) -> str:
        return represent(self)

    def __enter__(self) -> Self:
        if self.closed:
            raise ValueError(f"{self._where()}: the store is closed")
        return self
