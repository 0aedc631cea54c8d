"""float16 and float32 to the bits of a float64 and back, such that every pattern survives.

The conversions of the processor quiet a signalling NaN; here NaNs go by integer shifts. Everything
else is rounded to nearest, ties to even. The C++ core does the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANTISSA_BITS = {2: 10, 4: 23}
_UNSIGNED: dict[int, np.dtype[Any]] = {2: np.dtype("u2"), 4: np.dtype("u4")}


def _exponent_ones(size: int) -> int:
    """Bits of positive infinity."""
    return (1 << (8 * size - 1)) - (1 << _MANTISSA_BITS[size])


def widen(array: NDArray[Any]) -> NDArray[np.float64]:
    """Floats of 2, 4 or 8 bytes as float64; the payloads of NaNs are kept. Any shape."""
    size = array.dtype.itemsize
    if size == 8:
        return array
    with np.errstate(all="ignore"):
        doubles: NDArray[np.float64] = np.array(array, dtype=np.float64)
    nan = np.isnan(array)
    if nan.any():
        bits = array.view(_UNSIGNED[size])[nan].astype(np.uint64)
        sign = (bits >> (8 * size - 1)) << 63
        mantissa = bits & ((1 << _MANTISSA_BITS[size]) - 1)
        quiet = sign | 0x7FF0000000000000 | (mantissa << (52 - _MANTISSA_BITS[size]))
        doubles.view(np.uint64)[nan] = quiet
    return doubles


def narrow(doubles: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """float64 rounded to `dtype`; of a NaN, sign and top of its payload. Always a new array."""
    size = dtype.itemsize
    if size == 8:
        return np.array(doubles)
    with np.errstate(all="ignore"):
        narrowed = np.array(doubles, dtype=dtype)
    nan = np.isnan(doubles)
    if nan.any():
        bits = doubles.view(np.uint64)[nan]
        sign = (bits >> 63) << (8 * size - 1)
        mantissa = (bits & ((1 << 52) - 1)) >> (52 - _MANTISSA_BITS[size])
        mantissa[mantissa == 0] = 1 << (_MANTISSA_BITS[size] - 1)  # 0 would be infinity: quiet
        kept = sign | _exponent_ones(size) | mantissa
        narrowed.view(_UNSIGNED[size])[nan] = kept.astype(_UNSIGNED[size])
    return narrowed


def widen_bfloat16(array: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16, which NumPy does not know, by its bits: the upper half of a float32."""
    wide = array.view(np.uint16).astype(np.uint32) << 16
    floats: NDArray[np.float32] = wide.view(np.float32)
    return floats
