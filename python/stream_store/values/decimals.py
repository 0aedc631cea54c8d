"""Decimals: exact integers of a fixed scale, in two or four words, the lowest first."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec

from .arrays import as_array, fit_shape
from .errors import wrong_type, wrong_value


def encode_decimal(spec: FieldSpec, value: Any) -> NDArray[np.int64]:
    """A Decimal or int as the words of ``value * 10**scale`` in two's complement.

    Raises:
        ValueError: not exact at the field's scale, more digits than its precision, not finite.
        TypeError: a float, which is hardly ever what a decimal says, or no number.
    """
    item = fit_shape(spec, as_array(spec, value))[0]
    expected = "a Decimal or an int"
    if isinstance(item, (str, bytes)):
        raise wrong_value(spec, f"{expected} (Decimal(text) reads a text)", item)
    if isinstance(item, (float, np.floating)):
        raise wrong_type(spec, f"{expected} (Decimal(str(x)) makes one of a float)", item)
    if isinstance(item, (int, np.integer, np.bool_)):
        item = Decimal(int(item))
    if not isinstance(item, Decimal):
        raise wrong_type(spec, expected, item)
    unscaled = _unscaled(spec, item)
    words = np.frombuffer(
        unscaled.to_bytes(spec.info.item_bytes, "little", signed=True), dtype="<i8"
    )
    return words.astype(np.int64)


def _unscaled(spec: FieldSpec, item: Decimal) -> int:
    precision, scale = spec.decimal or (0, 0)
    sign, digits, exponent = item.as_tuple()
    if not isinstance(exponent, int):
        raise wrong_value(spec, "a finite number", item)
    if len(digits) > 1000:
        raise wrong_value(spec, f"at most {precision} digits", item)
    number = int("".join(map(str, digits)) or "0")
    shift = exponent + scale
    if number == 0:
        return 0
    if shift < -len(digits):
        raise wrong_value(spec, f"a number exact at scale {scale}", item)
    if shift > precision:
        raise wrong_value(spec, f"at most {precision} digits", item)
    power: int = 10 ** abs(shift)
    if shift < 0 and number % power:
        raise wrong_value(spec, f"a number exact at scale {scale}", item)
    number = number * power if shift >= 0 else number // power
    if number >= 10**precision:
        raise wrong_value(spec, f"at most {precision} digits", item)
    return -number if sign else number


def decode_decimal(spec: FieldSpec, words: NDArray[np.int64]) -> Decimal:
    """The Decimal with the field's scale: ``Decimal("1.20")`` at scale 2."""
    _, scale = spec.decimal or (0, 0)
    unscaled = int.from_bytes(words.astype("<i8").tobytes(), "little", signed=True)
    digits = tuple(map(int, str(abs(unscaled))))
    return Decimal((int(unscaled < 0), digits, -scale))
