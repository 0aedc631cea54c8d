"""The columns of extend() whose names are those of structs, split into columns of their leaves.

The values of a struct may be rows, one mapping or None each; or columns by name: a mapping, as a
vector environment with a Dict space returns it, a TensorDict, a data frame, an Arrow table or
array, a structured array of NumPy. All of them store what appending the rows one by one would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._column_parts import presence_of, rows_of
from ._columns import as_column
from ._structs import Struct, StructTree, as_mapping, is_tensordict
from .features import FieldSpec
from .values.arrays import user_code


def spread_columns(tree: StructTree, specs: Sequence[FieldSpec], given: Any) -> dict[int, Any]:
    """Columns by type id. The column of a marker is bytes, 1 where it is present.

    Args:
        tree: the fields.
        specs: the fields by type id.
        given: the argument of `extend`: a mapping of columns, or an object with the same content.

    Raises:
        ValueError: a field is unknown or given twice, or columns have different lengths.
        TypeError: an object is neither rows nor columns.
    """
    spread = _Spread(specs)
    columns = _columns_of(given)
    if columns is not None:
        for name, column in columns:
            node = tree.find(name)
            if isinstance(node, Struct):
                spread.add_struct(node, column)
            else:
                spread.add(node, column)
    elif _is_rows(given):
        spread.add_rows(tree, list(given))
    else:
        raise TypeError(
            "extend: columns must be a mapping of field names to columns, or rows, a list of "
            f"mappings, not {type(given).__name__}"
        )
    spread.finish()
    return spread.columns


class _Spread:
    """The columns of the leaves, collected."""

    def __init__(self, specs: Sequence[FieldSpec]) -> None:
        self.columns: dict[int, Any] = {}
        self._specs = specs
        self._unsized: list[Struct] = []  # structs given as a mapping without columns

    def add(self, type_id: int, column: Any) -> None:
        if type_id in self.columns:
            raise ValueError(
                f"duplicate field {self._specs[type_id].name!r}: it is given twice, as by a struct "
                "and one of its leaves; expected each field at most once, in any order"
            )
        self.columns[type_id] = column

    def finish(self) -> None:
        """Mark the structs whose number of rows was not known."""
        for struct in self._unsized:
            if not self.columns:
                raise ValueError(
                    f"field {struct.name!r}: expected at least one column, which gives the number "
                    "of rows"
                )
            type_id, column = next(iter(self.columns.items()))
            if type_id < len(self._specs) and not isinstance(column, bytes):
                column = as_column(self._specs[type_id], column)
            count = len(column) if isinstance(column, bytes) else rows_of(column)
            self.add(struct.marker, b"\1" * count)

    # --- columns of structs ---

    def add_struct(self, struct: Struct, given: Any) -> NDArray[np.bool_] | None:
        """Add the columns of one struct.

        Returns the rows in which something was written; None for a mapping without columns, which
        has no number of rows.
        """
        given = struct.by_place(given)
        place = f"field {struct.name!r}"
        columns = user_code(lambda: _columns_of(given), given, place) if given is not None else None
        if columns is None:
            return self._add_struct_rows(struct, given)
        parts = dict(columns)
        struct.check_names(parts)
        written: NDArray[np.bool_] | None = None
        first = ""
        for name, child in struct.children.items():
            if parts.get(name) is None:
                continue
            rows = self._add_child(child, parts[name])
            if rows is None:
                continue
            if written is not None and len(rows) != len(written):
                raise ValueError(
                    f"field {struct.name!r}: columns must have equal lengths but there are "
                    f"{len(written)} rows of '{struct.name}.{first}' and {len(rows)} of "
                    f"'{struct.name}.{name}'"
                )
            first = first or name
            written = rows if written is None else written | rows
        return self._mark(struct, written, _present_rows(given))

    def _add_child(self, child: int | Struct, given: Any) -> NDArray[np.bool_] | None:
        if isinstance(child, Struct):
            return self.add_struct(child, given)
        column = as_column(self._specs[child], given)
        if isinstance(column, np.ndarray) and column.ndim == 0:
            raise TypeError(
                f"field {self._specs[child].name!r}: a column must have one value for each row, "
                "not one value in all"
            )
        self.add(child, column)
        return presence_of(column)

    def _mark(
        self,
        struct: Struct,
        written: NDArray[np.bool_] | None,
        present: int | NDArray[np.bool_] | None,
    ) -> NDArray[np.bool_] | None:
        """Add the marker in the rows that have the struct but nothing inside it."""
        if present is None and written is None:
            self._unsized.append(struct)
            return None
        if not isinstance(present, np.ndarray):
            count = present if isinstance(present, int) else len(written)  # type: ignore[arg-type]
            present = np.ones(count, np.bool_)
        empty = present if written is None else present & ~written
        if written is None or empty.any():
            self.add(struct.marker, empty.tobytes())
        return empty if written is None else written | empty

    # --- rows of structs ---

    def _add_struct_rows(self, struct: Struct, given: Any) -> NDArray[np.bool_]:
        rows = _struct_rows(struct, given)
        self._collect(rows, struct.spread, f"field {struct.name!r}: ")
        written = np.fromiter((value is not None for value in rows), np.bool_, len(rows))
        if not written.any():
            self.add(struct.marker, bytes(len(rows)))
        return written

    def add_rows(self, tree: StructTree, rows: list[Any]) -> None:
        """Add the fields of rows, one mapping each."""
        self._collect(rows, lambda row: _spread_row(tree, row), "extend: ")
        if not self.columns:
            self.columns[0] = [None] * len(rows)  # rows without fields

    def _collect(
        self,
        rows: list[Any],
        spread: Callable[[Any], Iterable[tuple[int, Any]]],
        prefix: str,
    ) -> None:
        columns: dict[int, list[Any]] = {}
        for row, value in enumerate(rows):
            try:
                for type_id, item in spread(value):
                    column = columns.setdefault(type_id, [None] * len(rows))
                    if column[row] is not None:
                        raise ValueError(
                            f"duplicate field {self._specs[type_id].name!r}: expected each field "
                            "at most once, in any order"
                        )
                    column[row] = item
            except (TypeError, ValueError) as error:
                kind = ValueError if isinstance(error, ValueError) else TypeError
                raise kind(_with_row(prefix, row, error)) from error
        for type_id, column in columns.items():
            hidden = self._specs[type_id].hidden
            self.add(type_id, bytes(item is not None for item in column) if hidden else column)


def _spread_row(tree: StructTree, row: Any) -> Iterator[tuple[int, Any]]:
    row = as_mapping(row)
    if not isinstance(row, Mapping):
        raise TypeError(f"expected a mapping of field names to values, found {type(row).__name__}")
    for name, value in row.items():
        yield from tree.spread(name, value)


def _with_row(prefix: str, row: int, error: Exception) -> str:
    """The message of an error with the row in it: "field 'obs': row 3: …"."""
    text = str(error)
    if prefix.startswith("field ") and text.startswith("field "):
        name, _, rest = text.partition(": ")
        return f"{name}: row {row}: {rest}"
    return f"{prefix}row {row}: {text}"


# --- the forms that columns and rows come in ---


def _columns_of(given: Any) -> Iterable[tuple[Any, Any]] | None:
    """The named columns of an object; None if it has rows or is not known."""
    if isinstance(given, Mapping) or is_tensordict(given) or _is_frame(given):
        return [(name, given[name]) for name in given.keys()]  # noqa: SIM118
    if isinstance(given, np.ndarray):
        names = given.dtype.names
        return None if names is None or given.ndim == 0 else [(name, given[name]) for name in names]
    if hasattr(given, "column_names") and hasattr(given, "schema"):  # a table or batch of Arrow
        return [(name, given.column(place)) for place, name in enumerate(given.column_names)]
    if hasattr(given, "to_pylist") and str(given.type).startswith("struct<"):
        return _struct_columns(given)
    if _library(given) == "polars" and hasattr(given, "to_arrow"):
        return _columns_of(given.to_arrow())
    return None


def _struct_columns(given: Any) -> list[tuple[str, Any]]:
    """The children of an Arrow array of structs, null where the struct is."""
    names = [field.name for field in given.type]
    return list(zip(names, given.flatten(), strict=True))


def _present_rows(given: Any) -> int | NDArray[np.bool_] | None:
    """Which rows of columns are present: an int if all of that number are, None if not known."""
    if isinstance(given, np.ndarray):
        return len(given)
    if hasattr(given, "column_names") and hasattr(given, "schema"):
        return int(given.num_rows)
    if hasattr(given, "to_pylist"):
        return np.asarray(given.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    if is_tensordict(given) and len(given.batch_size) > 0:
        return int(given.batch_size[0])
    if _is_frame(given):
        return len(given)
    if _library(given) == "polars":
        return _present_rows(given.to_arrow())
    return None


def _is_frame(given: Any) -> bool:
    """Whether an object is a data frame of pandas."""
    return _library(given) == "pandas" and getattr(given, "ndim", 0) == 2


def _library(given: Any) -> str:
    return type(given).__module__.partition(".")[0]


def _is_rows(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, (str, bytes, bytearray))


def _struct_rows(struct: Struct, given: Any) -> list[Any]:
    """The rows of a struct's column, None where it is missing."""
    if hasattr(given, "to_pylist"):
        return list(given.to_pylist())
    if isinstance(given, np.ma.MaskedArray) or _library(given) in ("pandas", "polars"):
        return _rows_with_missing(given)
    if isinstance(given, np.ndarray) and given.ndim > 0:
        return list(given)
    if _is_rows(given):
        return list(given)
    if struct.feature and hasattr(given, "__array__") and getattr(given, "ndim", 0) > 0:
        return list(np.asarray(given))
    raise TypeError(
        f"field {struct.name!r} is a struct: expected a list of mappings, one for each row, or a "
        f"mapping of its fields to columns, found {type(given).__name__}"
    )


def _rows_with_missing(given: Any) -> list[Any]:
    if isinstance(given, np.ma.MaskedArray):
        return [None if item is np.ma.masked else item for item in given]
    if _library(given) == "polars":
        return list(given.to_list())
    missing = np.asarray(given.isna(), np.bool_).tolist()
    return [None if none else item for item, none in zip(given, missing, strict=True)]
