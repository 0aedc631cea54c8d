"""Checks of arguments of StreamStore and WindowSampler.

Each function returns the checked argument in the form that the core takes, and raises an error that
names the argument, the accepted values and the given one.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._types import AnyPath
from .errors import DroppedError

if TYPE_CHECKING:
    import numpy.typing as npt

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "unit": ("value", "row"),
    "align": ("any", "row"),
    "pad": (None, "right", "left"),
    "outside": ("skip", "edge", "zero", "shift"),
}
_INT64_END = 2**63
_EPOCH_END = 2**22  # the core keeps the number of a batch and of its epoch in one word

# --- of StreamStore ---


def row_range(store: _core.Store, start: int | None, stop: int | None) -> tuple[int, int]:
    """Rows [first, last), counted as by a slice, but from the first retained row by default.

    Raises:
        DroppedError: the range begins with rows that were dropped.
    """
    begin = store.first_row
    first, last, _ = slice(begin if start is None else start, stop).indices(store.num_rows)
    if first < begin and first < last:
        raise DroppedError(
            f"rows [{first}, {last}) begin before row {begin}, the first that the store still "
            "has: the rows before it were dropped"
        )
    return first, max(first, last)


def path_text(path: AnyPath) -> str:
    """A path as text. A URL would be a directory of an odd name, such as "s3:"."""
    text = os.fsdecode(path)
    if not text:
        raise ValueError("path is empty")
    if "\0" in text:
        raise ValueError(f"path {text!r} contains a zero byte, which file names cannot have")
    if "://" in text and re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://", text):
        raise ValueError(
            f"path {text!r} is a URL; expected the path of a directory or a file of this machine. "
            "Shipper and Mirror copy stores to and from object stores"
        )
    return text


def store_path(path: AnyPath | None) -> str | None:
    """The path of a store as text; None is a temporary store."""
    if path is None:
        return None
    if not os.fsdecode(path):
        raise ValueError("path is empty; None makes a temporary store")
    return path_text(path)


def absolute_path(path: str) -> str:
    """As `Path.absolute()`, in a tenth of its time: opening a store takes only 30 µs."""
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH117, PTH118


def opening(
    path: AnyPath | None, mode: str, capacity: int, wait: float | None
) -> tuple[str | None, str, int, float]:
    """Path, mode, capacity and seconds to wait."""
    path = store_path(path)
    if mode not in {"a", "x", "r"}:
        raise ValueError(f"mode must be 'a', 'x' or 'r', not {mode!r}")
    if mode == "r" and path is None:
        raise ValueError("mode='r' needs a path: a temporary store has nothing to read")
    _refuse_bool("capacity", capacity, "a positive number of values")
    capacity = operator.index(capacity)
    if not 0 < capacity < _INT64_END:
        raise ValueError(f"capacity must be a positive number of values, not {capacity}")
    if wait is not None and mode != "r":
        raise ValueError(f"wait is for mode='r' only; mode is {mode!r}")
    seconds = 0.0 if wait is None else float(wait)
    if not seconds >= 0:
        raise ValueError(f"wait must be seconds, 0 or more, not {wait!r}")
    return path, mode, capacity, seconds


def background_sync(seconds: float | None, count: int | None) -> tuple[float, int]:
    """`sync_seconds` and `sync_bytes`; 0 disables a trigger."""
    _refuse_bool("sync_seconds", seconds, "more than 0, or None to disable it")
    interval = 0.0 if seconds is None else float(seconds)
    if seconds is not None and not interval > 0:
        raise ValueError(
            f"sync_seconds must be more than 0, or None to disable it, not {seconds!r}"
        )
    _refuse_bool("sync_bytes", count, "a positive number, or None to disable it")
    number = 0 if count is None else operator.index(count)
    if count is not None and not 0 < number < _INT64_END:
        raise ValueError(
            f"sync_bytes must be a positive number, or None to disable it, not {count!r}"
        )
    return interval, number


def _refuse_bool(name: str, value: object, expected: str) -> None:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be {expected}, not {value!r}")


# --- of WindowSampler ---


def integer(name: str, value: Any, least: int, end: int = _INT64_END) -> int:
    """An int in [least, end)."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number < end:
        too_large = number is not None and number >= end
        accepted = f"in [{least}, {end})" if too_large or end != _INT64_END else f"{least} or more"
        raise ValueError(f"{name} must be an int, {accepted}, not {value!r}")
    return number


def epoch_number(epoch: Any) -> int:
    """The number of an epoch."""
    return integer("epoch", epoch, 0, _EPOCH_END)


def boolean(name: str, value: Any) -> bool:
    """A bool of Python or NumPy."""
    if not isinstance(value, bool) and type(value).__name__ not in {"bool", "bool_"}:
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def choice(name: str, value: Any) -> Any:
    """One of the values that the argument `name` accepts."""
    choices = _CHOICES[name]
    if not any(
        value is choice or (isinstance(value, str) and value == choice) for choice in choices
    ):
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return value


def names(name: str, value: Any, *, one: bool = False) -> list[str] | None:
    """A list of names, or None. With `one`, a single name is accepted too."""
    if value is None:
        return None
    if isinstance(value, str) and one:
        return [value]
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        single = "a name or " if one else ""
        raise ValueError(f"{name} must be {single}a list of names, not {value!r}")
    result = list(value)
    for item in result:
        if not isinstance(item, str):
            raise ValueError(f"{name} must be names, not {item!r}")
    if not result:
        raise ValueError(f"{name} must name at least one, or be None")
    return result


def row_limits(rows: Any) -> tuple[int, int | None]:
    """The first and the last row of `rows`."""
    if rows is None:
        return 0, None
    wrong = ValueError(f"rows must be (start, stop), ints or None each, not {rows!r}")
    try:
        start, stop = rows
        start = 0 if start is None else operator.index(start)
        stop = None if stop is None else operator.index(stop)
    except (TypeError, ValueError):
        raise wrong from None
    limits = range(-_INT64_END, _INT64_END)
    if start not in limits or (stop is not None and stop not in limits):
        raise wrong
    return start, stop


def max_lengths(value: Any, prefix: str = "") -> dict[str, Any] | None:
    """`max_length`: field -> number of items, or struct -> a mapping of its fields."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"max_length must be a mapping of fields to ints, not {value!r}")
    return {
        name: max_lengths(most, f"{prefix}{name}.")
        if isinstance(most, Mapping)
        else integer(f"max_length of {prefix + str(name)!r}", most, 0)
        for name, most in value.items()
    }


def timeout_seconds(timeout: Any) -> float:
    """Seconds to wait; infinity for None."""
    wrong = f"timeout must be seconds, 0 or more, or None, not {timeout!r}"
    try:
        seconds = float("inf") if timeout is None else float(timeout)
    except (TypeError, ValueError) as error:
        raise type(error)(wrong) from None
    if not seconds >= 0:
        raise ValueError(wrong)
    return seconds


def one_index(index: object, subject: str = "[i] is one window", kind: str = "an int") -> int:
    """The index of one window or sample; `subject` and `kind` are for the message."""
    try:
        if isinstance(index, (bool, np.bool_)):
            raise TypeError
        return operator.index(index)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{subject}: i must be {kind}, not {index!r} ({type(index).__name__})"
        ) from None


def index_vector(
    indices: npt.ArrayLike, expected: str, error: type[Exception]
) -> npt.NDArray[np.int64]:
    """The indices of several windows; `expected` and `error` are for other values."""
    numbers = plain_array(indices)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size > 0):
        raise error(f"{expected}, found shape {numbers.shape} and dtype {numbers.dtype}")
    return np.ascontiguousarray(numbers, np.int64)


def plain_array(value: Any) -> npt.NDArray[Any]:
    """An argument as an array of NumPy; also a tensor of torch, which need not be imported here.

    NumPy refuses tensors that require a gradient or are on another device. Their values are copied,
    floats that NumPy does not have, such as bfloat16, as float32.
    """
    if type(value) is np.ndarray:
        return value
    if not all(hasattr(value, name) for name in ("detach", "cpu", "is_floating_point")):
        return np.asarray(value)
    tensor = value.detach().cpu()
    if tensor.is_floating_point() and tensor.element_size() < 4:
        tensor = tensor.float()
    return np.asarray(tensor)
