"""StreamStore: the class users open.

Appends and reads are methods of the C++ base (`_core.Store`, stubs in _core.pyi), so that no Python
frame stands in front of them. Here is what is asked once: opening, declaring, features, rows as
dicts, pickling.
"""

from __future__ import annotations

import atexit
import io
import operator
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._exchange.methods import ExchangeMethods
from ._handover import hand_over, is_spawning
from ._repr import represent
from ._structs import StructTree
from .features import FieldSpec, build_features, difference, parse_fields, same_features
from .reports import AnyPath, Progress, VerifyReport, make_report, path_text

if TYPE_CHECKING:
    from typing_extensions import Self

Fields = Sequence[str] | Mapping[str, Any]

_ROWS_AT_ONCE = 256  # rows() looks this far ahead before it looks at the store again

_open_writers: weakref.WeakSet[StreamStore] = weakref.WeakSet()


class StreamStore(_core.Store, ExchangeMethods):
    """An append-only, memory-mapped store of a stream of steps.

    Args:
        path: directory of the store; None for a temporary one that goes away with the object.
        mode: "a" continues a store or creates one; "x" creates (`FileExistsError` if anything but
            an empty directory is there); "r" reads one and follows what another process appends.
        capacity: growth step in values, not a limit.
        fields: as `define_fields`. For an existing store a list must equal its names, a mapping its
            names and features.
        wait: with mode "r", seconds to wait for the store to appear.
        sync_seconds, sync_bytes: a thread syncs a store that is written when that long has passed,
            or that much was appended, since the last sync; None for not. A failure is final and
            told by the next append or sync. Nothing for temporary stores.
        safe_reads: with mode "r", copy what is read with system calls instead of loading it from
            mappings: slower; for places where others may shorten the files, which would kill us.

    Nothing is on disk until fields are declared; then the directory appears complete.

    Raises:
        ValueError: capacity, mode or fields are wrong, or differ from the store's.
        LockedError: another writer has it. FileNotFoundError: mode "r" and no store.
        CorruptStoreError, VersionError: it cannot be read.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str] | None = None,
        mode: Literal["a", "x", "r"] = "a",
        *,
        capacity: int = 1_000_000,
        fields: Fields | None = None,
        wait: float | None = None,
        sync_seconds: float | None = 30.0,
        sync_bytes: int | None = 1 << 30,
        safe_reads: bool = False,
    ) -> None:
        checked = _checked(path, mode, capacity, wait)
        syncs = _checked_syncs(sync_seconds, sync_bytes)
        if safe_reads and mode != "r":
            raise ValueError(f"safe_reads is for mode='r' only; mode is {mode!r}")
        specs = None if fields is None else parse_fields(fields)
        super().__init__(*checked, (*syncs, bool(safe_reads)))
        self._absolute = None if checked[0] is None else _absolute(checked[0])
        try:
            if mode != "r":
                _open_writers.add(self)
            if specs is not None:
                self._declare(specs, names_only=not isinstance(fields, Mapping))
        except BaseException:
            self.close()
            raise

    # --- fields ---

    def define_fields(
        self,
        fields: Fields,
        field_features: Mapping[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Declare the fields; their type ids are 0, 1, 2, … in order. The store is then on disk.

        Args:
            fields: names, or name -> feature.
            field_features: features for a list of names: a mapping, or a sequence parallel to them.
                Without, a field is a list of int64.

        A feature is a `datasets` feature, a NumPy dtype, a Gymnasium space, or a string such as
        "float32", "float32[]" (a list), "float32[3]", "packed uint8[84,84,4]", "string",
        "timestamp[ns]".

        Raises:
            ValueError: no fields, a "duplicate" name, one that begins with "_", a refused feature.
            RuntimeError: data exists already.
        """
        if self.closed or self.mode == "r":
            self._define_fields([])  # says which
        self._define_fields(parse_fields(fields, field_features))

    def _declare(self, specs: list[FieldSpec], *, names_only: bool) -> None:
        """Fields given when opening: declared, or compared with those of an existing store."""
        if not self.fields:
            if self.mode == "r":
                raise ValueError(f"{self.path}: the store has no fields")
            self._define_fields(specs)
            return
        if names_only:
            names = tuple(dict.fromkeys(spec.path[0] for spec in specs))
            here = tuple(self._tree.children)
            if names != here and tuple(spec.name for spec in specs) != self.fields:
                raise ValueError(
                    f"{self.path}: the store has the fields {', '.join(here)}, "
                    f"not {', '.join(names)}"
                )
        elif not same_features(self._specs, specs):
            raise ValueError(
                f"{self.path}: the store was declared with other fields: "
                f"{difference(self._specs, specs)}"
            )

    @property
    def _specs(self) -> list[FieldSpec]:
        """One FieldSpec per type id, hidden markers last."""
        return cast("list[FieldSpec]", self._meaning()[0])

    @property
    def _tree(self) -> StructTree:
        return cast("StructTree", self._meaning()[1])

    def _meaning(self) -> tuple[Any, ...]:
        # Remembered until the C++ side has read other fields; mode "r" may see them declared anew.
        known = self.__dict__.get("_known")
        if known is not None and known[2] == self._fields_version and not self.closed:
            return cast("tuple[Any, ...]", known)
        arguments = self._field_specs()
        specs = [FieldSpec(*one) for one in arguments]
        known = (specs, StructTree(specs), self._fields_version)
        self.__dict__["_known"] = known
        return known

    @property
    def features(self) -> dict[str, Any]:
        """What was declared, as a `datasets.Features`; a struct stands under its outer name.

        Raises:
            ImportError: `datasets` is not installed.
        """
        return build_features(self._specs)

    @property
    def field_to_type(self) -> Mapping[str, int]:
        """Name -> type id; read-only."""
        return MappingProxyType({name: type_id for type_id, name in enumerate(self.fields)})

    @property
    def type_to_field(self) -> Mapping[int, str]:
        """Type id -> name; read-only."""
        return MappingProxyType(dict(enumerate(self.fields)))

    # --- reading ---

    def row(self, i: int) -> dict[str, Any]:
        """One row: field -> decoded value, None where missing; a struct is a dict of its own.

        Args:
            i: in [-num_rows, num_rows); negative counts from the end.

        Returns:
            NumPy scalars, str, bytes and Decimal for scalar fields; 1-D arrays for lists; arrays in
            the shape of array fields.

        Raises:
            IndexError: there is no such row.
        """
        i = operator.index(i)
        if i < 0 or i >= 2**63:
            rows = self.num_rows
            if not -rows <= i < rows:
                raise IndexError(f"row {i} is outside [-{rows}, {rows})")
            i += rows
        return self._put_together(self._decode_row(i))

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over rows [start, stop), as `row` gives them; by default all there are.

        Negative bounds count from the end, as in a slice. The iterator reads a snapshot, which
        outlives `close`.
        """
        if not self.fields:
            return iter(())
        view = self.snapshot()
        return view._iterate(range(*slice(start, stop).indices(view.num_rows)))

    def _iterate(self, numbers: range) -> Iterator[dict[str, Any]]:
        for number in numbers:
            yield self._put_together(self._decode_row(number))

    def _put_together(self, flat: dict[Any, Any]) -> dict[str, Any]:
        # A store without structs has no hidden fields: its rows are already what they should be.
        tree = self._tree
        return flat if len(tree.names) == len(tree.children) else tree.collect(flat)

    def index_table(self, start: int = 0, stop: int | None = None) -> NDArray[np.void]:
        """The field-writes of rows [start, stop): a structured array (start, type, step) of int64.

        The length of a field-write is the next start minus its own. Negative bounds count from the
        end.
        """
        first, last, _ = slice(start, stop).indices(self.num_rows)
        return self._index_table(first, last)

    def snapshot(self, num_rows: int | None = None) -> StreamStore:
        """A read-only view of fixed length: the first `num_rows` rows, by default all of now.

        Cost: nothing is copied. It stays valid when the store grows, is cleared or closed.

        Raises:
            IndexError: there are not as many rows.
        """
        if num_rows is not None:
            num_rows = operator.index(num_rows)
            if not 0 <= num_rows < 2**63:
                raise IndexError(f"a snapshot of {num_rows} rows: expected [0, {self.num_rows}]")
        view = StreamStore.__new__(StreamStore)
        _core.Store.__init__(view, self, num_rows)
        view._absolute = self._absolute
        return view

    # --- safety ---

    def verify(self, *, progress: Progress | None = None) -> VerifyReport:
        """Look at every byte of this store and say what is wrong, as `stream_store.verify` does.

        Works on a store that is being written, here or elsewhere, and on a temporary one.
        """
        return make_report(self._verify(progress))

    def checkpoint(self, path: AnyPath, *, progress: Progress | None = None) -> int:
        """Copy what is stored now into a store of its own at `path`; return the copy's rows.

        Args:
            path: nothing, or an empty directory. The copy appears there complete, durable and with
                an id of its own; every check in it was proved.
            progress: called now and then with bytes done and bytes in all; what it raises ends it.

        Appends go on meanwhile. Also works on a temporary store, on one opened with mode "r", on a
        snapshot, and on one whose `sync` failed.

        Raises:
            FileExistsError: something is at `path`. CorruptStoreError: a record is not right.
            StoreFullError, OSError: there is no room, or the disk refused. Nothing is left then.
        """
        return self._checkpoint(path_text(path), progress)

    @property
    def path(self) -> Path | None:
        """Directory of the store, None for a temporary one."""
        return None if self._path is None else Path(self._path)

    # --- what a store is to Python ---

    def __iter__(self) -> NoReturn:
        raise TypeError(
            "a StreamStore is not iterated as such: rows() iterates over rows, "
            "store[:] gives all values"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(f"{item!r} in store: look into store.fields, store[:]['values'] or rows()")

    def __repr__(self) -> str:
        return represent(self)

    def __enter__(self) -> Self:
        if self.closed:
            self.sync()  # says so
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.closed:
            raise ValueError(f"{self.path}: a closed store cannot be pickled or copied")
        if self._path is None:
            if is_spawning():
                return hand_over(self)
            raise TypeError(
                "a temporary store lives in this process only and cannot be pickled or copied: "
                "give it a path, StreamStore('some/directory'), and the copy opens that to read"
            )
        if not self.fields:
            raise TypeError(f"{self.path}: declare fields before pickling; nothing is on disk yet")
        rows = self.num_rows if self._is_snapshot else None
        return _reopen, (self._absolute, rows, self._safe_reads)


def _checked(
    path: str | bytes | os.PathLike[str] | None, mode: str, capacity: int, wait: float | None
) -> tuple[str | None, str, int, float]:
    """The arguments of StreamStore, each checked."""
    if path is not None:
        path = os.fsdecode(path)
        if not path:
            raise ValueError("path is empty; None makes a temporary store")
        if "\0" in path:
            raise ValueError(f"path {path!r} has a zero byte, which no file's name can have")
    if mode not in {"a", "x", "r"}:
        raise ValueError(f"mode must be 'a', 'x' or 'r', not {mode!r}")
    if mode == "r" and path is None:
        raise ValueError("mode='r' needs a path: a temporary store has nothing to read")
    _refuse_bool("capacity", capacity, "a positive number of values")
    capacity = operator.index(capacity)
    if not 0 < capacity < 2**63:
        raise ValueError(f"capacity must be a positive number of values, not {capacity}")
    if wait is not None and mode != "r":
        raise ValueError(f"wait is for mode='r' only; mode is {mode!r}")
    seconds = 0.0 if wait is None else float(wait)
    if not seconds >= 0:
        raise ValueError(f"wait must be seconds, 0 or more, not {wait!r}")
    return path, mode, capacity, seconds


def _absolute(path: str) -> str:
    """What Path.absolute() gives, in a tenth of the time: a store opens in 30 µs."""
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH117, PTH118


def _checked_syncs(seconds: float | None, count: int | None) -> tuple[float, int]:
    """When to sync by itself; 0 for never."""
    _refuse_bool("sync_seconds", seconds, "more than 0, or None for never")
    given = 0.0 if seconds is None else float(seconds)
    if seconds is not None and not given > 0:
        raise ValueError(f"sync_seconds must be more than 0, or None for never, not {seconds!r}")
    _refuse_bool("sync_bytes", count, "a positive number, or None for never")
    number = 0 if count is None else operator.index(count)
    if count is not None and not 0 < number < 2**63:
        raise ValueError(f"sync_bytes must be a positive number, or None for never, not {count!r}")
    return given, number


def _refuse_bool(name: str, value: object, expected: str) -> None:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be {expected}, not {value!r}")


def _reopen(path: str, num_rows: int | None, safe_reads: bool = False) -> StreamStore:
    """What a pickled store becomes."""
    store = StreamStore(path, "r", safe_reads=safe_reads)
    if num_rows is None:
        return store
    with store:
        return store.snapshot(num_rows)


@atexit.register
def _close_writers() -> None:
    """A script that ends without close() still leaves a cleanly closed store."""
    for store in list(_open_writers):
        try:
            store.close()
        except (OSError, ValueError, io.UnsupportedOperation):
            continue  # the next open recovers it
