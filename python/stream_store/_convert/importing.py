"""import_source: appends the episodes of a source to a store.

Blocks that are not a whole episode are collected in a temporary store first, and committed by one
import of its Arrow stream, so that readers and a kill never see part of an episode. An episode that
is one block is appended directly, which is also all or nothing. The first commit of a store without
fields declares them and adds the rows at the same time; a temporary store has only one commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_store._exchange.arrow import c_stream, import_stream, replaces_rows
from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife
from stream_store._types import Progress
from stream_store.features import FieldSpec, parse_fields

from .checking import check_rows
from .journal import Journal, Position
from .numbering import change_of, offset_after
from .report import ConversionReport
from .residency import Residency
from .source import Block, Source

#: Size at which collected episodes are committed.
COMMIT_BYTES = 8 << 20
_CAPACITY = 1_000_000  # growth step of the store that collects them, in values


def import_source(
    store: StoreLife,
    source: Source,
    *,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import all episodes of a source, and close it.

    Whole episodes become visible together. If the process is killed or interrupted with Ctrl-C, the
    store has whole episodes only, and a file `<store>.import` beside it has the place at which
    `resume=True` continues. After an error the store has the rows that it had before the call.
    Fields that were declared stay declared if rows had been committed already.

    Args:
        store: open for writing. Without fields, it declares those of the source; otherwise every
            field of the source must be a field of the store.
        source: what to import.
        append: add to the rows of the store; numbers of episodes continue those that it has.
            Otherwise the rows of a temporary store are replaced, and a persistent one must be
            empty.
        resume: continue an import that was interrupted; start one if the store is empty.
        check: read the source again afterwards, and compare every value with the store.
        progress: called with (rows done, rows in all; 0 if unknown); an exception ends the import.

    Raises:
        ValueError: the store has rows and `append` is False; a value is not valid; or with
            `resume`, the interrupted import was of another source, or had other options.
        CheckError: with `check`, a value differs. The message names the row and the field; the
            import is undone as after other errors.
    """
    try:
        store._require_writable("convert")
        _require_fields(store, source)
        return _Import(store, source, append, resume, progress).run(check)
    finally:
        source.close()


def _require_fields(store: StoreLife, source: Source) -> None:
    if not source.fields:
        raise ValueError(f"{source.path}: {source.format}: there is no field to import")
    if not store.fields:
        return
    known = declared_fields(store).outer_names
    lacking = [name for name in source.fields if name not in known]
    if lacking:
        raise ValueError(
            f"{source.path}: {source.format}: the store has no field {_names(lacking)}; add it "
            f"with add_fields(), or choose others with map=. It has {_names(known)}"
        )


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


@contextmanager
def naming_source(source: Source) -> Iterator[None]:
    """Name the source, in one line, in an error about its fields or values."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if type(error) not in (ValueError, TypeError) or str(error).startswith(str(source.path)):
            raise
        lines = map(str.strip, str(error).removeprefix("temporary store: ").splitlines())
        text = "; ".join(lines).replace(":; ", ": ")
        raise type(error)(f"{source.path}: from_{source.format}: {text}") from error


class _Import:
    """One import: where the rows of the store began, and what is collected but not committed."""

    def __init__(
        self,
        store: StoreLife,
        source: Source,
        append: bool,
        resume: bool,
        progress: Progress | None,
    ) -> None:
        self._store, self._source, self._progress = store, source, progress
        self._append = append
        self._specs: list[FieldSpec] | None = None
        if not store.fields:
            with naming_source(source):
                self._specs = parse_fields(dict(source.fields))
        self._journal = None if store._temporary else Journal(store)
        self._begin(resume)
        self._collected = StoreLife(None, "a", (_CAPACITY, 0), 0.0, (0.0, 0, False))
        self._collected._define_fields(self._specs or declared_fields(store).specs)
        self._residency = Residency(store, self._collected)
        self._rows = self._episodes = 0

    # --- where to begin ---

    @property
    def _identity(self) -> dict[str, Any]:
        source = self._source
        return {
            "format": source.format,
            "source": str(Path(source.path).absolute()),
            "fields": list(source.fields),
            "options": dict(source.options),
        }

    def _begin(self, resume: bool) -> None:
        """Set the row at which the import began, that of this call, and the first episode."""
        store, journal = self._store, self._journal
        num_rows = store.num_rows if store.fields else 0
        self._resumed = False
        if resume and journal is None:
            raise ValueError("resume=True: a temporary store has no import to continue")
        if journal is not None and journal.exists:
            if resume and num_rows:
                first, offset, place = journal.read(self._identity, num_rows)
                if place.row < num_rows:
                    store.truncate(place.row)
                self._first_row, self._start, self._resumed = first, place, True
                self._source.episode_offset = offset
                return
            if num_rows:
                raise ValueError(
                    f"{store.path}: an import was interrupted: resume=True continues it (the "
                    f"command: --resume). To keep "
                    f"the rows as they are instead, delete {journal.path}"
                )
            journal.remove()  # its store is gone
        if resume and num_rows and not self._append:
            raise ValueError(
                f"{store.path} has {num_rows:,} rows but there is no interrupted import to resume"
            )
        replaces_rows(store, self._append)
        self._first_row = num_rows if self._append or journal is not None else 0
        self._start = Position(self._first_row, 0)
        self._source.episode_offset = offset_after(store, self._first_row, self._source)

    # --- the import ---

    def run(self, check: bool) -> ConversionReport:
        began = time.monotonic()
        source, store = self._source, self._store
        try:
            self._import()
            compared = None
            if check:
                compared = check_rows(store, source, self._first_row)
        except (KeyboardInterrupt, SystemExit):
            raise  # as after a kill: resume=True continues
        except BaseException:
            self._undo()
            raise
        finally:
            self._collected.close()
        if self._journal is not None:
            self._journal.remove()
        return ConversionReport(
            format=source.format,
            rows=self._rows,
            episodes=self._episodes,
            fields=tuple(source.fields),
            left_out=dict(source.left_out),
            changes={**source.changes, **change_of(source)},
            seconds=time.monotonic() - began,
            checked_values=compared,
            resumed_episodes=self._start.episode,
        )

    def _import(self) -> None:
        total = self._source.rows or 0
        done = self._start.row - self._first_row
        ended = True
        episode = self._start.episode
        for block in self._source.blocks(self._start.episode):
            whole, ended = ended and block.ends_episode, block.ends_episode
            episode = block.episode + 1
            before = self._nbytes()
            with naming_source(self._source):
                self._take(block, whole)
            self._residency.touched(abs(self._nbytes() - before))
            self._rows += block.rows
            self._episodes += ended
            if self._progress is not None:
                self._progress(done + self._rows, max(total, done + self._rows) if total else 0)
        with naming_source(self._source):
            self._commit_collected(episode, last=True)

    def _nbytes(self) -> int:
        return self._collected.nbytes + (self._store.nbytes if self._store.fields else 0)

    def _take(self, block: Block, whole: bool) -> None:
        collected = self._collected.num_rows
        if whole and not collected and self._specs is None and self._journal is not None:
            self._write_down(block.rows, block.episode + 1)
            self._store.extend(block.columns, block.steps)
            return
        self._collected.extend(block.columns, block.steps)
        full = self._specs is None or self._collected.nbytes >= COMMIT_BYTES
        if block.ends_episode and full and self._journal is not None:
            self._commit_collected(block.episode + 1, last=False)

    def _commit_collected(self, episode: int, *, last: bool) -> None:
        """Add the collected rows to the store, and with the first ones declare its fields."""
        rows = self._collected.num_rows
        first = self._specs is not None or self._journal is None
        if not rows and not (last and first):
            return
        self._write_down(rows, episode)
        step_column = ""
        if self._source.has_steps:
            step_column = "step"
            while step_column in declared_fields(self._collected).outer_names:
                step_column += "_"
        import_stream(
            self._store,
            c_stream(self._collected, declared_fields(self._collected), step_column=step_column),
            append=self._append or not first,
            specs=self._specs,
            step_column=step_column,
        )
        self._specs = None
        self._collected.clear()

    def _write_down(self, rows: int, episode: int) -> None:
        if self._journal is None:
            return
        row = self._store.num_rows if self._specs is None else 0
        if not self._resumed and row == self._start.row and not self._journal.exists:
            self._journal.start(self._identity, self._first_row, self._source.episode_offset)
        self._journal.add(row, rows, episode)

    def _undo(self) -> None:
        """Remove the rows of this call; those of an earlier one that it resumed stay."""
        store = self._store
        if store.closed or self._journal is None:
            return
        if store.fields and store.num_rows > self._start.row:
            store.truncate(self._start.row)
        if not self._resumed:
            self._journal.remove()
