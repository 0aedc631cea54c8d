"""Item types by name, and the dtype names of `datasets` that stand for them.

Lowest layer of the features package: all other modules look dtypes up in `DTYPES`. The table itself
is that of the C++ library (`stream_store/dtype.h`); this module adds aliases and parses names. The
names are written to disk. Time zone, precision, and large and view variants are not part of a name;
only the feature's JSON has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from stream_store._core import dtype_table

Kind = Literal[
    "null",
    "bool",
    "int",
    "uint",
    "float",
    "date",
    "time",
    "timestamp",
    "duration",
    "decimal",
    "bytes",
    "nested",
]


@dataclass(frozen=True, slots=True)
class DTypeInfo:
    """The properties that follow from an item type alone.

    name          persistent name, a key of `DTYPES`.
    kind          family, which determines how values are converted.
    bits          width of the type: 32 for date32, 1 for bool.
    item_bytes    of one decoded item.
    item_words    stored words of one item.
    numpy         dtype of decoded items; text and bytes decode to uint8, decimals to objects.
    arrow_format  default format of the Arrow C data interface.
    unit          of date, time, timestamp and duration: the NumPy unit, else "".
    """

    name: str
    kind: Kind
    bits: int
    item_bytes: int
    item_words: int
    numpy: str
    arrow_format: str
    unit: str

    @property
    def value(self) -> str:
        """The dtype name that `datasets.Value` uses, "" if it needs a parameter."""
        if self.kind in ("decimal", "nested") or self.name == "fixed_binary":
            return ""
        # datasets writes "time32[s]" and "timestamp[us]", but "date32".
        return self.name if self.kind == "date" else _bracket_unit(self.name)


def _bracket_unit(name: str) -> str:
    stem, separator, unit = name.partition("_")
    return f"{stem}[{unit}]" if separator else name


#: Item types by their persistent name.
DTYPES: dict[str, DTypeInfo] = {
    row[0]: DTypeInfo(row[0], cast("Kind", row[1]), *row[2:]) for row in dtype_table()
}
DTYPES.setdefault("nested", DTypeInfo("nested", "nested", 0, 8, 1, "O", "", ""))

#: Types of `Value` and of Arrow that only a nested field holds, with their Arrow formats.
INTERVALS = {
    "month_interval": "tiM",
    "day_time_interval": "tiD",
    "month_day_nano_interval": "tin",
}

_BY_VALUE_NAME = {info.value: name for name, info in DTYPES.items() if info.value}
_BY_VALUE_NAME |= {f"large_{name}": name for name in ("string", "binary")}
_BY_VALUE_NAME |= {f"{name}_view": name for name in ("string", "binary")}

# Other names that `datasets` finds in the namespace of pyarrow.
_BY_VALUE_NAME |= {"bool_": "bool", "utf8": "string", "large_utf8": "string", "json_": "string"}
_BY_VALUE_NAME |= {"bool8": "int8"} | dict.fromkeys(INTERVALS, "nested")

_CANONICAL = {"bool_": "bool", "utf8": "string", "large_utf8": "large_string"}

_ZONED = r"timestamp\[(s|ms|us|ns),\s*tz=([a-zA-Z0-9/_+\-:]+)\]"
_DECIMAL = r"decimal(32|64|128|256)\((\d{1,3}),\s*(-?\d{1,5})\)"
_FIXED_BINARY = r"fixed_size_binary\[(\d{1,10})\]"

#: Maximum number of digits of a decimal type, by its bits.
MAX_PRECISION = {"32": 9, "64": 18, "128": 38, "256": 76}

_UNITS = "[s], [ms], [us] or [ns]"
_CANDIDATES = {
    "int": "'int8', 'int16', 'int32' or 'int64'",
    "uint": "'uint8', 'uint16', 'uint32' or 'uint64'",
    "float": "'float16', 'float32' or 'float64'",
    "double": "'float64'",
    "half": "'float16'",
    "str": "'string'",
    "bytes": "'binary'",
    "date": "'date32' or 'date64'",
    "time": "'time32[s]', 'time32[ms]', 'time64[us]' or 'time64[ns]'",
    "time32": "'time32[s]' or 'time32[ms]'",
    "time64": "'time64[us]' or 'time64[ns]'",
    "timestamp": f"'timestamp' with its unit, {_UNITS}",
    "duration": f"'duration' with its unit, {_UNITS}",
    "decimal": "'decimal128(precision, scale)' or 'decimal256(precision, scale)'",
    "decimal128": "'decimal128(precision, scale)'",
    "decimal256": "'decimal256(precision, scale)'",
    "fixed_size_binary": "'fixed_size_binary[number of bytes]'",
    "bfloat16": "'float32', which holds every bfloat16, or 'uint16' for its bits",
    "json": "the feature Json(), or 'string'",
    "list": "'float32[]', or 'nested list<…>' in Arrow notation",
    "struct": "a dict, or 'nested struct<…>' in Arrow notation",
    "map": "'nested map<…>' in Arrow notation",
}


def parse_value(text: str) -> tuple[str, tuple[int, ...]]:
    """Find the item type of a dtype name of `datasets.Value`.

    Args:
        text: such as ``"float32"``, ``"timestamp[us, tz=UTC]"`` or ``"decimal128(10, 2)"``.

    Returns:
        The name in `DTYPES`, and a shape: ``(n,)`` for ``fixed_size_binary[n]``, else ``()``.
        The name is "nested" for types that only nested fields hold, such as decimal32.

    Raises:
        ValueError: there is no such type; the message names similar ones.
    """
    if text in _BY_VALUE_NAME:
        return _BY_VALUE_NAME[text], ()
    if match := re.fullmatch(_ZONED, text):
        return f"timestamp_{match[1]}", ()
    if match := re.fullmatch(_DECIMAL, text):
        if not 1 <= int(match[2]) <= MAX_PRECISION[match[1]]:
            raise ValueError(f"{text!r}: expected a precision of 1 to {MAX_PRECISION[match[1]]}")
        return (f"decimal{match[1]}" if match[1] in ("128", "256") else "nested"), ()
    if match := re.fullmatch(_FIXED_BINARY, text):
        return ("fixed_binary", (int(match[1]),)) if int(match[1]) else ("nested", ())
    if text == "uuid":
        return "fixed_binary", (16,)
    raise unknown_dtype(text)


def unknown_dtype(text: str) -> ValueError:
    """The error for an unknown type; it names similar types."""
    if candidates := _CANDIDATES.get(re.split(r"[\[(<]", text)[0]):
        return ValueError(f"{text!r} is not a type that can be stored; write {candidates}")
    return ValueError(
        f"{text!r} is not a type that can be stored; expected one like 'float32', 'int64', 'bool', "
        "'string', 'timestamp[ns]' or 'decimal128(10, 2)'"
    )


def canonical_value(text: str) -> str:
    """The same dtype name as `datasets` writes it: ``"decimal128(10, 2)"``, ``"string"``."""
    if text in _CANONICAL:
        return _CANONICAL[text]
    if match := re.fullmatch(_ZONED, text):
        return f"timestamp[{match[1]}, tz={match[2]}]"
    if match := re.fullmatch(_DECIMAL, text):
        return f"decimal{match[1]}({int(match[2])}, {int(match[3])})"
    return text


def time_zone(text: str) -> str | None:
    """The zone in ``"timestamp[us, tz=UTC]"``, or None."""
    match = re.fullmatch(_ZONED, text)
    return match[2] if match else None


def is_zone(zone: str) -> bool:
    """Whether `datasets` has timestamps of this time zone."""
    return bool(re.fullmatch(r"[a-zA-Z0-9/_+\-:]+", zone))


def precision_and_scale(text: str) -> tuple[int, int] | None:
    """``(10, 2)`` of ``"decimal128(10, 2)"``, or None."""
    match = re.fullmatch(_DECIMAL, text)
    return (int(match[2]), int(match[3])) if match else None
