"""A memory cgroup that a process can join, of version 1 or 2, whichever controls memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


def new_group() -> tuple[Path, str]:
    """Return the path for a new group and the name of its limit file."""
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        groups[controllers] = group.lstrip("/")
    name = f"stream-store-compare-{os.getpid()}"
    if "memory" in groups:
        own = MOUNT / "memory" / groups["memory"]
        # In a container, the group of the container may be mounted as the root.
        return (own if own.is_dir() else MOUNT / "memory") / name, "memory.limit_in_bytes"
    own = MOUNT / groups.get("", "")
    # In version 2, a group with processes cannot have children, unless it is the root. The new
    # group is therefore a sibling of the current one.
    return (own if own == MOUNT else own.parent) / name, "memory.max"


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """Create a group with a limit in bytes. Its processes must end before the context does.

    Raises OSError if this process may not create a group or if no memory controller is available.
    """
    path, limit_file = new_group()
    path.mkdir()
    try:
        (path / limit_file).write_text(str(limit))
        yield path
    finally:
        path.rmdir()


def join(group: Path) -> None:
    """Move this process into the group. Memory that it already has stays charged elsewhere."""
    (group / "cgroup.procs").write_text("0")


def used(group: Path) -> int:
    names = ("memory.current", "memory.usage_in_bytes")
    file = next(group / name for name in names if (group / name).exists())
    return int(file.read_text())
