"""What Shipper and Mirror share: rounds in the background, and the ``with`` statement."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from stream_store._closing import ClosedByWith

from .arguments import seconds
from .fork import require_usable
from .loop import Rounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self


class Background(ClosedByWith):
    """A base class of Shipper and Mirror."""

    def __init__(self, every: float) -> None:
        self._every = seconds("every", every)
        self._lock = threading.Lock()  # held by a round
        self._done_at: float | None = None
        self._rounds: Rounds | None = None

    @property
    def error(self) -> Exception | None:
        """The error of the last round in the background; None after a good one."""
        return None if self._rounds is None else self._rounds.error

    @property
    def lag(self) -> float | None:
        """Seconds since the last round that left nothing to do began; None before it."""
        return None if self._done_at is None else time.monotonic() - self._done_at

    def start(self) -> None:
        raise NotImplementedError

    @contextmanager
    def _one_round(self) -> Iterator[None]:
        """Let no other round begin meanwhile, and note when it began if it succeeds."""
        require_usable()  # before the lock, which a thread of the parent may have held
        with self._lock:
            began = time.monotonic()
            yield
            self._done_at = began

    def _new_rounds(
        self,
        what: str,
        work: Callable[[], object],
        watch: Callable[[], object] | None = None,
    ) -> Rounds:
        """Rounds in place of those before, which must have ended; `Rounds` has the arguments."""
        if self._rounds is not None and not self._rounds.ended:
            raise RuntimeError(f"{self._rounds.what} has been started already: close it first")
        self._rounds = Rounds(what, work, self._every, watch)
        return self._rounds

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, value, trace)
        except Exception:
            if kind is None:
                raise
