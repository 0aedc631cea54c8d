"""Exit codes of the command, besides 0 for success."""

from __future__ import annotations

DAMAGED = 1  # verify found damage
WRONG = 2  # wrong arguments, the code that typer has for them
FAILED = 3  # the store cannot be used
INTERRUPTED = 130  # Ctrl-C


class ArgumentError(ValueError):
    """An argument is not valid; the command exits with `WRONG`."""
