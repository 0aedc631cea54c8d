"""Scalars as Arrow arrays of a given type: the leaves of exact.py.

Numbers, dates and times follow the rules of `append`, which `stream_store.values` implements. Text,
binaries and decimals are checked by pyarrow, which is exact for them.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from stream_store import values as _values
from stream_store.features import FieldSpec
from stream_store.values.arrays import as_array, short
from stream_store.values.numeric import narrow, widen

from .optional import require

Items = list[Any] | np.ndarray  # of one level; an array has no missing items
Path = tuple[str, ...]

_UNNAMED = re.compile(r"^field '' \([^)]*\): ")

ANY = FieldSpec("", ("",), "int64")


class Unfit(Exception):
    """A value that its type cannot hold.

    Attributes:
        index: the place of the value in the array that was made.
        path: the place inside of that item, such as ``"[3].role"``.
        expected: text.
        found: the value.
    """

    def __init__(self, index: int, expected: str, found: Any, path: str = "") -> None:
        super().__init__(expected)
        self.index = index
        self.path = path
        self.expected = expected
        self.found = found

    def text(self) -> str:
        return f"expected {self.expected}, found {short(self.found)}"


@dataclass(frozen=True)
class Rule:
    """How the values of a column are converted.

    kind     the Arrow type.
    feature  the feature of `datasets` for this type, or None.
    path     the names of the column and of structs down to here.
    flat     paths of plain list fields, in which a null inside a list is refused.
    exact    the type was guessed: nothing may be rounded or change its kind.
    cast     the type is that of a feature of the dataset: integers may become text, as `datasets`
             converts them.
    shape    lengths of the next levels of lists; None is any length.
    """

    kind: Any
    feature: Any = None
    path: Path = ()
    flat: frozenset[Path] = frozenset()
    exact: bool = False
    cast: bool = False
    shape: tuple[int | None, ...] = ()


def leaf_array(items: Items, rule: Rule) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    types, kind = pyarrow.types, rule.kind
    if isinstance(items, np.ndarray):
        if items.ndim > 1:
            raise Unfit(0, f"one {kind}", items[0])
        if items.dtype.kind in "USVO":
            items = list(items)
    if types.is_null(kind):
        _require(items, lambda _: False, "None, as in the rows before" if rule.exact else "None")
        return pyarrow.nulls(len(items))
    if dtype := _number_name(kind):
        return _numbers(items, rule, dtype)
    if _is_string(types, kind):
        return _texts(items, rule)
    if types.is_decimal(kind):
        _require(items, lambda item: isinstance(item, (Decimal, int, np.integer)), "a Decimal")
        items = [int(item) if isinstance(item, np.integer) else item for item in items]
    return _by_pyarrow(items, kind)


def _require(items: Items, good: Callable[[Any], bool], expected: str) -> None:
    for index, item in enumerate(items):
        if item is not None and not good(item):
            raise Unfit(index, expected, item)


def _is_string(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _texts(items: Items, rule: Rule) -> Any:
    def text(item: Any) -> str:
        if isinstance(item, str):
            return str(item)
        if isinstance(item, (bytes, bytearray)) and not rule.exact:
            return item.decode("utf-8")
        if rule.cast and isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            return str(int(item))
        raise TypeError("not a str")

    items = list(items)
    if not all(type(item) is str for item in items if item is not None):
        items = _each_expecting(items, text, "a str")
    return _by_pyarrow(items, rule.kind)


def _each_expecting(items: list[Any], convert: Callable[[Any], Any], expected: str) -> list[Any]:
    converted = []
    for index, item in enumerate(items):
        try:
            converted.append(None if item is None else convert(item))
        except (TypeError, ValueError):
            raise Unfit(index, expected, item) from None
    return converted


def _by_pyarrow(items: Items, kind: Any) -> Any:
    """Types whose values pyarrow checks: text, binaries, decimals, intervals."""
    pyarrow = require("pyarrow", "the import of rows")
    types = pyarrow.types
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind) or (
        types.is_fixed_size_binary(kind) and not types.is_decimal(kind)
    ):  # fmt: skip
        _require(items, _is_bytes, "bytes")
        items = [item.tobytes() if isinstance(item, np.void) else item for item in items]
    try:
        made = pyarrow.array(items, kind)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        for index, item in enumerate(items):
            try:
                pyarrow.array([item], kind)
            except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as reason:
                raise Unfit(index, f"a valid {kind} ({reason_of(reason)})", item) from None
        raise Unfit(0, f"values that fit one Arrow array ({reason_of(error)})", items) from None
    if isinstance(made, pyarrow.ChunkedArray):
        raise Unfit(0, f"less than 2 GiB in a batch: declare the column as large_{kind}", items)
    return made


def _is_bytes(item: Any) -> bool:
    return isinstance(item, (bytes, bytearray, memoryview, np.void))


def reason_of(error: BaseException) -> str:
    """The first line of a message, without the unnamed field of `stream_store.values`."""
    return _UNNAMED.sub("", str(error).partition("\n")[0])


def raised(error: BaseException) -> str:
    """An exception of foreign code as text of one line."""
    return f"{type(error).__name__}: {reason_of(error)}"


# --- numbers, dates and times: the rules of append ---


def _number_name(kind: Any) -> str:
    """The name of a type in `features.dtypes`, if it is one of numbers, dates or times."""
    types = require("pyarrow", "the import of rows").types
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind):
        return str(kind)
    if types.is_floating(kind):
        return f"float{kind.bit_width}"
    if types.is_date(kind):
        return f"date{kind.bit_width}"
    for name in ("time", "timestamp", "duration"):
        if getattr(types, f"is_{name}")(kind):
            return f"{name}{kind.bit_width if name == 'time' else ''}_{kind.unit}"
    return ""


def _numbers(items: Items, rule: Rule, dtype: str) -> Any:
    pyarrow = require("pyarrow", "the import of rows")
    spec = FieldSpec("", ("",), dtype)
    missing = None
    if isinstance(items, list):
        mask = np.array([item is None for item in items], bool)
        if mask.any():
            missing = mask
            items = [item for item in items if item is not None]
    if rule.exact:
        _require_kind(items, rule.kind, spec, missing)
    values = _converted(items, rule, spec, missing)
    if missing is not None:
        whole = np.zeros(len(missing), values.dtype)
        whole[~missing] = values
        values = whole
    flat = pyarrow.array(values, mask=missing)
    return flat if flat.type == rule.kind else flat.view(rule.kind)


def _converted(items: Items, rule: Rule, spec: FieldSpec, missing: Any) -> np.ndarray:
    """The present items in the memory layout of the Arrow type."""
    try:
        return _checked(_array_of(items), rule, spec)
    except (TypeError, ValueError) as error:
        for index, item in enumerate(items):
            try:
                _checked(_array_of(items[index : index + 1]), rule, spec)
            except (TypeError, ValueError) as reason:
                raise Unfit(_whole_index(index, missing), _expectation(reason), item) from None
        raise Unfit(0, _expectation(error), items) from None


def _whole_index(index: int, missing: Any) -> int:
    """The place among all items of a present one."""
    return index if missing is None else int(np.flatnonzero(~missing)[index])


def _expectation(error: BaseException) -> str:
    """The expectation in a message of `stream_store.values`."""
    return reason_of(error).partition("expected ")[2].rpartition(", found")[0] or reason_of(error)


def _array_of(items: Items) -> np.ndarray:
    """Items of one type as an array of its dtype, of others as an array of objects."""
    if isinstance(items, np.ndarray):
        return as_array(ANY, items)
    kinds = set(map(type, items))
    if len(kinds) == 1:
        (kind,) = kinds
        dtype = {int: np.int64, float: np.float64, bool: np.bool_}.get(kind)
        if dtype is not None:
            try:
                return np.array(items, dtype)
            except OverflowError:
                pass
        elif issubclass(kind, np.generic) and len({item.dtype for item in items}) == 1:
            return np.array(items)
    boxed = np.empty(len(items), object)
    for place, item in enumerate(items):
        boxed[place] = item if isinstance(item, (int, float)) else _unboxed(item)
    return boxed


def _unboxed(item: Any) -> Any:
    """The number in a scalar of Arrow, or in an array or tensor of one item."""
    if hasattr(item, "as_py"):
        return item.as_py()
    if isinstance(item, np.generic) or not hasattr(item, "__array__"):
        return item
    array = as_array(ANY, item)
    return array.reshape(-1)[0] if array.shape in ((), (1,)) else item


def _checked(values: np.ndarray, rule: Rule, spec: FieldSpec) -> np.ndarray:
    """Numbers by the rules of `append`, in the dtype of the Arrow type."""
    kind = spec.info.kind
    converted = _values.convert_array(spec, values)
    if kind == "float":
        narrowed = _narrow(converted, spec.numpy_dtype)
        if rule.exact:
            _require_exact(values, narrowed, spec)
        return narrowed
    if kind == "bool":
        return converted.astype(np.bool_)
    if kind in ("int", "uint"):
        return converted.astype(spec.numpy_dtype)
    return converted.astype(np.int32 if rule.kind.bit_width == 32 else np.int64)


def _narrow(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Floats of the field's width. A finite number beyond its range is refused."""
    if values.dtype.kind == "f":
        narrowed = narrow(widen(values), dtype)
        lost = np.isinf(narrowed) & np.isfinite(values)
    else:
        with np.errstate(over="ignore"):
            narrowed = values.astype(dtype)
        lost = np.isinf(narrowed)
    if lost.any():
        most = np.finfo(dtype).max
        raise ValueError(f"expected a number in [-{most}, {most}], found {values[lost][0]}")
    return narrowed


def _require_exact(values: np.ndarray, narrowed: np.ndarray, spec: FieldSpec) -> None:
    """Refuse numbers that were rounded."""
    doubles = widen(narrowed)
    if values.dtype.kind == "f":
        there = widen(values)
        same = (doubles == there) | (np.isnan(doubles) & np.isnan(there))
    else:
        pairs = zip(doubles.tolist(), values.tolist(), strict=True)
        same = np.array([number == item or math.isnan(number) for number, item in pairs], bool)
    if not same.all():
        raise ValueError(f"expected a number that {spec.dtype} holds exactly, found a longer one")


def _require_kind(items: Items, kind: Any, spec: FieldSpec, missing: Any) -> None:
    """Refuse items of another kind than the guessed type, such as a bool among numbers."""
    accepted, expected = _KINDS[spec.info.kind]
    if isinstance(items, np.ndarray):
        items = items[:1]
    zone = getattr(kind, "tz", None)
    for index, item in enumerate(map(_unboxed, items)):
        good = isinstance(item, accepted) and not (
            (isinstance(item, bool) and spec.info.kind != "bool")
            or (isinstance(item, dt.datetime) and spec.info.kind == "date")
        )
        if good and spec.info.kind == "timestamp" and isinstance(item, dt.datetime):
            good = (item.tzinfo is None) == (zone is None)
            expected = "a datetime without a time zone" if zone is None else "one with a time zone"
        if not good:
            raise Unfit(_whole_index(index, missing), expected, item)


_NUMBERS = (int, float, np.integer, np.floating)
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool, np.bool_), "a bool"),
    "int": (_NUMBERS, "an integer"),
    "uint": (_NUMBERS, "an integer"),
    "float": (_NUMBERS, "a number"),
    "date": ((dt.date, np.datetime64), "a date"),
    "timestamp": ((dt.datetime, np.datetime64), "a datetime"),
    "time": ((dt.time, np.timedelta64), "a time"),
    "duration": ((dt.timedelta, np.timedelta64), "a timedelta"),
}
