"""Import of a HuggingFace `Dataset` into a store, directly from the buffers of its table.

The stored data is imported: formats and transforms set with `set_format` and similar methods do not
apply. A shuffled, selected or filtered dataset is read through its indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream_store import _core

from .arrow import c_stream_of, import_stream, reader_of, replaces_rows
from .columns import check_class_names, choose_columns, declare
from .inspect import storage_of
from .iterables import stream_of
from .optional import require


def from_dataset(
    core: _core.Store,
    ds: Any,
    append: bool,
    columns: Sequence[str] | None,
    step_column: str | None,
    order: Any = None,
) -> int:
    """Import the rows of a dataset; returns their number.

    `order` is a pyarrow array of uint64, the numbers of the rows to take, or None.
    """
    datasets = require("datasets", "from_dataset")
    if isinstance(ds, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        raise ValueError(
            f"from_dataset takes one split, as in ds[{next(iter(ds), 'train')!r}]; "
            f"the splits are {', '.join(map(repr, ds))}"
        )
    if not isinstance(ds, (datasets.Dataset, datasets.IterableDataset)):
        raise TypeError(
            f"from_dataset takes a datasets.Dataset or IterableDataset, not {type(ds).__name__}"
        )
    core._require_writable("from_dataset")
    replaces_rows(core, append)
    if isinstance(ds, datasets.IterableDataset):
        return _from_iterable(core, ds, append, columns, step_column)
    fields, wanted = choose_columns(core, list(ds.features), columns, step_column)
    table = ds.data.table.select(wanted)
    features = {name: ds.features[name] for name in fields}
    if core.fields:
        check_class_names(core, features)
        specs = None
    else:
        specs = declare(features, storage_of(table))
    if order is None and (indices := getattr(ds, "_indices", None)) is not None:
        order = indices.table.column(0)
    picks = None
    if order is not None:
        picks = require("pyarrow", "from_dataset").table({"indices": order}).__arrow_c_stream__()
    with datasets.utils.tqdm(
        total=ds.num_rows, unit=" examples", desc="Reading the dataset into the store"
    ) as progress:
        return import_stream(
            core,
            c_stream_of(table, []),
            append=append,
            picks=picks,
            specs=specs,
            step_column=step_column or "",
            progress=lambda done: progress.update(done - progress.n),
        )


def _from_iterable(
    core: _core.Store,
    ds: Any,
    append: bool,
    columns: Sequence[str] | None,
    step_column: str | None,
) -> int:
    """Import a stream of batches, one of which is in memory at a time."""
    datasets = require("datasets", "from_dataset")
    stream = stream_of(core, ds, columns, step_column)
    failures: list[BaseException] = []
    batches = (batch for table in stream.batches for batch in table.to_batches())
    reader = reader_of(stream.schema, batches, failures)
    with datasets.utils.tqdm(
        unit=" examples", desc="Reading the dataset into the store"
    ) as progress:
        return import_stream(
            core,
            reader.__arrow_c_stream__(),
            append=append,
            specs=stream.specs,
            storage=stream.storage,
            step_column=step_column or "",
            progress=lambda done: progress.update(done - progress.n),
            failures=failures,
        )
