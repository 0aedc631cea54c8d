"""Deleting objects that are not needed any more, a while after they were removed.

A mirror may be reading a pack that was just replaced, so objects stay for a grace time. Which
objects wait is part of the manifests: after a restart they wait once more. Only monotonic clocks
are used.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from .bucket import Bucket
from .history import manifest_numbers
from .manifest import State
from .names import FULL_EVERY, PACKS, manifest_name, pack_range


class Sweeper:
    """The objects that wait for their deletion."""

    def __init__(self, bucket: Bucket, grace: float) -> None:
        self._bucket = bucket
        self._grace = grace
        self._waiting: deque[tuple[float, str]] = deque()
        self._oldest_manifest = 0  # that may exist

    def begin(self, state: State) -> None:
        """Take over from an earlier shipper: what waits, and packs that no manifest names.

        Objects with other names belong to others and stay.
        """
        self.later(pack.name for pack in state.retired)
        known = state.live() | {pack.name for pack in state.retired}
        left = (name for name in self._bucket.list(PACKS) if pack_range(name) is not None)
        self.later(name for name in left if name not in known)
        numbers = manifest_numbers(self._bucket)
        self._oldest_manifest = numbers[0] if numbers else 0
        self.after(state)

    def later(self, names: Iterable[str]) -> None:
        """Delete these objects after the grace time."""
        due = time.monotonic() + self._grace
        self._waiting.extend((due, name) for name in names)

    def after(self, state: State) -> None:
        """Delete the manifests that no reader needs after this one.

        Readers begin with the newest full manifest. One that began before may still read on.
        """
        needed = state.newest.number // FULL_EVERY * FULL_EVERY - FULL_EVERY
        if needed > self._oldest_manifest:
            self.later(manifest_name(n) for n in range(self._oldest_manifest, needed))
            self._oldest_manifest = needed

    def due(self) -> list[str]:
        """The objects whose time has come."""
        now = time.monotonic()
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(self._waiting.popleft()[1])
        return due

    def delete(self, names: list[str], live: set[str]) -> None:
        """Delete objects that are due. Those that could not be deleted are due again."""
        for done, name in enumerate(names):
            if name in live:
                continue
            try:
                self._bucket.delete(name)
            except Exception:
                self._waiting.extendleft((0.0, left) for left in reversed(names[done:]))
                raise
