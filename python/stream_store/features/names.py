"""The rules for names of fields."""

from __future__ import annotations

import re

MAX_NAME_BYTES = 255
MAX_FIELDS = 65_536

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_type(name: object) -> str:
    """The name as a plain `str`; TypeError for anything else."""
    if not isinstance(name, str):
        raise TypeError(f"field name {name!r}: expected str, found {type(name).__name__}")
    return str(name)


def problem_of(path: tuple[str, ...]) -> str | None:
    """The reason why a field cannot have this path, or None.

    The shown name is the path joined by dots; it has at most 255 bytes of UTF-8.
    """
    for part in path:
        if not part:
            return "the name is empty"
        if _CONTROL.search(part):
            return "the name has control characters"
    if path[0].startswith("_"):
        return "the name begins with '_', which is reserved for columns such as '_step'"
    try:
        size = len(".".join(path).encode("utf-8"))
    except UnicodeEncodeError:
        return "the name has lone surrogates, which UTF-8 cannot hold"
    if size > MAX_NAME_BYTES:
        return f"the name has {size} bytes of UTF-8; expected at most {MAX_NAME_BYTES}"
    return None
