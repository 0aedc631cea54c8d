"""The rules for names of fields."""

from __future__ import annotations

import re

MAX_NAME_BYTES = 255
MAX_FIELDS = 65_536

#: Keys that batches have beside the fields. A field may have such a name, see `batch_key`.
RESERVED = (
    "_step",
    "_mask",
    "_length",
    "_valid",
    "_store",
    "_row",
    "_index",
    "_segment",
    "_weight",
    "_probability",
)

_CLASHES = f"_*(?:{'|'.join(RESERVED)})"


def batch_key(name: str) -> str:
    """The key of a field in batches: its name, unless batches have another meaning for that.

    A field whose name is one of `RESERVED`, or begins with further underscores before one, has one
    more underscore in the results of `read_rows`, `windows` and samplers. Two fields therefore
    never have the same key.

    Args:
        name: the name of a field or of a struct.

    Examples:
        >>> from stream_store.features.names import batch_key
        >>> [batch_key(name) for name in ("obs", "_id", "_step", "__step")]
        ['obs', '_id', '__step', '___step']
    """
    return f"_{name}" if name.startswith("_") and re.fullmatch(_CLASHES, name) else name


def check_type(name: object) -> str:
    """The name as a plain `str`; TypeError for anything else."""
    if not isinstance(name, str):
        raise TypeError(f"field name {name!r}: expected str, found {type(name).__name__}")
    return str(name)


def problem_of(path: tuple[str, ...]) -> str | None:
    """The reason why a field cannot have this path, or None.

    The shown name is the path joined by dots; it has at most 255 bytes of UTF-8. A column may have
    an empty name, as Arrow's may; the leaf of a struct may not.
    """
    for part in path:
        if not part and len(path) > 1:
            return "the name is empty"
        if "\0" in part:
            return "the name has a zero byte, which ends the names of Arrow columns"
    try:
        size = len(".".join(path).encode("utf-8"))
    except UnicodeEncodeError:
        return "the name has lone surrogates, which UTF-8 cannot hold"
    if size > MAX_NAME_BYTES:
        return f"the name has {size} bytes of UTF-8; expected at most {MAX_NAME_BYTES}"
    return None
