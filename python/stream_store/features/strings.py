"""Features given as strings: ``[packed ]<dtype>[dims]`` or ``nested <Arrow type>``.

``float32``          one item
``float32[]``        a list of varying length
``float32[3]``       a list of 3
``float32[2,2]``     an array of 2 to 5 dimensions; the first one varies if it is ``None``
``packed uint8[84,84,4]``  stored as the bytes of its items; ``packed int32[]``, ``packed string``
``nested list<string>``    any Arrow type, in the notation of pyarrow
"""

from __future__ import annotations

import re
from functools import lru_cache

from .arrow_types import ArrowType
from .dtypes import canonical_value, parse_value, unknown_dtype
from .feature_types import Typed, feature_of, tree_of
from .nodes import RAGGED, shaped_json
from .notation import parse_type
from .value_formats import format_of_value

_DIMS = r"(None|\d{1,15})(,\d{1,15})*"


@lru_cache(maxsize=4096)
def parse_string(text: str) -> tuple[Typed, str]:
    """Parse the string of a feature.

    Returns:
        The feature, and its first word if that is "packed" or "nested", else "".

    Raises:
        ValueError: the string is not valid; the message names similar features.
    """
    words = text.strip()
    for word in ("packed", "nested"):
        if words.startswith(f"{word} "):
            rest = words[len(word) + 1 :].strip()
            return (_nested if word == "nested" else _flat)(rest, text), word
    return _flat(words, text), ""


def _nested(words: str, text: str) -> Typed:
    try:
        tree = parse_type(words)
    except ValueError as error:
        try:
            return _flat(words, text)  # "nested float32[2,2]"
        except ValueError:
            raise ValueError(f"{text!r}: {error}") from None
    return Typed(feature_of(tree), tree)


def _flat(words: str, text: str) -> Typed:
    try:
        parse_value(words)
    except ValueError:
        value, bracket, dims = words.rpartition("[")
        if not bracket or not dims.endswith("]"):
            raise
        value = _value_before(value, text)
        dimensions = _parse_dims(dims[:-1], text)
        if value.startswith(_NOT_IN_DATASETS):
            raise ValueError(
                f"{text!r}: declare an array of {value} as 'nested list<{value}>'"
            ) from None
        return _shaped(value, dimensions)
    value = canonical_value(words)
    if value == "fixed_size_binary[0]":
        raise ValueError(f"{text!r}: a dimension of 0 in its shape; expected 1 or more")
    if value.startswith(_NOT_IN_DATASETS):
        tree = ArrowType(format_of_value(value))
        return Typed(feature_of(tree), tree)
    return _shaped(value, ())


def _shaped(value: str, shape: tuple[int, ...]) -> Typed:
    node = shaped_json(value, shape)
    return Typed(node, tree_of(node))


# Value of `datasets` does not have these types, so that another feature stands for them.
_NOT_IN_DATASETS = ("decimal32(", "decimal64(", "month_interval", "day_time_interval")


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
    if not re.fullmatch(_DIMS, dims):
        raise ValueError(
            f"{text!r}: expected its dimensions as in 'float32[]', 'float32[3]', 'float32[2,2]' "
            "or 'float32[None,3]'"
        )
    shape = tuple(RAGGED if dim == "None" else int(dim) for dim in dims.split(","))
    if 0 in shape:
        raise ValueError(f"{text!r}: a dimension of 0 in its shape; expected 1 or more")
    return shape
