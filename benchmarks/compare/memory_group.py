"""A memory cgroup for a process to put itself into, of version 1 or 2, whichever counts memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


def new_group() -> tuple[Path, str]:
    """Where to make one, and its file for the limit."""
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        groups[controllers] = group.lstrip("/")
    name = f"stream-store-compare-{os.getpid()}"
    if "memory" in groups:
        own = MOUNT / "memory" / groups["memory"]
        # A container may have its own group mounted as the root of all.
        return (own if own.is_dir() else MOUNT / "memory") / name, "memory.limit_in_bytes"
    own = MOUNT / groups.get("", "")
    # Of version 2 a group that has processes has no children: beside it, if it is not the root.
    return (own if own == MOUNT else own.parent) / name, "memory.max"


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """A group that may have so many bytes; its processes have ended when it goes away.

    OSError where this process has no right to make one, or nothing there counts memory.
    """
    path, limit_file = new_group()
    path.mkdir()
    try:
        (path / limit_file).write_text(str(limit))
        yield path
    finally:
        path.rmdir()


def join(group: Path) -> None:
    """This process, from here on: what it had before stays charged where it was."""
    (group / "cgroup.procs").write_text("0")


def used(group: Path) -> int:
    names = ("memory.current", "memory.usage_in_bytes")
    file = next(group / name for name in names if (group / name).exists())
    return int(file.read_text())
