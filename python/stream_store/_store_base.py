"""StoreBase: the methods of StreamStore that hardly do more than pass on to the core.

nanobind's functions have no signature that `inspect` can read, so each public one that is not
called in loops has a method here, which costs about 0.1 µs a call. append, append_step, extend,
windows, read_rows and store[...] are called in loops; StreamStore inherits them unchanged.

Examples assume ``import numpy as np`` and ``from stream_store import StreamStore``.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _core
from ._fields import declared_fields
from ._times import comparable_times
from ._types import AnyPath, Fields, Int, IntArray, Ints, Progress, Side
from .features import parse_fields

if TYPE_CHECKING:
    from pathlib import Path

    from .reports import VerifyReport


class StoreBase(_core.Store):
    """The base class of StreamStore."""

    # --- facts ---

    @property
    def path(self) -> Path | None:
        """Directory of the store; None for a temporary store."""
        from pathlib import Path  # here, because it imports many others

        return None if self._path is None else Path(self._path)

    @property
    def features(self) -> dict[str, Any]:
        """The declared features as a `datasets.Features`; a struct has its outer name.

        Raises:
            ImportError: `datasets` is not installed.
        """
        return declared_fields(self).features()

    @property
    def field_to_type(self) -> Mapping[str, int]:
        """Type id of each field, a read-only mapping of name to int."""
        return MappingProxyType({name: type_id for type_id, name in self.type_to_field.items()})

    @property
    def type_to_field(self) -> Mapping[int, str]:
        """Name of each field, a read-only mapping of type id to str."""
        specs = declared_fields(self).specs if self.fields else []
        return MappingProxyType(
            {type_id: spec.name for type_id, spec in enumerate(specs) if not spec.hidden}
        )

    # --- fields ---

    def add_fields(
        self,
        fields: Fields,
        field_features: Mapping[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Add fields after those that the store has. Rows that exist lack them.

        Type ids and rows stay as they are. Other processes that read the store see the new fields
        with their next read, without opening it again. Snapshots, samplers, iterators, Arrow
        streams and datasets of torch that exist already continue with the fields they know. In a
        store without fields, this is `define_fields`.

        Args:
            fields: as for `define_fields`: names, or a mapping of name to feature.
            field_features: as for `define_fields`.

        Cost:
            A small file is written and synced; no row is touched.

        Raises:
            ValueError: a field exists already, there are no fields, or as for `define_fields`.
            RuntimeError: an import is running.
            io.UnsupportedOperation: the store was not opened for writing.
            OSError: the disk reported an error. Appending may have ended, as after a failed `sync`.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.append_step({"reward": 1.0})
            0
            >>> store.add_fields({"note": "string"})
            >>> store.append_step({"reward": 2.0, "note": "better"})
            1
            >>> [row["note"] for row in store.rows()]
            [None, 'better']
        """
        self._require_writable("add_fields")
        self._add_fields(parse_fields(fields, field_features))

    # --- reading ---

    def row(self, i: int) -> dict[str, Any]:
        """Read one row as a dict.

        Args:
            i: in [first_row, num_rows); a negative number counts from the end.

        Returns:
            {field: value}, None where missing. Scalar fields give NumPy scalars, str, bytes or
            Decimal, lists 1-D arrays, array fields arrays of their shape, structs dicts. The cells
            of nested fields are built-in objects: dict, list, str, bytes, int, float, bool and
            None; a list of (key, value) for a map; NumPy scalars for dates and times; Decimal.

        Raises:
            IndexError: the row is out of range.
            DroppedError: the row was dropped.
            TypeError: `i` is not an int, or is a bool.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[]", "text": "string"})
            >>> store.append_step({"obs": [0.5, 1.5]})
            0
            >>> store.row(-1)
            {'obs': array([0.5, 1.5], dtype=float32), 'text': None}
        """
        if isinstance(i, bool):
            raise TypeError("row: i must be an int, not a bool")
        i = operator.index(i)
        if i < 0 or i >= 2**63:
            rows = self.num_rows
            if not -rows <= i < rows:
                raise IndexError(f"row {i} is outside [{-rows}, {rows})")
            i += rows
        return declared_fields(self).collect(self._decode_row(i))

    @overload
    def row_of(self, positions: Int) -> np.int64: ...
    @overload
    def row_of(self, positions: IntArray) -> NDArray[np.int64]: ...
    def row_of(self, positions: Ints) -> np.int64 | NDArray[np.int64]:
        """Find the row that contains each position.

        Args:
            positions: int, list or int array of any shape ``S``; each in
                [first_position, len(store)).

        Returns:
            Row numbers, int64 of shape ``S``.

        Cost:
            One look-up per position, whatever the size of the store.

        Raises:
            IndexError: a position is out of range; negative ones always are.
            DroppedError: a position was dropped.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[]"})
            >>> store.extend({"obs": [[1, 2, 3], [4]]})
            2
            >>> store.row_of([0, 2, 3])
            array([0, 0, 1])
        """
        return super().row_of(positions)  # type: ignore[no-any-return]

    @overload
    def position_of(self, rows: Int) -> np.int64: ...
    @overload
    def position_of(self, rows: IntArray | slice) -> NDArray[np.int64]: ...
    def position_of(self, rows: Ints | slice) -> np.int64 | NDArray[np.int64]:
        """Find the first position of each row.

        Args:
            rows: int, list or int array of any shape ``S``, or a slice, as for `read_rows`. Each is
                in [first_row, num_rows); a negative number counts from num_rows.

        Returns:
            Positions, int64 of shape ``S``. The position of an empty row is that of the next row.

        Raises:
            IndexError: a row is out of range.
            DroppedError: a row was dropped.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[]"})
            >>> store.extend({"obs": [[1, 2, 3], [4]]})
            2
            >>> store.position_of([0, 1])
            array([0, 3])
            >>> store.position_of(slice(-1, None))
            array([3])
        """
        return super().position_of(rows)  # type: ignore[no-any-return]

    @overload
    def row_at(self, steps: Int, side: Side = "left") -> np.int64: ...
    @overload
    def row_at(self, steps: IntArray, side: Side = "left") -> NDArray[np.int64]: ...
    @overload
    def row_at(self, steps: Any, side: Side = "left", *, field: str) -> Any: ...
    def row_at(self, steps: Any, side: Side = "left", *, field: str | None = None) -> Any:
        """Find rows by their step, or by the times in a field, such as a sensor's own clock.

        "left" and "right" are those of `np.searchsorted` over all retained rows. Rows that lack the
        field are skipped. Its values must never decrease from row to row.

        Args:
            steps: int, list or int array of any shape ``S``. With `field`, times: datetime64,
                timedelta64, the objects of `datetime`, or numbers in the unit of the field. They
                may be finer than that unit. Sorted times are found fastest.
            side: "left" finds the first row that is not less than the given step or time, "right"
                the first one that is greater, "backward" the last one that is not greater, and
                "nearest" the nearest one: the earlier of two that are equally near, and the first
                of equal ones.
            field: the name of a field with one number, date, time, timestamp or duration per row.

        Returns:
            Row numbers, int64 of shape ``S``, in [first_row, num_rows]. num_rows stands for no such
            row; reading it raises IndexError. If the store grows, look up and read in one snapshot.

        Cost:
            O(log num_rows) each. With `field`, the first call reads all rows once, and later calls
            the new ones; 16 bytes of memory are kept for each row that has the field.

        Raises:
            ValueError: `side` or `field` is none of these, the store is closed, a time is NaN or
                NaT, or the values of the field decrease: the message names two rows.
            TypeError: the times are of another kind than the field.

        Examples:
            >>> store = StreamStore(fields={"camera_time": "timestamp[ms]"})
            >>> times = np.array(["2024-05-01T12:00:00.000", "2024-05-01T12:00:00.033"], "M8[ms]")
            >>> store.extend({"camera_time": times}, steps=[10, 20])
            2
            >>> store.row_at([10, 15, 99])
            array([0, 1, 2])
            >>> at = np.datetime64("2024-05-01T12:00:00.020")
            >>> store.row_at([at], "backward", field="camera_time")
            array([0])
        """
        if field is None:
            return super().row_at(steps, side)
        times, rests = comparable_times(steps, self._item_dtype(field), field)
        return self._row_at_times(times, rests, field, side)

    def decode(self, values: Ints, field: str) -> NDArray[Any]:
        """Convert raw values to the field's own dtype.

        Args:
            values: int64 array of any shape ``S``, as `windows` and ``store[...]`` return them.
            field: the name of a field.

        Returns:
            A new array of shape ``S``; uint8 for text and bytes.

        Raises:
            ValueError: the field is unknown, or it is packed, nested or decimal: a raw value of
                such a field is not one of its items. Read whole rows instead.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[]"})
            >>> store.append_step({"obs": [0.5, 1.5]})
            0
            >>> store.decode(store[:]["values"], "obs")
            array([0.5, 1.5], dtype=float32)
        """
        return super().decode(values, field)

    def segments(self, by: str | Sequence[str]) -> NDArray[np.int64]:
        """List segments (episodes) as half-open ranges of rows.

        Args:
            by: name of an int field, where a new value begins a segment and a missing value repeats
                the previous one; or of one or several bool fields, true on the last row of a
                segment and false where missing.

        Returns:
            int64 of shape (n, 2): [start, stop) of each segment. The first one begins at first_row,
            and the last one may still grow.

        Raises:
            ValueError: a field is unknown or has another dtype.

        Examples:
            >>> store = StreamStore(fields={"done": "bool"})
            >>> store.extend({"done": [False, True, False, False]})
            4
            >>> store.segments("done")
            array([[0, 2],
                   [2, 4]])
        """
        return super().segments(by)

    def index_table(self, start: int | None = None, stop: int | None = None) -> NDArray[np.void]:
        """List the field-writes of rows [start, stop).

        Args:
            start: first row, the first retained one by default; negative numbers count from the end
            stop: row to stop before; None is the end.

        Returns:
            A structured array with the int64 fields "start" (position), "type" (type id) and
            "step". A field-write ends where the next one starts.

        Raises:
            DroppedError: `start` names a row that was dropped.
            ValueError: the store is closed.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[]", "reward": "float32"})
            >>> store.append_step({"obs": [0.5, 1.5], "reward": 1.0}, step=7)
            7
            >>> store.index_table().tolist()
            [(0, 0, 7), (2, 1, 7)]
        """
        first, last = _arguments.row_range(self, start, stop)
        return self._index_table(None if start is None else first, last)

    # --- safety ---

    def verify(self, *, progress: Progress | None = None) -> VerifyReport:
        """Check every byte of this store, as `stream_store.verify` does.

        Works on a temporary store, and on one that is being written, by this process or another.

        Args:
            progress: called with bytes done and bytes in all; an exception it raises ends the call.

        Returns:
            A report with the findings; damage is not raised.

        Examples:
            >>> StreamStore(fields={"reward": "float32"}).verify().ok
            True
        """
        from .reports import make_report

        return make_report(self._verify(progress), self)

    def checkpoint(
        self, path: AnyPath, *, update: bool = False, progress: Progress | None = None
    ) -> int:
        """Copy the current rows into a store at `path`, verifying every record.

        Appends continue meanwhile. Also works on a temporary store, on one opened with mode "r", on
        a snapshot, and on one whose `sync` failed. Rows and positions keep their numbers, so the
        state of a sampler of this store loads on the copy.

        Args:
            path: a new path, or an empty directory. The copy appears there complete and durable,
                with an id of its own. After an error, nothing is left there.
            update: accept an earlier checkpoint of this store, too. Only the rows and fields that
                it lacks are copied, and it drops the rows that this store has dropped. After an
                error or a crash, it is as it was or up to date. It must be closed, and its rows
                must be the first ones here: rows that were truncated here since then are kept, and
                have to be given up with `truncate` there before it can be updated.
            progress: called with bytes done and bytes in all; an exception it raises ends the call.

        Returns:
            The number of rows copied. With `update=True`, the number of bytes copied, which is 0 if
            nothing is new.

        Raises:
            FileExistsError: `path` is anything but an empty directory, or with `update=True` a
                checkpoint of this store.
            ValueError: the checkpoint has rows that this store does not have.
            LockedError: the checkpoint is open for writing.
            CorruptStoreError: a record is damaged.
            StoreFullError: there is no space.
            OSError: the disk reported an error.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.append_step({"reward": 1.0})
            0
            >>> store.checkpoint("copy")
            1
            >>> store.checkpoint("copy", update=True)  # nothing is new
            0
        """
        return self._checkpoint(_arguments.path_text(path), bool(update), progress)

    # --- waiting and lifetime ---

    def wait(self, num_rows: SupportsIndex, timeout: float | None = None) -> bool:
        """Wait until the store has `num_rows` rows, complete or not.

        Other threads run meanwhile, and Ctrl-C ends it. On a snapshot it returns at once.

        Args:
            num_rows: the number of rows to wait for.
            timeout: seconds; None waits without a limit.

        Returns:
            Whether the store has as many rows.

        Raises:
            Error: recovery removed rows meanwhile; open the store again.
            ValueError: the store is closed, or was closed meanwhile.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.wait(1, timeout=0.01)
            False
        """
        return super().wait(num_rows, timeout)

    def sync(self) -> int:
        """Make all appended rows durable, so that they survive a power cut.

        Appends from other threads continue meanwhile. A temporary store is not changed.

        Returns:
            The number of durable rows.

        Raises:
            OSError: the disk reported an error, or the store is no longer at its path because its
                directory was deleted, moved or replaced. The store then accepts no append or sync
                any more; close it and open it again.
            ValueError: the store is closed.

        Examples:
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> store.append_step({"reward": 1.0})
            0
            >>> store.sync()
            1
        """
        return super().sync()

    def close(self) -> None:
        """Sync the store, trim its files and release it. Further calls do nothing.

        All files, mappings and threads of the store are released. Arrays, snapshots, samplers and
        iterators that still exist stay valid, and keep what they read from until they are deleted.
        All other methods and properties, except repr, `closed`, `path` and `mode`, then raise
        ValueError.

        Raises:
            OSError: the disk reported an error, or the store is no longer at its path; the store is
                closed all the same.

        Examples:
            >>> store = StreamStore("run", fields={"reward": "float32"})
            >>> store.close()
            >>> store.closed
            True
        """
        super().close()
