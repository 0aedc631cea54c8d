"""Arrow streams of a store, for any consumer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stream_store.features import FieldSpec

from .formats import arrow_fields, huggingface_metadata
from .schemas import describe, infer_fields

if TYPE_CHECKING:
    from stream_store.store import StreamStore


BATCH_BYTES = 64 << 20  # of the batches of a stream, about


def require(package: str, what: str) -> Any:
    """An optional package, or an ImportError that says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{what} needs the `{package}` package, which is not installed: "
            "pip install 'stream-store[datasets]'"
        ) from error


def c_stream(
    store: StreamStore,
    requested_schema: object = None,
    start: int = 0,
    stop: int | None = None,
    step_column: str = "",
    batch_bytes: int = BATCH_BYTES,
) -> object:
    """A capsule "arrow_array_stream" of the rows [start, stop) there are now."""
    first, last, _ = slice(start, stop).indices(store.num_rows)
    specs = store._specs
    return store._arrow_stream(
        requested_schema,
        (first, max(first, last), batch_bytes),
        arrow_fields(specs),
        huggingface_metadata(specs) if specs else "",
        step_column,
    )


def c_schema(store: StreamStore) -> object:
    """A capsule "arrow_schema" of what such a stream has."""
    specs = store._specs
    return store._arrow_schema(arrow_fields(specs), huggingface_metadata(specs) if specs else "")


class Rows:
    """Some rows of a store, for consumers of Arrow streams."""

    def __init__(
        self,
        store: StreamStore,
        start: int = 0,
        stop: int | None = None,
        step_column: str = "",
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self._store = store
        self._arguments = (start, stop, step_column, batch_bytes)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return c_stream(self._store, requested_schema, *self._arguments)


def import_stream(
    store: StreamStore,
    stream: object,
    *,
    append: bool,
    picks: object = None,
    specs: list[FieldSpec] | None = None,
    step_column: str = "",
    progress: Callable[[int], object] | None = None,
    failures: Sequence[BaseException] = (),
) -> int:
    """Import a capsule "arrow_array_stream": what from_arrow and from_dataset come to.

    specs     fields for a store that has none; by default they follow from the stream's schema.
    failures  what Python code behind the stream raised: through the stream only its text comes.
    """
    anew = anew_or_append(store, append)
    if store.fields:
        specs = store._specs
    elif specs is None:
        specs = infer_fields(describe(stream), (step_column,) if step_column else ())
    try:
        return store._import_arrow(
            (stream, picks),
            specs if anew else None,
            arrow_fields(specs),
            step_column,
            progress,
        )
    except (OSError, ValueError):
        if failures:
            raise failures[0] from None
        raise


def anew_or_append(store: StreamStore, append: bool) -> bool:
    """Whether an import takes the place of what is there.

    Raises:
        ValueError: a persistent store has rows, and `append` was not asked for.
        io.UnsupportedOperation: the store was not opened for writing.
    """
    if store.closed or store.mode == "r":
        store._import_arrow((None, None), None, (), "", None)  # says so
    if not store.fields:
        return True
    if append:
        return False
    if store._temporary:
        return True
    if store.num_rows:
        raise ValueError(
            f"{store.path} holds {store.num_rows} rows: append=True adds to them; "
            "only a temporary store is filled anew"
        )
    return False


def c_stream_of(source: Any, failures: list[BaseException]) -> object:
    """A capsule "arrow_array_stream" of anything that speaks Arrow.

    pyarrow's own objects are validated first: their buffers have sizes, a C stream's have not.
    What Python code raises behind the stream is put into `failures`.
    """
    name = type(source).__name__
    if type(source).__module__.partition(".")[0] == "pyarrow":
        if name in ("Table", "RecordBatch"):
            source.validate()
        elif name == "RecordBatchReader":
            source = reader_of(source.schema, _validated(source), failures)
    if hasattr(source, "__arrow_c_stream__"):
        return source.__arrow_c_stream__()
    if hasattr(source, "__arrow_c_array__"):
        batch = require("pyarrow", "an Arrow array").record_batch(source)
        return c_stream_of(batch, failures)
    if type(source).__name__ == "PyCapsule":
        return source
    raise TypeError(
        "expected an Arrow stream, such as a pyarrow Table or RecordBatchReader, a polars "
        f"DataFrame or a DuckDB relation, not {type(source).__name__}"
    )


def _validated(reader: Any) -> Iterator[Any]:
    for batch in reader:
        batch.validate()
        yield batch


def reader_of(schema: Any, batches: Iterator[Any], failures: list[BaseException]) -> Any:
    """A `pyarrow.RecordBatchReader` of an iterator; what that raises is put into `failures`."""

    def watched() -> Iterator[Any]:
        try:
            yield from batches
        except BaseException as error:
            failures.append(error)
            raise

    pyarrow = require("pyarrow", "a RecordBatchReader")
    return pyarrow.RecordBatchReader.from_batches(schema, watched())


def from_arrow(store: StreamStore, stream: Any, append: bool) -> int:
    """Rows of an Arrow stream; how many."""
    anew_or_append(store, append)  # before the stream is asked for anything
    failures: list[BaseException] = []
    capsule = c_stream_of(stream, failures)
    return import_stream(store, capsule, append=append, failures=failures)


def to_arrow(store: StreamStore, start: int, stop: int | None) -> Any:
    """A `pyarrow.RecordBatchReader` of rows [start, stop)."""
    pyarrow = require("pyarrow", "to_arrow")
    return pyarrow.RecordBatchReader.from_stream(Rows(store, start, stop))
