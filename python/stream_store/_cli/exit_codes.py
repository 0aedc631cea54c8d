"""Exit codes of the command, besides 0 for success and 2 for wrong arguments."""

from __future__ import annotations

DAMAGED = 1  # verify found damage
FAILED = 3  # the store cannot be used
INTERRUPTED = 130  # Ctrl-C
