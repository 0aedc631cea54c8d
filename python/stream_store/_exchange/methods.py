"""The methods of StreamStore that exchange rows with other libraries, each a door to its module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from stream_store.store import StreamStore


def _store(self: object) -> StreamStore:
    return cast("StreamStore", self)


class ExchangeMethods:
    """A base of StreamStore."""

    __slots__ = ()

    # --- HuggingFace Datasets ---

    def to_dataset(self, split: str | None = None, *, step_column: str | None = None) -> Any:
        """All rows as a `datasets.Dataset`, memory-mapped from a file in the datasets cache.

        Args:
            split: name of the split that the dataset says it is.
            step_column: name of a first int64 column with the steps; None: steps are left out.

        The features are those that were declared; a missing field is None. Writing takes the time
        of writing the file and memory for two batches of 64 MiB; an unchanged store finds its file
        again. Progress bars and caching follow the switches of `datasets`.

        Raises:
            ImportError: `datasets` is not installed. RuntimeError: no fields are declared.
            ValueError: split or step_column cannot be used. OSError: no room for the file.
        """
        from .to_dataset import to_dataset

        return to_dataset(_store(self), split, step_column)

    def from_dataset(
        self,
        ds: Any,
        *,
        append: bool = False,
        columns: Sequence[str] | None = None,
        step_column: str | None = None,
    ) -> int:
        """Import the rows of a `datasets.Dataset` or `IterableDataset`; returns how many.

        Args:
            ds: one split. A shuffled, sorted, selected or filtered one is read in its own order.
            append: add to what is there. Else a temporary store is filled anew, and a persistent
                one must be empty.
            columns: the columns to import; None: all. Those that are no field are ignored.
            step_column: int column with the steps; None: 0, 1, 2, … or on from the last one.

        Without declared fields, they are declared from the columns. Rows appear all at once at the
        end; on any failure the store is as it was. Memory does not grow with the dataset.

        Raises:
            ValueError: columns that cannot be stored, all named, with the `columns` to use instead;
                a column that does not fit its field, with both types; a value that does not, with
                column and row; a DatasetDict; a persistent store with rows and without `append`.
            TypeError: no dataset.
        """
        from .from_dataset import from_dataset

        return from_dataset(_store(self), ds, append, columns, step_column)

    def load_dataset(
        self,
        name: str,
        split: str,
        sort_by: str | Sequence[str] | None = None,
        *,
        append: bool = False,
        config_name: str | None = None,
        columns: Sequence[str] | None = None,
        step_column: str | None = None,
        **kwargs: Any,
    ) -> int:
        """Import one split of a dataset on the Hub or in local files; returns the rows.

        Args:
            name: of a dataset on the Hub, of a builder such as "parquet" (with `data_files`), or a
                directory, also one of `save_to_disk`.
            split: such as "train" or "train[:10%]".
            sort_by: columns to sort by, missing values last; needs 8 bytes a row, no rows.
            config_name: the dataset's configuration.
            kwargs: passed on to `datasets.load_dataset`: revision, token, streaming, …

        The rest is as in `from_dataset`. The token shows in no error.
        """
        from .hub import load_dataset

        return load_dataset(
            _store(self), name, split, sort_by, append, config_name, columns, step_column, kwargs
        )

    def save_dataset(
        self,
        name: str,
        split: str,
        *,
        config_name: str | None = None,
        step_column: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Push all rows to the Hub as one split; returns what `Dataset.push_to_hub` does.

        Args:
            name: "owner/dataset".
            kwargs: passed on to `push_to_hub`: private, revision, token, num_shards, …

        The rest is as in `to_dataset`. The token shows in no error.
        """
        from .hub import save_dataset

        return save_dataset(_store(self), name, split, config_name, step_column, kwargs)

    # --- Arrow ---

    def to_arrow(self, start: int = 0, stop: int | None = None) -> Any:
        """Rows [start, stop) as a `pyarrow.RecordBatchReader`; negative bounds count from the end.

        The reader owns a snapshot, which outlives `close`. Batches of about 64 MiB are made when
        they are asked for. `pyarrow.table(store)`, `polars.DataFrame(store)` and whatever else
        takes an Arrow stream read a store as it is, without pyarrow.

        Raises:
            ImportError: pyarrow is not installed. RuntimeError: no fields are declared.
        """
        from .arrow import to_arrow

        return to_arrow(_store(self), start, stop)

    def from_arrow(self, stream: Any, *, append: bool = False) -> int:
        """Import the rows of an Arrow stream; returns how many.

        Args:
            stream: anything with `__arrow_c_stream__`: a pyarrow Table or RecordBatchReader, a
                polars DataFrame, a DuckDB relation, another store.
            append: add to what is there. Else a temporary store is filled anew, and a persistent
                one must be empty.

        Columns go to the fields of their name, others are ignored; without declared fields, they
        are declared from the columns. Steps go on from the last one, from 0 in an empty store. Rows
        appear all at once at the end; on any failure the store is as it was. Memory: one batch.

        Raises:
            ValueError: a column does not fit its field, naming both types; a value does not, naming
                column and row; a persistent store has rows and `append` is False.
            TypeError: no Arrow stream.
        """
        from .arrow import from_arrow

        return from_arrow(_store(self), stream, append)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with the Arrow C stream of a snapshot of all rows."""
        from .arrow import c_stream

        return c_stream(_store(self), requested_schema)

    def __arrow_c_schema__(self) -> object:
        """A capsule with the Arrow C schema of that stream."""
        from .arrow import c_schema

        return c_schema(_store(self))
