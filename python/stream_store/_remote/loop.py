"""Rounds in the background: one thread that repeats a call, and goes on after errors that pass.

Such an error is logged once, by the logger "stream_store".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from stream_store.errors import RemoteError, StoreFullError

_LOG = logging.getLogger("stream_store")
_LONGEST_PAUSE = 30.0  # seconds between two tries after errors
_LOOK_EVERY = 0.05  # seconds between two looks for work


def passes(error: BaseException) -> bool:
    """Whether a later round may succeed."""
    return isinstance(error, StoreFullError) or (isinstance(error, RemoteError) and error.transient)


class Rounds:
    """Calls `work` every `every` seconds, in this thread or in one of its own.

    Thread rules: any thread may call any method. Only a monotonic clock is used.
    """

    def __init__(
        self,
        what: str,
        work: Callable[[], object],
        every: float,
        watch: Callable[[], object] | None = None,
    ) -> None:
        self.what = what  # such as "shipping runs/a", for messages
        self._work = work
        self._every = every
        self._watch = watch  # a value that changes when there is work; may be called at any time
        self._watched: object = None
        self.error: Exception | None = None  # of the last round
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.ended = False

    def run(self) -> None:
        """Work until `stop` is called or an error does not pass, which is raised."""
        try:
            self._repeat()
        finally:
            self.ended = True

    def _repeat(self) -> None:
        failures = 0
        began = time.monotonic()
        while not self._stop.is_set():
            try:
                self._work()
                failures = 0
                self.error = None
            except Exception as error:
                self.error = error
                if not passes(error):
                    raise
                if not failures:
                    _LOG.warning("%s: %s; trying again", self.what, error)
                failures += 1
            if failures:
                pause = self._every * 2 ** min(failures, 32)  # a float has no room for more
                self._stop.wait(min(pause, max(_LONGEST_PAUSE, self._every)))
                began = time.monotonic()
            elif self._watch is not None:
                began = self._await_change(began, self._watch)
            else:
                now = time.monotonic()
                began = max(began + self._every, now)  # late rounds are not made up for
                self._stop.wait(began - now)

    def _await_change(self, began: float, watch: Callable[[], object]) -> float:
        """Wait until a round is due and there is work, or twice as long.

        Returns the time of the last change, from which the next round is due. So rounds begin right
        after the changes, if those come at a steady rate.
        """
        changed = None
        while not self._stop.is_set():
            now = time.monotonic()
            value = watch()
            if value != self._watched:
                self._watched, changed = value, now
            if now >= began + self._every * (1 if changed is not None else 2):
                break
            self._stop.wait(min(_LOOK_EVERY, self._every / 10))
        return time.monotonic() if changed is None else changed

    def start(self) -> None:
        """Work in a thread."""
        self._thread = threading.Thread(target=self._run_and_log, name=self.what, daemon=True)
        self._thread.start()

    def _run_and_log(self) -> None:
        try:
            self.run()
        except Exception as error:
            _LOG.error("%s: %s; it has ended", self.what, error)

    def stop(self) -> bool:
        """End the work, and wait for a round under way. Returns whether a thread worked."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        return thread is not None
