"""Features given as strings: ``[packed ]<dtype>[dims]``.

``float32``          one item
``float32[]``        a list of varying length
``float32[3]``       a list of 3
``float32[2,2]``     an array of 2 to 5 dimensions; the first one varies if it is ``None``
``packed uint8[84,84,4]``  stored as the bytes of its items
"""

from __future__ import annotations

import re

from .dtypes import canonical_value, parse_value, unknown_dtype
from .nodes import RAGGED, Json, shaped_json

_DIMS = re.compile(r"(None|\d{1,15})(,\d{1,15})*")


def parse_string(text: str) -> tuple[Json, bool]:
    """Parse the string of a feature.

    Returns:
        The JSON of the feature, and whether it is packed.

    Raises:
        ValueError: the string is not valid; the message names similar features.
    """
    words = text.strip()
    packed = words.startswith("packed ")
    words = words.removeprefix("packed ").strip()
    try:
        parse_value(words)
    except ValueError:
        value, bracket, dims = words.rpartition("[")
        if not bracket or not dims.endswith("]"):
            raise
        return shaped_json(_value_before(value, text), _parse_dims(dims[:-1], text)), packed
    return shaped_json(canonical_value(words), ()), packed


def _value_before(value: str, text: str) -> str:
    try:
        parse_value(value)
    except ValueError as error:
        if value.endswith("]") and _is_value(value.rpartition("[")[0]):
            raise ValueError(
                f"{text!r}: expected one pair of brackets, as in 'float32[2,3]'"
            ) from None
        raise unknown_dtype(text) if not value else error from None
    return canonical_value(value)


def _is_value(text: str) -> bool:
    try:
        parse_value(text)
    except ValueError:
        return False
    return True


def _parse_dims(dims: str, text: str) -> tuple[int, ...]:
    dims = dims.replace(" ", "")
    if not dims:
        return (RAGGED,)
    if not _DIMS.fullmatch(dims):
        raise ValueError(
            f"{text!r}: expected its dimensions as in 'float32[]', 'float32[3]', 'float32[2,2]' "
            "or 'float32[None,3]'"
        )
    return tuple(RAGGED if dim == "None" else int(dim) for dim in dims.split(","))
