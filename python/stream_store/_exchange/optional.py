"""Optional packages, which are imported when a function needs them."""

from __future__ import annotations

import importlib
from typing import Any


def require(package: str, operation: str, *, extra: str | None = "datasets") -> Any:
    """An optional package; an ImportError says how to install it.

    With `extra`, it says so with an extra of this package.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{operation} needs the `{package}` package, which is not installed: "
            f"pip install {package if extra is None else repr(f'stream-store[{extra}]')}"
        ) from error
