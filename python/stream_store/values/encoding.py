"""Python objects to what the core's append takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec

from .arrays import as_array, fit_shape
from .decimals import encode_decimal
from .errors import wrong_value
from .numeric import convert_numbers
from .temporal import convert_temporal
from .texts import encode_bytes


def encode(spec: FieldSpec, value: Any) -> NDArray[Any] | bytes:
    """One field's value at one step, in a form that the core copies without further questions.

    Args:
        spec: the field.
        value: numbers, lists, arrays of any library, dates, decimals, text, names of classes.

    Returns:
        The flattened items as a C-contiguous 1-D array in the machine's byte order: bool, int, uint
        or float for numbers; a packed field's in its item dtype; int64 counts for dates and times;
        two or four int64 words for a decimal; `bytes` for text and binary.

    Raises:
        ValueError: the value is not one of this field; the message names field, feature and value.
        TypeError: so is an object of a kind that the field does not take.

    May run code of `value` (``__array__``, ``__index__``); nothing of a store is touched meanwhile.
    """
    if value is None:
        raise wrong_value(spec, "a value; leave a field without one out of the step", value)
    kind = spec.info.kind
    if kind == "null":
        raise wrong_value(spec, "no value: the field is always missing", value)
    if kind == "bytes":
        return encode_bytes(spec, value)
    if kind == "decimal":
        return encode_decimal(spec, value)
    return np.ascontiguousarray(convert_array(spec, fit_shape(spec, as_array(spec, value))))


def convert_array(spec: FieldSpec, values: NDArray[Any]) -> NDArray[Any]:
    """Numbers, dates or times, checked and in a dtype that the core takes; the shape stays.

    For whole columns: the shape is not compared with the field's.
    """
    return convert_numbers(spec, values) if spec.unit is None else convert_temporal(spec, values)
