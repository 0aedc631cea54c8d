"""WindowSampler: seeded, resumable sampling of windows for learning.

The C++ side (`_core.Sampler`) chooses and reads the windows. This file has the arguments, the
iteration and the state. Examples assume ``import numpy as np`` and
``from stream_store import StreamStore, WindowSampler``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _arguments, _core
from ._fields import declared_fields, require_equal_fields
from ._iteration import Batches, PrefetchedBatches
from ._priority_sampling import PrioritySampling
from ._sampler_options import (
    check_state_options,
    core_options,
    sampler_arguments,
    sampler_options,
    state_options,
)
from ._types import Batch
from .group import StoreGroup
from .store import StreamStore

if TYPE_CHECKING:
    import numpy.typing as npt

    from .priorities import Priorities

#: The largest number of batches that prefetch() reads ahead. Drawing them cannot be interrupted.
_MOST_AHEAD = 65_536

#: Version of state_dict(). load_state_dict() refuses other versions.
STATE_VERSION = 1


class WindowSampler(PrioritySampling):
    """Draws batches of windows from one store, or from several stores with equal fields.

    Args:
        store: a StreamStore, or a list of them (one per environment or actor) whose valid starts
            are numbered together. Batches of a list have "_store", the index of each window's
            store.
        length: values or rows in each window. To be left out with `offsets`. With `whole_segments`,
            the most rows of a segment, to which windows are padded.
        unit: "value" gives batches as `windows()` returns them, arrays of shape (batch, length).
            "row" gives decoded rows as `read_rows()` returns them, complete rows only, and
            "_valid" (batch, length) bool, False where a window extends past its segment; values
            there are 0 and `_mask` is False. Beside it are "_row" (batch, length) int64, the row of
            each place, -1 for padding; "_index" (batch,) int64, which identifies the store and the
            anchor of a window permanently; and "_segment" (batch, 3) int64, the first row of the
            anchor's segment, the row after its last one, and 1 if it has ended. The anchor is the
            first row of a window, with pad "left" the last one. The default is "row" if one of the
            arguments from `lane_by` to `whole_segments` is given, else "value".
        align: with unit "value", "row" starts windows at the first value of a row only.
        batch_size: windows in each batch.
        replacement: True draws endlessly and uniformly from all valid starts of the current rows.
            False gives, in each iteration, every valid start of the store as it was when the
            iteration began, exactly once and in random order.
        seed: together with the epoch and the set of valid starts, determines all random choices.
        segment_by: name of an int field, where a new value begins a segment and a missing value
            repeats the previous one; or of one or several bool fields, true on the last row of a
            segment and false where missing. No window crosses segments; segments shorter than
            `length` are skipped.
        pad: with unit "row", "right" lets windows start at every row and pads them after the end of
            their segment; "left" lets them end at every row and pads before its start.
        lanes: with unit "row", the number of environments whose rows alternate: row r belongs to
            lane r mod lanes, and a window takes the rows of one lane. With an int
            `segment_by`, rows of a lane that alternate between two values (4, 7, 4, 7) are refused:
            they are those of two environments.
        lane_by: names of int fields, in place of `lanes`: rows with equal values are one lane, in
            their order. Lanes may appear and end at any time; rows without the field are a lane,
            too. Like all arguments from here to `whole_segments`, it is for windows of rows.
        where: name of a bool field. Rows where it is False or missing are in no window, and end
            their segment.
        exclude: int array (n, 2) of rows [begin, end), sorted and not overlapping, which are in no
            window, and end their segment.
        require: names of fields that the anchor must have.
        offsets: for each field that is read, the rows of a window relative to its anchor, counted
            along the lane: {"obs": [-3, -2, -1, 0], "action": range(16)}. Arrays have shape (batch,
            number of offsets), "_valid" is a dict of bool arrays, one for each field, "_row" and
            "_step" (batch,) are those of the anchors.
        outside: what is done where offsets lead outside the segment: "skip" does not sample such
            anchors, "edge" repeats the nearest row of the segment, "zero" fills with zeros, and
            "shift" moves the anchor and its whole window inside; segments that have no room for
            both are skipped.
        seconds: in place of `offsets`, for each field the times of its rows in seconds relative to
            that of the anchor: {"obs": [-0.1, 0.0], "action": np.arange(16) / 50}. The row of the
            segment whose time is nearest is taken, the earlier of two. It is outside if it is
            further away than `tolerance`; "shift" is for `offsets` only.
        time_field: with `seconds`, the name of the field with the time of each row: a float in
            seconds, a timestamp or a duration, at most 146 years from 0 or 1970. Times must not
            fall within a segment.
        tolerance: with `seconds`, in seconds. The default is that of LeRobot's `delta_timestamps`.
            Like `seconds`, it is at most 104 days.
        whole_segments: each window is a whole segment that has ended, padded to the longest one of
            the batch, or to `length`; longer segments are not sampled then. What is left of a
            segment whose first rows were dropped counts as a segment.
        priorities: a `Priorities`: windows are drawn by priority, batches also have "_weight"
            (batch,) float32 and "_probability" (batch,) float64, and `update` changes priorities.
            For windows of rows, drawn with replacement. Each rank then draws from its own share of
            the windows.
        rows: (start, stop) limits the rows of the anchors. None is open, and a negative number
            counts from the current end.
        columns: with unit "value", the columns of `windows()`.
        fields: with unit "row", the fields of `read_rows()`: names of structs, which become nested
            dicts, or of single leaves.
        max_length: with unit "row", as for `read_rows()`.
        rank: number of this process among `world_size` processes. Without replacement, the ranks
            share an epoch disjointly; with it, each draws its own sequence.
        world_size: number of processes.
        drop_last: give whole batches only, and equally many to every rank.

    Cost:
        Choosing 256 windows takes a few microseconds, whatever the size of the store. Segments take
        16 bytes each, shared by all samplers of a store; each new row is scanned once.

    Raises:
        ValueError: an argument is not valid; the message has the accepted values.
        TypeError: `store` is neither a StreamStore nor a list of them.

    Examples:
        >>> store = StreamStore(fields={"obs": "float32[2]", "done": "bool"})
        >>> store.extend({"obs": np.ones((8, 2)), "done": [False, False, False, True] * 2})
        8
        >>> sampler = WindowSampler(store, 3, unit="row", batch_size=16, segment_by="done")
        >>> sampler.num_starts
        4
        >>> sampler.sample()["obs"].shape
        (16, 3, 2)
    """

    def __init__(
        self,
        store: StreamStore | Sequence[StreamStore] | StoreGroup,
        length: int | None = None,
        *,
        unit: Literal["value", "row"] | None = None,
        align: Literal["any", "row"] = "any",
        batch_size: int = 1,
        replacement: bool = True,
        seed: int = 0,
        segment_by: str | Sequence[str] | None = None,
        pad: Literal["right", "left"] | None = None,
        lanes: int = 1,
        lane_by: str | Sequence[str] | None = None,
        where: str | None = None,
        exclude: npt.ArrayLike | None = None,
        require: str | Sequence[str] | None = None,
        offsets: Mapping[str, Iterable[int]] | None = None,
        outside: Literal["skip", "edge", "zero", "shift"] = "skip",
        seconds: Mapping[str, Iterable[float]] | None = None,
        time_field: str | None = None,
        tolerance: float = 1e-4,
        whole_segments: bool = False,
        priorities: Priorities | None = None,
        rows: tuple[int | None, int | None] | None = None,
        columns: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        max_length: Mapping[str, Any] | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
    ) -> None:
        arguments = dict(locals())
        self._group = store if isinstance(store, StoreGroup) else None
        self._stores, with_stores = _list_stores(store)
        self._options = sampler_options(arguments)
        self._options["with_stores"] = with_stores
        group = None if self._group is None else self._group._core
        self._core = _core.Sampler(self._stores, group, core_options(self._options))
        # A copy in another process may find more fields.
        if self._options["unit"] == "row" and self._options["fields"] is None:
            self._options["fields"] = declared_fields(self._stores[0]).outer_names

    # --- batches ---

    def sample(self) -> Batch:
        """Draw one batch with replacement: the next of the sampler's one sequence.

        During a `prefetch` it is the first batch that was read ahead, which the iterator then does
        not return, and which was chosen from the rows of that moment.

        Returns:
            A dict of arrays that own their memory.

        Raises:
            ValueError: the sampler is without replacement, or there is no valid start.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(100)})
            >>> WindowSampler(store, 4, batch_size=32).sample()["values"].shape
            (32, 4)
        """
        return self._core.sample()

    def read(self, index: npt.ArrayLike) -> Batch:
        """Read chosen windows of rows, in the order asked.

        Args:
            index: int array (n,), "_index" of batches of this sampler or of one with the same
                windows; may have repeats. With replacement, they must be valid windows of the rows
                that are stored now; without, windows of the last epoch that was begun.

        Returns:
            A batch of n windows as that of `sample`, without "_weight" and "_probability".

        Raises:
            IndexError: an index is not that of a window of this sampler; the message names it.
            DroppedError: the rows of an index were dropped.
            ValueError: `index` is not an array of ints with one dimension, or the windows are of
                values.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32"})
            >>> rows = store.extend({"obs": np.arange(100)})
            >>> sampler = WindowSampler(store, 4, unit="row", batch_size=8)
            >>> batch = sampler.sample()
            >>> bool((sampler.read(batch["_index"])["obs"] == batch["obs"]).all())
            True
        """
        expected = "index must be an int array with one dimension"
        return self._core.read_indices(_arguments.index_vector(index, expected, ValueError))

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over batches: endlessly with replacement, else over the next epoch.

        Directly after `load_state_dict`, the iteration continues where the state was taken.

        With replacement, all iterators, prefetches and calls of `sample` take the batches of one
        sequence in turn, in any mixture and from any thread; `load_state_dict` and `set_epoch` move
        all of them. Without replacement, the sampler is in one epoch at a time.

        Raises:
            RuntimeError: by the iterator, if it is without replacement, and a newer one was begun,
                or `load_state_dict` or `set_epoch` was called, before it had ended.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(10)})
            >>> [len(batch["values"]) for batch in WindowSampler(
            ...     store, 1, batch_size=4, replacement=False)]
            [4, 4, 2]
        """
        return Batches(self._core)

    def prefetch(self, ahead: int = 2) -> PrefetchedBatches:
        """Iterate as `iter` does, while a C++ thread reads batches ahead.

        `state_dict` counts only batches that were handed out. Batches that were read ahead are
        drawn again after the iterator is closed.

        With replacement, a batch is drawn from the rows that are stored when it is read ahead, up
        to `ahead` batches before it is returned. What is said at `iter` holds for it, too. If
        several prefetches are open, the newest reads ahead for all of them.

        Args:
            ahead: the number of batches to read ahead, from 1 to 65,536. All of them are chosen,
                and their memory is allocated, before the first is returned.

        Returns:
            An iterator. To end it early, use it in a `with` block or call its `close`.

        Raises:
            ValueError: `ahead` is below 1 or above 65,536.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(10)})
            >>> with WindowSampler(store, 4, batch_size=8).prefetch() as batches:
            ...     next(batches)["values"].shape
            (8, 4)
        """
        return PrefetchedBatches(self._core, _arguments.integer("ahead", ahead, 1, _MOST_AHEAD + 1))

    def __len__(self) -> int:
        """Number of batches of this rank in the current epoch, or in one that begins now.

        Raises:
            TypeError: sampling with replacement has no end.
        """
        if self._options["replacement"]:
            raise TypeError("a WindowSampler with replacement=True is endless: it has no len()")
        return self._core.epoch_batches()

    def __bool__(self) -> bool:
        return True  # without this, bool() would call len()

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration epoch number `epoch`, from its beginning.

        The order of an epoch without replacement depends on seed and number only. With replacement,
        each number has its own sequence of batches.

        Args:
            epoch: int in [0, 2**22).

        Raises:
            ValueError: `epoch` is out of range.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(100)})
            >>> sampler = WindowSampler(store, 4, batch_size=8, replacement=False)
            >>> sampler.set_epoch(3)
            >>> sampler.state_dict()["epoch"]
            3
        """
        self._go_to_epoch(_arguments.epoch_number(epoch))

    def _go_to_epoch(self, epoch: int) -> None:
        """As `set_epoch`, without its upper limit: automatically counted epochs may exceed it."""
        begun: dict[str, Any] = {"epoch": epoch, "batches": 0, "finished": 0}
        begun |= {"rows": [], "values": [], "tails": [], "first_rows": []}
        if self._options["replacement"]:
            begun["batches"] = epoch << 40
        self._core.restore({**self._core.state(), **begun})

    # --- facts ---

    @property
    def num_starts(self) -> int:
        """Number of valid starts in the current rows."""
        return self._core.num_starts()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is a valid start.

        Args:
            timeout: seconds; None waits without a limit.

        Returns:
            Whether there is a valid start.

        Raises:
            ValueError: `timeout` is negative.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> WindowSampler(store, 4).wait(timeout=0.01)
            False
        """
        return self._core.wait(_arguments.timeout_seconds(timeout))

    def __repr__(self) -> str:
        default = {
            "unit": "value",
            "align": "any",
            "replacement": True,
            "lanes": 1,
            "batch_size": 1,
        }
        shown = [repr(self._options["length"])]
        for name in ("unit", "align", "batch_size", "replacement", "segment_by", "pad", "lanes"):
            value = self._options[name]
            if value and value != default.get(name):
                shown.append(f"{name}={value!r}")
        if not self._options["replacement"]:
            shown.append("replacement=False")
        path = self._stores[0].path
        of = "a temporary store" if path is None else repr(str(path))
        if self._group is not None:
            of = repr(self._group)
        elif self._options["with_stores"]:
            of = f"{len(self._stores)} stores"
        return f"<WindowSampler {', '.join(shown)} of {of}>"

    # --- resuming ---

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings and lists of them.

        It counts the batches that were handed out. A sampler with the same arguments goes on after
        them, also in another process. Every rank that has handed out equally many can load it.

        Without replacement, the rest of the epoch is the same after the store has grown. With it,
        the next batch is drawn with the same random numbers from the rows that are stored then, as
        by a sampler that does not read ahead. So it is the same batch if these rows are the same; a
        sampler of `store.snapshot(n)` can repeat its batches after the store has grown.

        Returns:
            A dict that `load_state_dict` accepts.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(100)})
            >>> sampler = WindowSampler(store, 4, batch_size=8, seed=5)
            >>> state = sampler.state_dict()
            >>> batch = sampler.sample()
            >>> sampler.load_state_dict(state)
            >>> bool((sampler.sample()["values"] == batch["values"]).all())
            True
        """
        return {
            "version": STATE_VERSION,
            **self._core.state(),
            **state_options(self._options),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, with its seed.

        Args:
            state: the state of a sampler with the same arguments, over this store or over the
                store that this one is a checkpoint of. A checkpoint must have all rows that the
                state saw.

        Raises:
            ValueError: the state is of another store, version or kind of sampler, or of rows that
                this checkpoint does not have. The sampler is not changed then.

        Examples:
            >>> store = StreamStore(fields={"action": "int64"})
            >>> rows = store.extend({"action": np.arange(100)})
            >>> first = WindowSampler(store, 4, batch_size=8, seed=5)
            >>> second = WindowSampler(store, 4, batch_size=8)
            >>> second.load_state_dict(first.state_dict())
            >>> bool((first.sample()["values"] == second.sample()["values"]).all())
            True
        """
        if not isinstance(state, Mapping):
            raise ValueError(f"load_state_dict: expected a state_dict() but found {state!r}")
        version = state.get("version")
        if version != STATE_VERSION:
            raise ValueError(
                f"load_state_dict: expected version {STATE_VERSION} of the state but found "
                f"{version!r}"
            )
        check_state_options(state, self._options)
        self._core.restore(dict(state))
        self._options["seed"] = state["seed"]

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.state_dict()
        return _rebuild, (
            type(self),
            self._given(),
            self._arguments(),
            state,
            self._read_priorities(),
        )

    def _given(self) -> Any:
        """The first argument that makes a sampler like this one."""
        if self._group is not None:
            return self._group
        return self._stores if self._options["with_stores"] else self._stores[0]

    def _arguments(self) -> dict[str, Any]:
        """The keyword arguments that make a sampler like this one."""
        return sampler_arguments(self._options)


def _rebuild(
    kind: type[WindowSampler],
    stores: Any,
    arguments: dict[str, Any],
    state: dict[str, Any],
    priorities: list[tuple[int, npt.NDArray[np.float64]]],
) -> WindowSampler:
    """The sampler that a pickled one becomes."""
    sampler = kind(stores, **arguments)
    sampler.load_state_dict(state)
    sampler._set_priorities(priorities)
    return sampler


def _list_stores(store: Any) -> tuple[list[StreamStore], bool]:
    """The stores, and whether there may be several. For a group, a store that has its fields."""
    if isinstance(store, StreamStore):
        return [store], False
    if isinstance(store, StoreGroup):
        return [store._holder.snapshot(store._holder.first_row)], True
    expected = "store must be a StreamStore, a list of them or a StoreGroup"
    if isinstance(store, (str, bytes)) or not isinstance(store, Iterable):
        raise TypeError(f"{expected}, not {store!r}")
    stores = list(store)
    for one in stores:
        if not isinstance(one, StreamStore):
            raise TypeError(f"{expected}; {one!r} is not one")
    if not stores:
        raise ValueError("store must be a StreamStore or a list of at least one, found []")
    return require_equal_fields(stores), True
