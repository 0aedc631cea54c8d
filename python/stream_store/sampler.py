"""WindowSampler: seeded, resumable sampling of windows for learning.

The windows are chosen and read in C++ (`_core.Sampler`); here are the arguments and the iteration.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from . import _core
from .store import StreamStore

if TYPE_CHECKING:
    from typing_extensions import Self

#: Version of state_dict(); another one is refused.
STATE_VERSION = 1

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "unit": ("value", "row"),
    "align": ("any", "row"),
    "pad": (None, "right", "left"),
}
#: What a state must agree on with the sampler that loads it. Not the rank: ranks that go in step
#: have the same state.
_IN_STATE = (
    *("length", "unit", "align", "batch_size", "replacement", "segment_by", "pad", "lanes"),
    *("first_row", "last_row", "world_size", "drop_last"),
)

Batch = dict[str, Any]


class WindowSampler:
    """Draws batches of windows from one store, or from several of equal fields.

    Args:
        store: a StreamStore, or a list of them (one per environment or actor) whose valid starts
            count together; batches of a list carry "_store", the place of each window's store.
        length: values or rows a window.
        unit: "value": batches as `windows()` gives them, arrays of shape (batch, length). "row":
            decoded rows as `read_rows()` gives them, complete rows only, and "_valid" (batch,
            length) bool, False where a window ran past its segment (there zeros, `_mask` False).
        align: unit "value" only: "row" starts windows at rows only.
        batch_size: windows a batch.
        replacement: True: endless, uniform over all valid starts of what is stored at the moment.
            False: an iteration gives every valid start of the store as it was when it began exactly
            once, in an order of its own.
        seed: decides all that is random, together with the epoch and the set of valid starts.
        segment_by: name of an int field (a new value begins a segment, missing is as before), or of
            one or several bool fields (true on the last row of a segment, missing is False). No
            window crosses segments; those shorter than `length` are skipped.
        pad: unit "row" only: "right" lets windows start at every row and fills what their segment
            lacks; "left" lets them end at every row.
        lanes: unit "row" only: rows of n environments take turns, row r belongs to lane r mod n,
            and a window takes every n-th row.
        rows: (start, stop) limits the rows in which windows start (pad "left": end); None is open,
            and a negative number counts from the live end.
        columns: unit "value": those of `windows()`.
        fields, max_length: unit "row": those of `read_rows()`.
        rank, world_size: without replacement the ranks share an epoch disjointly; with it each
            draws a stream of its own.
        drop_last: whole batches only, and as many for every rank.

    Cost:
        Choosing 256 windows takes a few microseconds, whatever the size of the store. Segments take
        16 bytes each, known once for all samplers of a store; each new row is looked at once.

    Raises:
        ValueError: an argument is wrong; the message has the accepted values.
    """

    def __init__(
        self,
        store: StreamStore | Sequence[StreamStore],
        length: int,
        *,
        unit: Literal["value", "row"] = "value",
        align: Literal["any", "row"] = "any",
        batch_size: int = 1,
        replacement: bool = True,
        seed: int = 0,
        segment_by: str | Sequence[str] | None = None,
        pad: Literal["right", "left"] | None = None,
        lanes: int = 1,
        rows: tuple[int | None, int | None] | None = None,
        columns: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        max_length: Mapping[str, int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
    ) -> None:
        self._stores, with_stores = _list_stores(store)
        first_row, last_row = _row_limits(rows)
        world_size = _int("world_size", world_size, 1)
        self._options: dict[str, Any] = {
            "length": _int("length", length, 1),
            "unit": _choice("unit", unit),
            "align": _choice("align", align),
            "batch_size": _int("batch_size", batch_size, 1),
            "replacement": _bool("replacement", replacement),
            "seed": _int("seed", seed, 0),
            "segment_by": _names("segment_by", segment_by, one=True) or [],
            "pad": _choice("pad", pad),
            "lanes": _int("lanes", lanes, 1),
            "first_row": first_row,
            "last_row": last_row,
            "columns": _names("columns", columns),
            "fields": _names("fields", fields),
            "max_length": _max_length(max_length),
            "rank": _int("rank", rank, 0, world_size),
            "world_size": world_size,
            "drop_last": _bool("drop_last", drop_last),
            "with_stores": with_stores,
        }
        _check_together(self._options)
        self._core = _core.Sampler(self._stores, self._options)

    # --- batches ---

    def sample(self) -> Batch:
        """One batch with replacement.

        Raises:
            ValueError: the sampler is one without replacement, or there is no valid start; the
                message says how many rows there are.
        """
        return self._core.sample()

    def __iter__(self) -> Iterator[Batch]:
        """Iterate: endlessly with replacement, else over the next epoch.

        Right after `load_state_dict` it goes on where the state was taken. A new iterator ends the
        older one.
        """
        return _Batches(self._core)

    def prefetch(self, ahead: int = 2) -> PrefetchedBatches:
        """Iterate as `iter` does, with up to `ahead` batches read beforehand by a thread of C++.

        What was read ahead but not handed out is not counted by `state_dict`, and is drawn again
        when the iterator is closed. Use it in a `with` block, or call `close`, to end it early.
        """
        return PrefetchedBatches(self._core, _int("ahead", ahead, 1))

    def __len__(self) -> int:
        """Batches of this rank in the epoch under way, or in one that began now.

        Raises:
            TypeError: sampling with replacement has no end.
        """
        if self._options["replacement"]:
            raise TypeError("a WindowSampler with replacement=True is endless: it has no len()")
        return self._core.epoch_batches()

    def __bool__(self) -> bool:
        return True  # whatever len() says

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration the one of that number, from its beginning.

        The order of an epoch without replacement depends on seed and number alone. With replacement
        each number stands for a stream of its own.
        """
        self._go_to_epoch(check_epoch(epoch))

    def _go_to_epoch(self, epoch: int) -> None:
        """As set_epoch; also the numbers behind the last one it takes, by which epochs go on."""
        begun = {"epoch": epoch, "batches": 0, "finished": 0, "rows": [], "values": [], "tails": []}
        if self._options["replacement"]:
            begun["batches"] = epoch << 40
        self._core.restore({**self._core.state(), **begun})

    # --- what there is ---

    @property
    def num_starts(self) -> int:
        """Valid starts of what is stored now."""
        return self._core.num_starts()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is a valid start; False after `timeout` seconds."""
        wrong = f"timeout must be seconds, 0 or more, or None, not {timeout!r}"
        try:
            seconds = float("inf") if timeout is None else float(timeout)
        except (TypeError, ValueError) as error:
            raise type(error)(wrong) from None
        if not seconds >= 0:
            raise ValueError(wrong)
        return self._core.wait(seconds)

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
        if self._options["with_stores"]:
            of = f"{len(self._stores)} stores"
        return f"<WindowSampler {', '.join(shown)} of {of}>"

    # --- resuming ---

    def state_dict(self) -> dict[str, Any]:
        """Where this sampler stands: ints, strings and lists of them.

        It counts batches handed out. A sampler with the same arguments continues from it exactly,
        also in another process and after the store has grown. Any rank may load it that has handed
        out as many batches.
        """
        return {
            "version": STATE_VERSION,
            **self._core.state(),
            **{name: _plain(self._options[name]) for name in _IN_STATE},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`; the seed comes with it.

        Raises:
            ValueError: the state is of another store, version or kind of sampler. Nothing changed.
        """
        if not isinstance(state, Mapping):
            raise ValueError(f"load_state_dict: expected a state_dict() but found {state!r}")
        version = state.get("version")
        if version != STATE_VERSION:
            raise ValueError(
                f"load_state_dict: expected version {STATE_VERSION} of the state but found "
                f"{version!r}"
            )
        for name in _IN_STATE:
            mine = _plain(self._options[name])
            if state.get(name) != mine:
                raise ValueError(
                    f"load_state_dict: the state was taken with {name}={state.get(name)!r}, this "
                    f"sampler has {name}={mine!r}"
                )
        self._core.restore(dict(state))
        self._options["seed"] = state["seed"]

    def __reduce__(self) -> tuple[Any, ...]:
        stores = self._stores if self._options["with_stores"] else self._stores[0]
        return _rebuild, (type(self), stores, self._arguments(), self.state_dict())

    def _arguments(self) -> dict[str, Any]:
        """The keyword arguments that make a sampler like this one."""
        arguments = {
            name: value
            for name, value in self._options.items()
            if name not in {"first_row", "last_row", "with_stores"}
        }
        arguments["segment_by"] = arguments["segment_by"] or None
        arguments["rows"] = (self._options["first_row"], self._options["last_row"])
        return arguments


def _rebuild(
    kind: type[WindowSampler], stores: Any, arguments: dict[str, Any], state: dict[str, Any]
) -> WindowSampler:
    """What a pickled sampler becomes."""
    sampler = kind(stores, **arguments)
    sampler.load_state_dict(state)
    return sampler


class _Batches:
    """One iteration; ends when its sampler begins another."""

    def __init__(self, core: _core.Sampler) -> None:
        self._core: _core.Sampler | None = core
        self._iteration = core.begin_iteration()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        core = self._core
        if core is not None and core.iteration == self._iteration:
            batch = core.next_batch()
            if batch is not None:
                return batch
        self._core = None
        raise StopIteration


class PrefetchedBatches:
    """An iteration whose batches are read ahead; made by `WindowSampler.prefetch`."""

    def __init__(self, core: _core.Sampler, ahead: int) -> None:
        self._prefetch = _core.Prefetch(core, ahead)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = self._prefetch.next_batch()
        if batch is None:
            raise StopIteration
        return batch

    def close(self) -> None:
        """End the iteration and its thread. Idempotent."""
        self._prefetch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


# --- arguments ---


def check_epoch(epoch: Any) -> int:
    """The number of an epoch; ValueError if it is none."""
    return _int("epoch", epoch, 0, 2**22)


def _list_stores(store: Any) -> tuple[list[StreamStore], bool]:
    """The stores, and whether they were given as a list."""
    if isinstance(store, StreamStore):
        return [store], False
    if isinstance(store, (str, bytes)) or not isinstance(store, Iterable):
        raise TypeError(f"store must be a StreamStore or a list of them, not {store!r}")
    stores = list(store)
    for one in stores:
        if not isinstance(one, StreamStore):
            raise TypeError(f"store must be a StreamStore or a list of them; {one!r} is none")
    if not stores:
        raise ValueError("store must be a StreamStore or a list of at least one, found []")
    return stores, True


def _int(name: str, value: Any, least: int, end: int = 2**63) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number < end:
        too_large = number is not None and number >= end
        most = f"in [{least}, {end})" if too_large or end != 2**63 else f"{least} or more"
        raise ValueError(f"{name} must be an int, {most}, not {value!r}")
    return number


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in {"bool", "bool_"}:
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _choice(name: str, value: Any) -> Any:
    choices = _CHOICES[name]
    if not any(
        value is choice or (isinstance(value, str) and value == choice) for choice in choices
    ):
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return value


def _names(name: str, value: Any, *, one: bool = False) -> list[str] | None:
    """A list of names; with `one`, a single name will do."""
    if value is None:
        return None
    if isinstance(value, str) and one:
        return [value]
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        single = "a name or " if one else ""
        raise ValueError(f"{name} must be {single}a list of names, not {value!r}")
    names = list(value)
    for item in names:
        if not isinstance(item, str):
            raise ValueError(f"{name} must be names, not {item!r}")
    if not names:
        raise ValueError(f"{name} must name at least one, or be None")
    return names


def _row_limits(rows: Any) -> tuple[int, int | None]:
    if rows is None:
        return 0, None
    wrong = ValueError(f"rows must be (start, stop), ints or None each, not {rows!r}")
    try:
        start, stop = rows
        start = 0 if start is None else operator.index(start)
        stop = None if stop is None else operator.index(stop)
    except (TypeError, ValueError):
        raise wrong from None
    if not -(2**63) <= start < 2**63 or (stop is not None and not -(2**63) <= stop < 2**63):
        raise wrong
    return start, stop


def _max_length(value: Any) -> dict[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"max_length must be a mapping of fields to ints, not {value!r}")
    return {name: _int(f"max_length of {name!r}", most, 0) for name, most in value.items()}


def _check_together(options: Mapping[str, Any]) -> None:
    """Arguments that belong to the other unit."""
    unit = options["unit"]
    others: dict[str, dict[str, Any]] = {
        "value": {"pad": None, "lanes": 1, "fields": None, "max_length": None},
        "row": {"columns": None},
    }
    for name, default in others[unit].items():
        if options[name] != default:
            wanted = "row" if unit == "value" else "value"
            raise ValueError(
                f"{name} is for unit={wanted!r}, but unit is {unit!r}; leave it {default!r}"
            )


def _plain(value: Any) -> Any:
    """An option as it stands in a state: an int, a string or a list of strings."""
    if isinstance(value, list):
        return list(value)
    if isinstance(value, bool):
        return int(value)
    return "none" if value is None else value
