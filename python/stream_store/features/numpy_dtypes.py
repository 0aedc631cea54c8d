"""NumPy dtypes as dtype names of `datasets.Value`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtypes import unknown_dtype


def value_of_dtype(dtype: np.dtype[Any]) -> str:
    """``"float32"`` for ``np.dtype(">f4")``, ``"timestamp[ns]"`` for ``np.dtype("M8[ns]")``.

    The byte order does not matter.

    Raises:
        ValueError: items of this dtype cannot be stored.
    """
    kind, bits = dtype.kind, 8 * dtype.itemsize
    if kind == "b":
        return "bool"
    if kind in "iu":
        return f"{'u' if kind == 'u' else ''}int{bits}"
    if kind == "f" and bits in (16, 32, 64) and dtype.name.startswith("float"):
        return f"float{bits}"
    if kind in "Mm":
        return _temporal(dtype)
    if kind in "UT":
        return "string"
    if kind == "S":
        return "binary"
    if kind == "V" and dtype.type is np.void and dtype.names is None and dtype.itemsize:
        return f"fixed_size_binary[{dtype.itemsize}]"
    if dtype.name == "bfloat16":
        raise unknown_dtype("bfloat16")
    raise ValueError(
        f"the NumPy dtype {dtype}; "
        "expected one of bool, ints, float16 to float64, dates, text or bytes"
    )


def _temporal(dtype: np.dtype[Any]) -> str:
    unit, count = np.datetime_data(dtype)
    if count == 1 and unit in ("s", "ms", "us", "ns"):
        return f"{'timestamp' if dtype.kind == 'M' else 'duration'}[{unit}]"
    if count == 1 and unit == "D" and dtype.kind == "M":
        return "date32"
    units = "[D], [s], [ms], [us] or [ns]" if dtype.kind == "M" else "[s], [ms], [us] or [ns]"
    raise ValueError(f"the NumPy dtype {dtype}; expected the unit {units}")
