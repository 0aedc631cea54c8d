"""The rows of a group as one `datasets.Dataset`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from .optional import require

_ROWS = 1 << 16  # that share the memory of a column of equal texts


def group_to_dataset(
    stores: Mapping[str, Any],
    holder: Any,
    split: str | None,
    step_column: str | None,
    store_column: str | None,
) -> Any:
    """The datasets of all stores, by name, one after the other; `holder` has the fields."""
    datasets = require("datasets", "to_dataset")
    if store_column is not None and store_column in {*holder.fields, step_column}:
        raise ValueError(
            f"to_dataset: store_column {store_column!r} is the name of another column; choose one "
            "that no column has"
        )
    parts = [store.to_dataset(split, step_column=step_column) for store in stores.values()]
    names = [os.fsencode(name).decode("utf-8", "replace") for name in stores]
    if not parts:
        empty = holder.snapshot(holder.first_row)
        parts, names = [empty.to_dataset(split, step_column=step_column)], [""]
    columns = [*([] if step_column is None else [step_column]), *holder.fields]
    parts = [part.select_columns(columns) for part in parts]
    if store_column is not None:
        parts = [
            _with_column(part, store_column, name) for name, part in zip(names, parts, strict=True)
        ]
    named = None if split is None else datasets.NamedSplit(split)
    return datasets.concatenate_datasets(parts, split=named)


def _with_column(part: Any, column: str, text: str) -> Any:
    """Add a last column with the same text in every row, whose memory does not grow with them."""
    pa = require("pyarrow", "to_dataset")
    whole, rest = divmod(len(part), _ROWS)
    block = pa.array([text] * min(len(part), _ROWS), pa.string())
    texts = pa.chunked_array([block] * whole + [block.slice(0, rest)], pa.string())
    name = hashlib.sha256(f"{part._fingerprint} {column} {text}".encode()).hexdigest()[:16]
    return part.add_column(column, texts, new_fingerprint=name)
