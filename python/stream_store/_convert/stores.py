"""How a store looks on disk. It imports nothing of the package, so everything may import it."""

from __future__ import annotations

from pathlib import Path


def is_store(path: Path) -> bool:
    """A store of this package."""
    return (path / "control").is_file() and (path / "schema").is_file()
