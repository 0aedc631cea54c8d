"""Values and names as short, safe text: one line, no control characters."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from stream_store._repr import short_value

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe(text: str, *, lines: bool = False) -> str:
    """Text in which control and invisible characters are escaped.

    A terminal would obey them, and those that change the direction of writing could make one value
    look like another. With `lines`, line breaks and tabs are kept.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        character
        if character in kept or unicodedata.category(character) not in _UNSAFE
        else character.encode("unicode_escape").decode()
        for character in text
    )


def cut(text: str, width: int) -> str:
    """The first characters of a text, with … if there are more."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…" * (width > 0)


def value_text(value: Any, width: int = 200) -> str:
    """A value on one line; a missing one is a dash."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return cut(safe(value[: width + 1]), width)
    return cut(safe(short_value(value)), width)


def number_text(number: float) -> str:
    """A number with at most six digits; NaN, which marks no value, as a dash."""
    if math.isnan(number):
        return "-"
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e9 else f"{number:.6g}"
