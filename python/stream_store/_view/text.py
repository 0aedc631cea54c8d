"""Values and names as short, safe text: one line, no control characters."""

from __future__ import annotations

import math
from typing import Any

from stream_store._repr import short_value
from stream_store._safe_text import safe


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
