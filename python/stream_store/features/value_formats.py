"""Dtype names of `datasets.Value` and Arrow's format strings, in both directions."""

from __future__ import annotations

import re

from .dtypes import DTYPES, INTERVALS, parse_value, precision_and_scale, time_zone

_ALIASES = {
    "bool_": "bool",
    "utf8": "string",
    "large_utf8": "large_string",
    "uuid": "fixed_size_binary[16]",
    "bool8": "int8",
    "json_": "string",
}

_NAMED = {info.value: info.arrow_format for info in DTYPES.values() if info.value} | {
    "large_string": "U",
    "string_view": "vu",
    "large_binary": "Z",
    "binary_view": "vz",
    **INTERVALS,
}

#: Format of each dtype name without parameters, other names of the same type included.
FORMATS = _NAMED | {name: _NAMED[of] for name, of in _ALIASES.items() if of in _NAMED}

#: Extension types that `datasets.Value` and `Json` stand for.
EXTENSIONS = {"uuid": "arrow.uuid", "bool8": "arrow.bool8", "json_": "arrow.json"}

_VALUES = {form: name for name, form in _NAMED.items()}
_DECIMAL = r"d:(\d+),(-?\d+)(?:,(32|64|128|256))?"


def format_of_value(dtype: str) -> str:
    """Format of a dtype name; ValueError if there is none.

    >>> from stream_store.features.value_formats import format_of_value
    >>> format_of_value("timestamp[us, tz=UTC]"), format_of_value("decimal256(40, 2)")
    ('tsu:UTC', 'd:40,2,256')
    """
    dtype = _ALIASES.get(dtype, dtype)
    if known := FORMATS.get(dtype):
        return known
    name, shape = parse_value(dtype)
    if digits := precision_and_scale(dtype):
        bits = dtype[len("decimal") : dtype.index("(")]
        return f"d:{digits[0]},{digits[1]}" + ("" if bits == "128" else f",{bits}")
    if name == "nested":  # fixed_size_binary[0], which is not flat
        return "w:0"
    parameter = str(shape[0]) if shape else time_zone(dtype) or ""
    return DTYPES[name].arrow_format + parameter


def value_of_format(form: str) -> str | None:
    """The reverse; None for types with children and unknown formats. Zones are not checked."""
    if known := _VALUES.get(form):
        return known
    if match := re.fullmatch(_DECIMAL, form):
        return f"decimal{match[3] or 128}({match[1]}, {match[2]})"
    head, _, rest = form.partition(":")
    if head == "w" and rest.isdecimal():
        return f"fixed_size_binary[{rest}]"
    if rest and (zoneless := _VALUES.get(f"{head}:")):  # "tsu:UTC" -> "timestamp[us]"
        return f"{zoneless[:-1]}, tz={rest}]"
    return None
