"""Arrow streams of a store, for any consumer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stream_store import _core
from stream_store._arguments import row_range
from stream_store._fields import DeclaredFields, declared_fields, fixed_view
from stream_store.features import FieldSpec

from .formats import arrow_fields, huggingface_metadata
from .inspect import NOTHING, Storage, batch_of, inspected
from .optional import require
from .schemas import describe, infer_fields
from .tables import converted, same_storage

#: A new store is built beside its path, under such a name. It is gone when an error is raised.
_STAGED = re.compile(r".*/\.[^/]*\.tmp-[0-9a-f]{32}(?=: )")
BATCH_BYTES = 64 << 20  # approximate size of the batches of a stream


def c_stream(
    core: _core.Store,
    fields: DeclaredFields,
    requested_schema: object = None,
    start: int | None = None,
    stop: int | None = None,
    step_column: str = "",
    batch_bytes: int = BATCH_BYTES,
    columns: Sequence[str] | None = None,
) -> object:
    """A capsule "arrow_array_stream" of rows [start, stop) of a snapshot with these fields.

    `columns` are the outer names to export, in order; None exports all.
    """
    first, last = row_range(core, start, stop)
    return core._arrow_stream(
        requested_schema,
        (None if start is None else first, last, batch_bytes),
        arrow_fields(fields.specs),
        _metadata(fields, columns),
        (step_column, columns),
    )


def c_schema(
    core: _core.Store, fields: DeclaredFields, columns: Sequence[str] | None = None
) -> object:
    """A capsule "arrow_schema": the schema of such a stream, without the step column."""
    return core._arrow_schema(arrow_fields(fields.specs), _metadata(fields, columns), columns)


def _metadata(fields: DeclaredFields, columns: Sequence[str] | None) -> str:
    """The features of the columns. A name without a field is left to the core, which refuses it."""
    known = fields.json
    if columns is not None:
        known = {name: known[name] for name in columns if name in known}
    return huggingface_metadata(known)


class Rows:
    """A range of rows of a snapshot, for consumers of Arrow streams."""

    def __init__(
        self,
        core: _core.Store,
        fields: DeclaredFields,
        start: int | None = None,
        stop: int | None = None,
        step_column: str = "",
        batch_bytes: int = BATCH_BYTES,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._core = core
        self._fields = fields
        self._arguments = (start, stop, step_column, batch_bytes, columns)

    def __arrow_c_schema__(self) -> object:
        return c_schema(self._core, self._fields, self._arguments[-1])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return c_stream(self._core, self._fields, requested_schema, *self._arguments)


def batches_of(
    core: _core.Store,
    fields: DeclaredFields,
    schema: Any,
    start: int | None = None,
    stop: int | None = None,
    step_column: str = "",
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[Any]:
    """Rows [start, stop) as `pyarrow.RecordBatch` with a given schema, that of `datasets`.

    The core makes the schema's types, except for columns that `datasets` keeps as another type,
    such as maps: these are converted here.
    """
    pyarrow = require("pyarrow", "to_dataset")
    rows = Rows(core, fields, start, stop, step_column, batch_bytes)
    own = pyarrow.schema(rows)
    asked = [
        field
        if field.name == step_column or same_storage(own.field(field.name).type, field.type)
        else own.field(field.name)
        for field in schema
    ]
    reader = pyarrow.RecordBatchReader.from_stream(
        rows, schema=pyarrow.schema(asked, metadata=schema.metadata)
    )
    if asked == list(schema):
        return iter(reader)
    return (_as_schema(batch, schema) for batch in reader)


def _as_schema(batch: Any, schema: Any) -> Any:
    pairs = zip(batch.columns, schema, strict=True)
    columns = [converted(column, field.type) for column, field in pairs]
    return require("pyarrow", "to_dataset").RecordBatch.from_arrays(columns, schema=schema)


def import_stream(
    core: _core.Store,
    stream: object,
    *,
    append: bool,
    picks: object = None,
    specs: list[FieldSpec] | None = None,
    storage: Storage = NOTHING,
    step_column: str = "",
    progress: Callable[[int], object] | None = None,
    failures: Sequence[BaseException] = (),
) -> int:
    """Import a capsule "arrow_array_stream"; from_arrow and from_dataset end here.

    Args:
        core: the store.
        stream: the capsule.
        append: add to the rows of the store.
        picks: a capsule of a stream with the numbers of the rows to take, or None for all.
        specs: fields for a store without fields; by default they follow from the stream's schema.
        storage: what to store nested or packed if the fields follow from the schema.
        step_column: name of the column with the steps, or "".
        progress: called with the number of rows done.
        failures: exceptions of the Python code that feeds the stream. The stream itself passes on
            only the text of an exception, so the first of these is raised instead.

    Returns:
        The number of rows.
    """
    replaces = replaces_rows(core, append)
    if core.fields:
        specs = declared_fields(core).specs
    elif specs is None:
        leave_out = (step_column,) if step_column else ()
        specs = infer_fields(
            describe(stream), leave_out, nested=storage.nested, packed=storage.packed
        )
    try:
        return core._import_arrow(
            (stream, picks),
            specs if replaces else None,
            arrow_fields(specs),
            step_column,
            progress,
        )
    except (OSError, ValueError) as error:
        if failures:
            raise failures[0] from None
        staged = _STAGED.match(str(error))
        if type(error) is ValueError and staged is not None:
            raise ValueError(f"{core._path}{str(error)[staged.end() :]}") from None
        raise


def replaces_rows(core: _core.Store, append: bool) -> bool:
    """Whether an import replaces the rows of a store that can be written.

    Raises:
        ValueError: a persistent store has rows, and `append` is False.
    """
    if not core.fields:
        return True
    if append:
        return False
    if core._temporary:
        return True
    if core.num_rows:
        raise ValueError(
            f"{core._path} has {core.num_rows} rows: append=True adds to them; only the rows of a "
            "temporary store are replaced"
        )
    return False


def c_stream_of(source: Any, failures: list[BaseException]) -> object:
    """A capsule "arrow_array_stream" of any object with Arrow data.

    Objects of pyarrow are validated first, because their buffers have sizes; those of a C stream
    have none. Exceptions of the code that feeds the stream are added to `failures`.
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
        return c_stream_of(batch_of(source), failures)
    if type(source).__name__ == "PyCapsule":
        return source
    raise TypeError(
        "expected an Arrow stream, such as a pyarrow Table or RecordBatchReader, a polars "
        f"DataFrame or a DuckDB relation, not {type(source).__name__}"
    )


def _validated(reader: Any) -> Iterator[Any]:
    for batch in reader:
        if batch.schema != reader.schema:  # pyarrow does not compare them
            raise ValueError(
                f"the stream has the columns {reader.schema.to_string(show_schema_metadata=False)} "
                f"but a batch has {batch.schema.to_string(show_schema_metadata=False)}"
            )
        batch.validate()
        yield batch


def reader_of(schema: Any, batches: Iterator[Any], failures: list[BaseException]) -> Any:
    """A `pyarrow.RecordBatchReader` of an iterator, whose exceptions are added to `failures`."""

    def watched() -> Iterator[Any]:
        try:
            yield from batches
        except GeneratorExit:  # the import ended before the stream did
            raise
        except BaseException as error:
            failures.append(error)
            raise

    pyarrow = require("pyarrow", "a RecordBatchReader")
    return pyarrow.RecordBatchReader.from_batches(schema, watched())


def from_arrow(core: _core.Store, stream: Any, append: bool) -> int:
    """Import the rows of an Arrow stream; returns their number."""
    core._require_writable("from_arrow")
    replaces_rows(core, append)  # fails before the stream is consumed
    storage = NOTHING
    if not core.fields:
        stream, storage = inspected(stream)
    failures: list[BaseException] = []
    capsule = c_stream_of(stream, failures)
    return import_stream(core, capsule, append=append, storage=storage, failures=failures)


def to_arrow(core: _core.Store, start: int | None, stop: int | None) -> Any:
    """A `pyarrow.RecordBatchReader` of rows [start, stop)."""
    pyarrow = require("pyarrow", "to_arrow")
    return pyarrow.RecordBatchReader.from_stream(Rows(*fixed_view(core), start, stop))
