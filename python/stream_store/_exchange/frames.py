"""Rows of a store as data frames of pandas and polars, by way of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_store import _arguments, _core
from stream_store._fields import fixed_view

from .arrow import Rows
from .optional import require


def to_pandas(
    core: _core.Store, start: int | None, stop: int | None, fields: Sequence[str] | None
) -> Any:
    """A `pandas.DataFrame` of rows [start, stop), with the row numbers as its index."""
    pandas = require("pandas", "to_pandas")
    pyarrow = require("pyarrow", "to_pandas")
    rows, first, last = _rows(core, start, stop, fields)
    frame = pyarrow.table(rows).to_pandas()
    frame.index = pandas.RangeIndex(first, max(first, last))
    return frame


def to_polars(
    core: _core.Store, start: int | None, stop: int | None, fields: Sequence[str] | None
) -> Any:
    """A `polars.DataFrame` of rows [start, stop)."""
    polars = require("polars", "to_polars", extra=None)
    return polars.DataFrame(_rows(core, start, stop, fields)[0])


def _rows(
    core: _core.Store, start: int | None, stop: int | None, fields: Sequence[str] | None
) -> tuple[Rows, int, int]:
    view, declared = fixed_view(core)
    columns = _arguments.names("fields", fields)
    for name in columns or ():
        if name not in declared.tree.children:
            known = ", ".join(map(repr, declared.outer_names))
            raise ValueError(f"no field {name!r}; the fields are {known}")
    first, last = _arguments.row_range(view, start, stop)
    rows = Rows(view, declared, start, stop, columns=columns)
    return rows, first, last
