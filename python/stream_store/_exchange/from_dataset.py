"""Import of a HuggingFace `Dataset` into a store, directly from the buffers of its table.

The stored data is imported: formats and transforms set with `set_format` and similar methods do not
apply. A shuffled, selected or filtered dataset is read through its indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from stream_store import _core
from stream_store._fields import declared_fields
from stream_store.features import FieldSpec, parse_fields

from .arrow import c_stream_of, import_stream, reader_of, replaces_rows, require

_ROWS_AT_ONCE = 1000  # of an iterable dataset; rows may be large


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
    wanted, specs = _columns_of(core, ds.features, columns, step_column)
    table = ds.data.table.select(wanted)
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


def _columns_of(
    core: _core.Store, features: Any, columns: Sequence[str] | None, step_column: str | None
) -> tuple[list[str], list[FieldSpec] | None]:
    """The columns to read, and the fields to declare if the store has none."""
    names = list(features)
    chosen = names if columns is None else _chosen(names, columns)
    if step_column is not None and step_column not in names:
        raise ValueError(
            f"there is no step column {step_column!r}; the columns are {', '.join(names)}"
        )
    if core.fields:
        fields = declared_fields(core)
        known = fields.tree.children
        wanted = [name for name in chosen if name in known]
        if not wanted:
            raise ValueError(
                f"no column has the name of a field; the columns are {', '.join(chosen)}; "
                f"the fields are {', '.join(known)}"
            )
        _check_class_names(fields.specs, {name: features[name] for name in wanted})
        specs = None
    else:
        wanted = [name for name in chosen if columns is not None or name != step_column]
        specs = _declare({name: features[name] for name in wanted})
    if step_column is not None and step_column not in wanted:
        wanted = [*wanted, step_column]
    return wanted, specs


def _chosen(names: list[str], columns: Sequence[str]) -> list[str]:
    if isinstance(columns, (str, bytes)):
        raise TypeError(f"columns must be a list of names, not {columns!r}")
    columns = list(columns)
    for name in columns:
        if name not in names:
            raise ValueError(f"there is no column {name!r}; the columns are {', '.join(names)}")
    if len(set(columns)) != len(columns):
        raise ValueError(f"columns has a duplicate: {columns}")
    return columns


def _declare(features: dict[str, Any]) -> list[FieldSpec]:
    """Fields for all columns; one error names every column that cannot be stored."""
    refused: list[str] = []
    good: list[str] = []
    for name, feature in features.items():
        try:
            parse_fields({name: feature})
            good.append(name)
        except ValueError as error:
            refused.append(str(error))
    if refused:
        shown = "\n  ".join(refused)
        hint = f"import the others with columns={good!r}" if good else "there is no other column"
        raise ValueError(f"these columns cannot be stored:\n  {shown}\n{hint}")
    return parse_fields(features)


def _check_class_names(specs: list[FieldSpec], features: dict[str, Any]) -> None:
    """Check that each class name has the same number in the column and in the field."""
    fields = {spec.path: spec.class_names for spec in specs if spec.class_names is not None}
    for name, feature in features.items():
        try:
            others = parse_fields({name: feature})
        except ValueError:
            continue  # the import itself compares types
        for other in others:
            here, there = fields.get(other.path), other.class_names
            if here is not None and there is not None and here != there[: len(here)]:
                raise ValueError(
                    f"column {other.name!r} has the classes {', '.join(there)}, the field has "
                    f"{', '.join(here)}: give both the same names in the same order, with "
                    "ds.align_labels_with_mapping or ds.cast_column"
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
    pyarrow = require("pyarrow", "from_dataset")
    features, tables = _tables(core, ds)
    wanted, specs = _columns_of(core, features, columns, step_column)
    schema = pyarrow.schema([features.arrow_schema.field(name) for name in wanted])

    def batches() -> Iterator[Any]:
        for table in tables:
            yield from table.select(wanted).cast(schema).to_batches()

    failures: list[BaseException] = []
    reader = reader_of(schema, batches(), failures)
    with datasets.utils.tqdm(
        unit=" examples", desc="Reading the dataset into the store"
    ) as progress:
        return import_stream(
            core,
            reader.__arrow_c_stream__(),
            append=append,
            specs=specs,
            step_column=step_column or "",
            progress=lambda done: progress.update(done - progress.n),
            failures=failures,
        )


def _tables(core: _core.Store, ds: Any) -> tuple[Any, Iterator[Any]]:
    """The features of an iterable dataset, and its rows as Arrow tables.

    Rows of Python objects are converted to Arrow with the features of the dataset. A dataset that
    does not know its features, for example after `map`, uses those of the store's fields, and for
    other columns the features inferred from its first rows.
    """
    datasets = require("datasets", "from_dataset")
    from_rows = getattr(getattr(ds, "_ex_iterable", None), "iter_arrow", None) is None
    if not from_rows:
        tables = ds.with_format("arrow").iter(_ROWS_AT_ONCE)
        if ds.features is not None:
            return ds.features, tables
        first = next(tables, None)
        if first is None:
            raise _no_features()
        return datasets.Features.from_arrow_schema(first.schema), chain([first], tables)
    batches = ds.with_format(None).iter(_ROWS_AT_ONCE)
    features = ds.features
    if features is None:
        first = next(batches, None)
        if first is None:
            raise _no_features()
        pyarrow = require("pyarrow", "from_dataset")
        seen = datasets.Features.from_arrow_schema(pyarrow.Table.from_pydict(first).schema)
        declared = declared_fields(core).features() if core.fields else {}
        features = datasets.Features({name: declared.get(name, seen[name]) for name in seen})
        batches = chain([first], batches)
    return features, (_encoded(features, batch) for batch in batches)


def _encoded(features: Any, batch: dict[str, Any]) -> Any:
    pyarrow = require("pyarrow", "from_dataset")
    return pyarrow.Table.from_pydict(features.encode_batch(batch), schema=features.arrow_schema)


def _no_features() -> ValueError:
    return ValueError("the iterable dataset has neither rows nor features")
