"""Completion of the names of fields in a shell. Typer completes commands and options by itself."""

from __future__ import annotations

import typer

import stream_store
from stream_store._fields import declared_fields


def field_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the fields that begin with `incomplete`, of the store that the command line names.

    Nothing is completed, and nothing is printed, if there is no readable store at that path.
    """
    # An option that still lacks its value ends the parsing, and leaves the arguments as they are.
    path = ctx.params.get("store") or next(iter(ctx.args), None)
    if path is None:
        return []
    try:
        with stream_store.StreamStore(path, "r") as store:
            names = declared_fields(store).outer_names
    except (stream_store.Error, OSError, ValueError):
        return []
    return [name for name in names if name.startswith(incomplete)]
