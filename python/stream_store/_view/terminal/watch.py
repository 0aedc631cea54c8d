"""Watch: reads a store in the background while the terminal shows it.

One thread finds segments and reduces the fields that are visible, so that keys are answered at once
whatever the size of the store. The thread of the screen asks for fields and takes results; both
sides only replace objects or append to lists, except for the requests, which have a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stream_store._view.model import FieldView, ViewModel
from stream_store._view.readable import Readable
from stream_store._view.segments import Segment, Segments
from stream_store._view.series import Envelope
from stream_store.errors import DroppedError, Error

_PIXELS = 256
#: Seconds between two looks at a store that does not change, and between two updates of the screen.
_LOOK = 0.25
_UPDATE = 0.1
#: A segment that grows is reduced again if this part of it is new.
_GROWTH = 0.02


class Watch:
    """The background of one store.

    Args:
        model: of the store.
        changed: called from the thread when there is something new to draw.

    Attributes:
        view: the latest snapshot.
        segments: found so far; replaced if fields were added.
        error: why reading has ended, or None.
        scanning: whether there are rows that were not scanned yet.
    """

    def __init__(self, model: ViewModel, changed: Callable[[], None]) -> None:
        self.model = model
        self.view = model.look()
        self.segments = Segments(model, self.view)
        self.error: str | None = None
        self.scanning = self.view.kept_rows > 0
        self._changed = changed
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = False
        self._wanted: tuple[Segment | None, list[FieldView]] = (None, [])
        self._done: dict[tuple[int, str], Envelope] = {}
        self._thread = threading.Thread(target=self._run, name="stream-store-view", daemon=True)
        self._thread.start()

    def want(self, segment: Segment | None, fields: list[FieldView]) -> None:
        """Ask for the series of some fields of a segment; earlier requests are forgotten."""
        with self._lock:
            self._wanted = segment, fields
        self._wake.set()

    def series(self, segment: Segment, field: FieldView) -> Envelope | None:
        """The reduced series of a field, perhaps of a part of a segment that grows; or None."""
        return self._done.get((segment.number, field.name))

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        updated, dirty = 0.0, True
        while not self._ended:
            try:
                busy = self._step()
            except DroppedError:  # the writer has dropped rows meanwhile: look again
                self.view = self.model.look()
                busy = True
            except (Error, OSError, ValueError, IndexError, MemoryError) as error:
                self.error = str(error)
                self.scanning = False
                self._changed()
                return
            dirty |= busy
            if dirty and (not busy or time.monotonic() - updated > _UPDATE):
                updated, dirty = time.monotonic(), False
                self._changed()
            if not busy:
                self._wake.wait(_LOOK)
                self._wake.clear()

    def _step(self) -> bool:
        """Do one piece of work. Returns whether there is more."""
        if self._reduce_one():
            return True
        view = self.view
        if not self.scanning:
            if not self._is_new(view):
                return False
            self.view = view = self.model.look()
        if self.model.refresh():
            self.segments = Segments(self.model, view)
            self._done = {}
        self.scanning = self.segments.advance(view)
        if not self.scanning:
            self.view = self.model.look()
            self.scanning = self.view.num_rows > self.segments.scanned
        return True

    def _is_new(self, view: Readable) -> bool:
        store = self.model.store
        rows, first = store.num_rows, store.first_row
        return (rows, first) != (view.num_rows, view.first_row)

    def _reduce_one(self) -> bool:
        """Reduce one field that was asked for. Returns whether there was any."""
        with self._lock:
            segment, fields = self._wanted
        if segment is None:
            return False
        view = self.view
        start, stop = max(segment.start, view.first_row), min(segment.stop, view.num_rows)
        if start >= stop:
            return False
        for field in fields:
            known = self._done.get((segment.number, field.name))
            new = stop - (known.stop if known else start)
            if known and (not new or (not segment.complete and new <= _GROWTH * (stop - start))):
                continue
            envelope = Envelope(start, stop, _PIXELS, len(field.components))
            for blocks in self.model.numbers(view, [field], start, stop):
                for _, block in blocks:
                    envelope.add(block)
                if self._ended or self._wanted[0] is not segment:
                    return True  # another segment is shown now
            if len(self._done) > 10_000:
                self._done = {}
            self._done[segment.number, field.name] = envelope
            return True
        return False
