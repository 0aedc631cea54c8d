"""The terminal application. Needs textual and rich: `pip install 'stream-store[cli]'`."""

from __future__ import annotations

from .app import ViewApp

__all__ = ["ViewApp"]
