"""The arguments of WindowSampler: checked, as the core takes them, and as a state holds them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import _arguments
from .priorities import Priorities

#: Options that must be equal in a state and in the sampler that loads it. The rank is not among
#: them: ranks that have handed out equally many batches have the same state.
_IN_STATE = (
    *("length", "unit", "align", "batch_size", "replacement", "segment_by", "pad", "lanes"),
    *("first_row", "last_row", "world_size", "drop_last"),
)

#: Options that older states lack, with the values that they had in effect.
_LATER: dict[str, Any] = {
    "lane_by": [],
    "where": None,
    "exclude": "none",
    "require": [],
    "offsets": [],
    "outside": "skip",
    "time_field": None,
    "tolerance_ns": 100_000,
    "whole_segments": False,
    "priorities": "none",
}

#: Options that make windows of rows, with the values that do not.
_OF_ROWS: dict[str, Any] = {
    "lane_by": [],
    "where": None,
    "exclude": 0,
    "require": [],
    "offsets": [],
    "whole_segments": False,
    "priorities": None,
}

_Number = TypeVar("_Number", int, float)

_MOST_OFFSET = 2**31 - 1

#: Beyond 2**53 nanoseconds, a float of seconds is no longer exact to a nanosecond.
_MOST_SECONDS = 2**53 / 1e9


def sampler_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the core for the arguments of a WindowSampler.

    Raises:
        ValueError: an argument is not valid, or some exclude each other.
    """
    first_row, last_row = _arguments.row_limits(given["rows"])
    world_size = _arguments.integer("world_size", given["world_size"], 1)
    exclude = _row_ranges(given["exclude"])
    seconds = _seconds(given["seconds"])
    options: dict[str, Any] = {
        "align": _arguments.choice("align", given["align"]),
        "batch_size": _arguments.integer("batch_size", given["batch_size"], 1),
        "replacement": _arguments.boolean("replacement", given["replacement"]),
        "seed": _arguments.integer("seed", given["seed"], 0),
        "segment_by": _arguments.names("segment_by", given["segment_by"], one=True) or [],
        "pad": _arguments.choice("pad", given["pad"]),
        "lanes": _arguments.integer("lanes", given["lanes"], 1),
        "lane_by": _arguments.names("lane_by", given["lane_by"], one=True) or [],
        "where": _one_name("where", given["where"]),
        "exclude": exclude.ravel(),
        "require": _arguments.names("require", given["require"], one=True) or [],
        "offsets": _offsets(given["offsets"]) or _nanoseconds(seconds),
        "seconds": seconds,
        "time_field": _one_name("time_field", given["time_field"]),
        "tolerance": _number("tolerance", given["tolerance"], 0.0),
        "outside": _arguments.choice("outside", given["outside"]),
        "whole_segments": _arguments.boolean("whole_segments", given["whole_segments"]),
        "priorities": _priorities(given["priorities"]),
        "first_row": first_row,
        "last_row": last_row,
        "columns": _arguments.names("columns", given["columns"]),
        "fields": _arguments.names("fields", given["fields"]),
        "max_length": _arguments.max_lengths(given["max_length"]),
        "rank": _arguments.integer("rank", given["rank"], 0, world_size),
        "world_size": world_size,
        "drop_last": _arguments.boolean("drop_last", given["drop_last"]),
    }
    options["tolerance_ns"] = round(options["tolerance"] * 1e9)
    _check_seconds(given, options)
    options["unit"] = _unit(given, options)
    options["length"] = _length(given["length"], options)
    _check_together(options)
    if options["offsets"]:
        options["fields"] = [name for name, _ in options["offsets"]]
    return options


def state_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the options that a state holds."""
    held = {name: _plain(options[name]) for name in _IN_STATE}
    for name, default in _LATER.items():
        held[name] = _plain(_later(name, options))
        if held[name] == _plain(default):
            del held[name]
    return held


def check_state_options(state: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse a state that was taken with other options.

    Raises:
        ValueError: naming the first option that differs.
    """
    mine = {name: _plain(options[name]) for name in _IN_STATE}
    mine |= {name: _plain(_later(name, options)) for name in _LATER}
    for name, value in mine.items():
        taken = state.get(name, _plain(_LATER[name])) if name in _LATER else state.get(name)
        if taken != value:
            raise ValueError(
                f"load_state_dict: the state was taken with {name}={taken!r}, this sampler has "
                f"{name}={value!r}"
            )


def sampler_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that give these options."""
    arguments = {
        name: value
        for name, value in options.items()
        if name not in {"first_row", "last_row", "with_stores", "tolerance_ns"}
    }
    for name in ("segment_by", "lane_by", "require"):
        arguments[name] = options[name] or None
    arguments["exclude"] = options["exclude"].reshape(-1, 2) if len(options["exclude"]) else None
    arguments["offsets"] = None if options["seconds"] else dict(options["offsets"]) or None
    arguments["seconds"] = dict(options["seconds"]) or None
    arguments["rows"] = (options["first_row"], options["last_row"])
    if options["offsets"]:
        arguments["length"] = arguments["fields"] = None
    elif options["whole_segments"]:
        arguments["length"] = options["length"] or None
    return arguments


def _unit(given: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """ "row" or "value"; options for rows decide if it is not given, also an empty `exclude`."""
    of_rows = [name for name, default in _OF_ROWS.items() if _is_given(options[name], default)]
    if given["exclude"] is not None and "exclude" not in of_rows:
        of_rows.append("exclude")
    if given["unit"] is None:
        return "row" if of_rows else "value"
    chosen: str = _arguments.choice("unit", given["unit"])
    if chosen == "value" and of_rows:
        raise ValueError(
            f"{of_rows[0]} is for unit='row', but unit is 'value'; leave {of_rows[0]} out"
        )
    return chosen


def _is_given(value: Any, default: Any) -> bool:
    return bool(len(value)) if isinstance(value, np.ndarray) else bool(value != default)


def _length(length: Any, options: Mapping[str, Any]) -> int:
    """The length of a window; 1 with offsets, and 0 for whole segments without a limit."""
    if options["offsets"]:
        if length is not None:
            raise ValueError(
                f"length must be left out if {_offsets_name(options)} are given, which say how "
                f"many rows of each field a window has; found {length!r}"
            )
        return 1
    if length is None:
        if options["whole_segments"]:
            return 0
        raise ValueError(
            "length is missing: the values or rows in each window; only offsets and "
            "whole_segments=True do without it"
        )
    return _arguments.integer("length", length, 1)


def _check_together(options: Mapping[str, Any]) -> None:
    """Refuse arguments that are for the other unit only, and those that exclude each other."""
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
    if options["offsets"] and options["fields"] is not None:
        raise ValueError(
            f"fields must be left out if {_offsets_name(options)} are given, which name the fields"
        )


def _priorities(priorities: Any) -> Priorities | None:
    if priorities is not None and not isinstance(priorities, Priorities):
        raise ValueError(f"priorities must be a Priorities or None, not {priorities!r}")
    return priorities


def core_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the core takes them."""
    chosen = options["priorities"]
    if chosen is None:
        return dict(options)
    numbers = (chosen.alpha, chosen.beta, chosen.eps, None if chosen.new == "max" else chosen.new)
    others = (chosen.normalize or "none", chosen.stratified, chosen.mix or 0.0)
    return {**options, "priorities": (*numbers, *others)}


def _one_name(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be the name of a field, or None, not {value!r}")
    return value


def _row_ranges(ranges: Any) -> npt.NDArray[np.int64]:
    """`exclude` as an array of shape (n, 2)."""
    if ranges is None:
        return np.empty((0, 2), np.int64)
    wrong = "exclude must be an array of ints of shape (n, 2), rows [begin, end) each"
    try:
        array = np.asarray(ranges)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wrong}, not {ranges!r}") from error
    if array.size == 0:
        return np.empty((0, 2), np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(f"{wrong}; found shape {array.shape} and dtype {array.dtype}")
    if (array.astype(np.float64) >= 2.0**62).any():
        raise ValueError(f"exclude must be rows below 2**62; found row {array.max()}")
    return np.ascontiguousarray(array, np.int64)


def _offsets(offsets: Any) -> list[tuple[str, list[int]]]:
    """`offsets` as pairs of a name and a list of ints."""

    def row(what: str, number: Any) -> int:
        return _arguments.integer(what, number, -_MOST_OFFSET, _MOST_OFFSET + 1)

    return _numbers_by_field("offsets", offsets, "int", row)


def _seconds(seconds: Any) -> list[tuple[str, list[float]]]:
    """`seconds` as pairs of a name and a list of floats."""

    def second(what: str, number: Any) -> float:
        return _number(what, number, -_MOST_SECONDS)

    return _numbers_by_field("seconds", seconds, "number", second)


def _nanoseconds(seconds: list[tuple[str, list[float]]]) -> list[tuple[str, list[int]]]:
    return [(name, [round(time * 1e9) for time in times]) for name, times in seconds]


def _numbers_by_field(
    argument: str, given: Any, kind: str, convert: Callable[[str, Any], _Number]
) -> list[tuple[str, list[_Number]]]:
    """A mapping of fields to lists of numbers as pairs."""
    if given is None:
        return []
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            f"{argument} must be a mapping of fields to lists of {kind}s, not {given!r}"
        )
    pairs = []
    for name, values in given.items():
        if not isinstance(name, str):
            raise ValueError(
                f"{argument} must be a mapping of names of fields; {name!r} is not one"
            )
        what = f"{argument} of field {name!r}"
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise ValueError(f"{what} must be a list of {kind}s, not {values!r}")
        some = [convert(what, value) for value in values]
        if not some:
            raise ValueError(f"{what} must be at least one {kind}, found none")
        pairs.append((name, some))
    return pairs


def _number(name: str, value: Any, least: float) -> float:
    """A number of seconds."""
    number = float(value) if _is_real(value) else math.nan
    if not least <= number <= _MOST_SECONDS:
        raise ValueError(
            f"{name} must be a number of seconds in [{least:g}, {_MOST_SECONDS:g}], not {value!r}"
        )
    return number


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def _check_seconds(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse arguments that are for `seconds`, or that exclude it."""
    if options["seconds"]:
        if given["offsets"] is not None:
            raise ValueError("expected offsets or seconds, but both were given")
        if options["time_field"] is None:
            raise ValueError("time_field is missing: the field with the time that seconds refer to")
        if options["outside"] == "shift":
            raise ValueError(
                "outside='shift' is for offsets; seconds take 'skip', 'edge' or 'zero'"
            )
    elif options["time_field"] is not None:
        raise ValueError("time_field is for seconds, but there are none; leave it out")


def _offsets_name(options: Mapping[str, Any]) -> str:
    return "seconds" if options["seconds"] else "offsets"


def _later(name: str, options: Mapping[str, Any]) -> Any:
    """An option that older states lack, in a form that a state can hold."""
    value = options[name]
    if name == "exclude":
        if not len(value):
            return "none"
        import hashlib  # loads OpenSSL

        digest = hashlib.blake2b(value.astype("<i8").tobytes(), digest_size=8).hexdigest()
        return f"{len(value) // 2} ranges, {digest}"
    if name == "priorities":
        # alpha and beta may change, and a state has them apart.
        if value is None:
            return "none"
        return (
            f"eps={value.eps}, new={value.new}, normalize={value.normalize}, "
            f"stratified={value.stratified}, mix={value.mix or 0.0}"
        )
    if name == "offsets":
        return [f"{field}: {', '.join(map(str, numbers))}" for field, numbers in value]
    return value


def _plain(value: Any) -> Any:
    """An option in the form that a state has it: an int, a string or a list of strings."""
    if isinstance(value, list):
        return list(value)
    if isinstance(value, bool):
        return int(value)
    return "none" if value is None else value
