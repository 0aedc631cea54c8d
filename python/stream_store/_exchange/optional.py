"""Optional packages, which are imported when a function needs them."""

from __future__ import annotations

import importlib
from typing import Any


def require(package: str, operation: str) -> Any:
    """An optional package; an ImportError says how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{operation} needs the `{package}` package, which is not installed: "
            "pip install 'stream-store[datasets]'"
        ) from error
