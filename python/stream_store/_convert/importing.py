"""import_source: appends the episodes of a source to a store."""

from __future__ import annotations

from stream_store._types import Progress
from stream_store.store import StreamStore

from .report import ConversionReport
from .source import Source


def import_source(
    store: StreamStore,
    source: Source,
    *,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import all episodes of a source, and close it.

    Whole episodes become visible together. If the process is killed, the store has whole episodes
    only, and a file `<store>.import` beside it tells `resume=True` where to continue. After an
    error the store has the rows that it had before the call.

    Args:
        store: open for writing. Without fields, it declares those of the source; otherwise every
            field of the source must be a field of the store.
        source: what to import.
        append: add to the rows of the store. Otherwise the rows of a temporary store are replaced,
            and a persistent one must be empty.
        resume: continue an import that was interrupted; start one if the store is empty.
        check: read the source again afterwards, and compare every value with the store.
        progress: called with (rows done, rows in all; 0 if unknown); an exception ends the import.

    Raises:
        ValueError: the store has rows and `append` is False; a value is not valid; or with
            `resume`, the interrupted import was of another source, or had other options.
        CheckError: with `check`, a value differs. The message names the row and the field; the
            import is undone as after other errors.
    """
    raise NotImplementedError
