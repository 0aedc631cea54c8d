"""Files that users name as targets: none may lie inside a store."""

from __future__ import annotations

import os
from pathlib import Path

from ._convert.stores import is_store


def require_outside(target: str | os.PathLike[str], operation: str) -> None:
    """Refuse a target that is a store or inside one, whose files it could replace.

    Links are resolved, for programs that write through them. A link inside a store is refused, too.

    Raises:
        ValueError: the target is a store, or inside one.
    """
    path = Path(target)
    for place in (Path(os.path.realpath(path)), Path(os.path.realpath(path.parent), path.name)):
        for folder in (place, *place.parents):
            if is_store(folder):
                raise ValueError(
                    f"{target}: {operation}: expected a path outside of the store {folder}"
                )
