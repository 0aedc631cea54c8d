"""Forks: the threads of obstore do not survive one, and a child that uses it would wait forever."""

from __future__ import annotations

import os


class _Use:
    """Whether this process has used obstore, and whether a process that it was forked from had."""

    here = False
    before_fork = False


def _forked() -> None:
    _Use.before_fork = _Use.before_fork or _Use.here
    _Use.here = False


os.register_at_fork(after_in_child=_forked)


def require_usable() -> None:
    """Raise in a process in which obstore would wait forever.

    Raises:
        RuntimeError: this process was forked from one that had used obstore.
    """
    if _Use.before_fork:
        raise RuntimeError(
            "shipping and mirroring do not work in a process that was forked after its parent had "
            "shipped, mirrored or verified: start this process with 'spawn' or 'forkserver', or "
            "fork before the parent does so, and make the Shipper or Mirror in the child"
        )


def note_use() -> None:
    """Remember that this process uses obstore."""
    require_usable()
    _Use.here = True
