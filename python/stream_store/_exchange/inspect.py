"""Which columns of Arrow data must be stored nested, and which are better stored packed.

Only bitmaps and offsets are read, so the cost does not depend on the size of the values:

nested  a list column of a flat type with a null inside a list. A plain list field has no place for
        the null; a nested field has.
packed  a string or binary column whose present values have more than 64 bytes on average. Packed
        text takes its own size, plain text eight times that.

Columns of other types need no decision: their type alone says how they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .capsules import CapsuleBatches
from .optional import require
from .schemas import describe

PACKED_BYTES = 64  # average size above which a string or binary column is packed

Path = tuple[str, ...]


class Storage(NamedTuple):
    """Paths of the columns, and of fields in structs, that are stored nested or packed."""

    nested: frozenset[Path]
    packed: frozenset[Path]


NOTHING = Storage(frozenset(), frozenset())


def storage_of(table: Any) -> Storage:
    """Decide for every column of a `pyarrow.Table` or `RecordBatch`.

    A null of one of several chunks is enough to make a column nested.
    """
    nested: set[Path] = set()
    packed: set[Path] = set()
    for number, field in enumerate(table.schema):
        column = table.column(number)
        chunks = column.chunks if hasattr(column, "chunks") else [column]
        _visit((field.name,), field.type, chunks, nested, packed)
    return Storage(frozenset(nested), frozenset(packed))


def inspected(source: Any) -> tuple[Any, Storage]:
    """Any object with Arrow data, and how its columns are stored.

    Tables and data frames are inspected as a whole. Of a stream, which can be read once, only the
    first batch is; the object that is returned has the whole stream.
    """
    try:
        pyarrow = require("pyarrow", "the inspection of columns")
    except ImportError:  # the import itself does not need it
        return source, NOTHING
    if _is_frame(source):
        source = _table_of(source)
    if isinstance(source, (pyarrow.Table, pyarrow.RecordBatch)):
        source.validate()
        return source, storage_of(source)
    if not isinstance(source, pyarrow.RecordBatchReader):
        if not hasattr(source, "__arrow_c_stream__") and hasattr(source, "__arrow_c_array__"):
            return inspected(batch_of(source))
        capsule = _capsule_of(source)
        if capsule is None:
            return source, NOTHING
        root = describe(capsule)  # fails if it was read already
        if root.format != "+s":
            raise not_columns(source)
        source = CapsuleBatches(capsule)
    batches = iter(source)
    first = next(batches, None)
    whole = chain([] if first is None else [first], batches)
    reader = pyarrow.RecordBatchReader.from_batches(source.schema, whole)
    if first is None:
        return reader, NOTHING
    first.validate()
    return reader, storage_of(first)


def batch_of(source: Any) -> Any:
    """An object with an Arrow array as a `pyarrow.RecordBatch`."""
    pyarrow = require("pyarrow", "an Arrow array")
    try:
        return pyarrow.record_batch(source)
    except pyarrow.ArrowInvalid as error:
        if "non-struct" not in str(error):
            raise
        raise not_columns(source) from error


def not_columns(source: Any) -> ValueError:
    """The error for an array without names of columns."""
    kind = getattr(source, "type", None) or getattr(source, "dtype", None)
    found = f"{type(source).__name__}{'' if kind is None else f' of {kind}'}"
    return ValueError(
        f"from_arrow: expected columns with names, found one {found}: pass a table "
        'with it, such as pyarrow.table({"name": values})'
    )


def _table_of(frame: Any) -> Any:
    """A data frame as a `pyarrow.Table`; a column with a type that pyarrow lacks is an error."""
    pyarrow = require("pyarrow", "a data frame")
    try:
        return pyarrow.table(frame)
    except pyarrow.ArrowException as error:
        reason = error
    for name in frame.columns:
        try:
            pyarrow.table(frame[[name]])
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"from_arrow: column {name!r}: expected a type that Arrow has, found "
                f"{frame[name].dtype} ({error}): cast the column first, or leave it out"
            ) from error
    raise reason


def _capsule_of(source: Any) -> Any:
    if type(source).__name__ == "PyCapsule":
        return source
    return source.__arrow_c_stream__() if hasattr(source, "__arrow_c_stream__") else None


def _is_frame(source: Any) -> bool:
    """Whether it is a data frame in memory, of polars or pandas."""
    library = type(source).__module__.partition(".")[0]
    return library in ("polars", "pandas") and type(source).__name__ == "DataFrame"


def _visit(path: Path, kind: Any, chunks: list[Any], nested: set[Path], packed: set[Path]) -> None:
    types = require("pyarrow", "the inspection of columns").types
    kind, chunks = _plain(kind, chunks)
    if types.is_struct(kind):
        for place, part in enumerate(kind):
            # A null struct hides its children, so flatten() makes them null as well. They cost one
            # bitmap; the values stay where they are.
            children = [_child(chunk, place) for chunk in chunks]
            _visit((*path, part.name), part.type, children, nested, packed)
    elif is_list(kind):
        if any(has_nulls_inside(chunk) for chunk in chunks):
            nested.add(path)
    elif _is_text(kind) and _average_bytes(chunks) > PACKED_BYTES:
        packed.add(path)


def _child(struct: Any, place: int) -> Any:
    return struct.field(place) if struct.null_count == 0 else struct.flatten()[place]


def _plain(kind: Any, chunks: list[Any]) -> tuple[Any, list[Any]]:
    """The storage of extension arrays, and the values of dictionaries and of runs."""
    pyarrow = require("pyarrow", "the inspection of columns")
    while True:
        if isinstance(kind, pyarrow.BaseExtensionType):
            kind, chunks = kind.storage_type, [chunk.storage for chunk in chunks]
        elif pyarrow.types.is_dictionary(kind):
            kind, chunks = kind.value_type, [chunk.dictionary for chunk in chunks]
        elif pyarrow.types.is_run_end_encoded(kind):
            kind, chunks = kind.value_type, [chunk.values for chunk in chunks]
        else:
            return kind, chunks


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is a list of any layout, but not a map."""
    types = require("pyarrow", "the inspection of columns").types
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def has_nulls_inside(lists: Any) -> bool:
    """Whether a list of the array has a null item, at any depth of lists of lists."""
    return any(items.null_count for items in _levels(lists))


def _levels(lists: Any) -> Iterator[Any]:
    """The items of the lists, then those of their lists, and so on."""
    while is_list(lists.type):
        lists = _items(lists)
        while hasattr(lists, "storage"):
            lists = lists.storage
        yield lists


def _items(lists: Any) -> Any:
    """The items that are part of a present list."""
    types = require("pyarrow", "the inspection of columns").types
    if types.is_list(lists.type) or types.is_large_list(lists.type):
        if not len(lists):
            return lists.values[:0]
        first, last = lists.offsets[0].as_py(), lists.offsets[len(lists)].as_py()
        items = lists.values.slice(first, last - first)
        if lists.null_count == 0 or items.null_count == 0:
            return items
    return lists.flatten()  # leaves out the items of null lists, if necessary by copying


def _is_text(kind: Any) -> bool:
    types = require("pyarrow", "the inspection of columns").types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
    )


def _average_bytes(chunks: list[Any]) -> float:
    """The average size of the present values; 0 without any."""
    present = sum(len(chunk) - chunk.null_count for chunk in chunks)
    return sum(map(_text_bytes, chunks)) / present if present else 0.0


def _text_bytes(texts: Any) -> int:
    """The total size of the values of a string or binary array."""
    pyarrow = require("pyarrow", "the inspection of columns")
    types = pyarrow.types
    if not len(texts):
        return 0
    if types.is_string_view(texts.type) or types.is_binary_view(texts.type):
        views = np.frombuffer(texts.buffers()[1], np.int32).reshape(-1, 4)  # the size comes first
        views = views[texts.offset : texts.offset + len(texts)]
        return int(views[np.asarray(texts.is_valid()), 0].sum(dtype=np.int64))
    wide = types.is_large_string(texts.type) or types.is_large_binary(texts.type)
    offsets = pyarrow.Array.from_buffers(
        pyarrow.int64() if wide else pyarrow.int32(),
        len(texts) + 1,
        [None, texts.buffers()[1]],
        offset=texts.offset,
    )
    return int(offsets[len(texts)].as_py()) - int(offsets[0].as_py())
