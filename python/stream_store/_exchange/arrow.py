"""Arrow streams of a store, for any consumer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .formats import arrow_fields, huggingface_metadata

if TYPE_CHECKING:
    from stream_store.store import StreamStore


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
) -> object:
    """A capsule "arrow_array_stream" of the rows [start, stop) there are now."""
    first, last, _ = slice(start, stop).indices(store.num_rows)
    specs = store._specs
    return store._arrow_stream(
        requested_schema,
        first,
        max(first, last),
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

    def __init__(self, store: StreamStore, start: int, stop: int | None, step_column: str) -> None:
        self._store = store
        self._arguments = (start, stop, step_column)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return c_stream(self._store, requested_schema, *self._arguments)


def to_arrow(store: StreamStore, start: int, stop: int | None) -> Any:
    """A `pyarrow.RecordBatchReader` of rows [start, stop)."""
    pyarrow = require("pyarrow", "to_arrow")
    return pyarrow.RecordBatchReader.from_stream(Rows(store, start, stop, ""))
