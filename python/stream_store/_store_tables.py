"""StoreTables: the methods of StreamStore that give whole columns, tables and statistics.

Examples assume ``import numpy as np`` and ``from stream_store import StreamStore``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._fields import fixed_view
from ._hints import missing_attribute
from ._store_conversions import StoreConversions
from ._types import Progress
from .column import Column

if TYPE_CHECKING:
    from ._statistics import FieldStats


class StoreTables(StoreConversions):
    """A base class of StreamStore."""

    def column(self, field: str) -> Column:
        """One field as an array-like object, which `store[field]` returns, too.

        Args:
            field: the name of a field, or of a struct or one of its leaves ("obs.pos").

        Returns:
            A `Column`: index it with an int, a slice or an array of rows. Nothing is read before.

        Raises:
            KeyError: there is no such field.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, None, 3.0]})
            3
            >>> store["reward"][-1]
            np.float32(3.0)
            >>> store["reward"][:].tolist()  # a masked array
            [1.0, None, 3.0]
        """
        return Column(self, field)

    def episodes(
        self,
        by: str | Sequence[str] | None = None,
        *,
        sums: Sequence[str] | None = None,
    ) -> NDArray[np.void]:
        """List the segments (episodes) with their lengths and the sums of fields.

        Args:
            by: the fields that cut segments, as for `segments`; None takes the `segment_by` of the
                store.
            sums: scalar fields of numbers or bools to add up; None takes all scalar float fields.

        Returns:
            A structured array with one item for each segment: "first_row" and "length", int64;
            "complete", bool, which is False if rows may still be added; and "sum_<field>", float64
            (int64 for ints and bools, uint64 for unsigned ints), where missing values and NaN count
            as they do in a sum: as 0 and as NaN. Sums of ints are exact. `pandas.DataFrame(table)`
            takes it.

        Cost:
            One pass over the records, and one over the values of each field in `sums`.

        Raises:
            ValueError: a field is unknown or has another dtype; or `by` is None, and the store has
                no `segment_by`; or a sum of ints is too large for its dtype.

        Examples:
            >>> store = StreamStore(fields={"episode": "int64", "reward": "float32"})
            >>> store.extend({"episode": [0, 0, 1, 1, 1], "reward": [1, 1, 0, 5, 1]})
            5
            >>> episodes = store.episodes("episode")
            >>> episodes["length"], episodes["sum_reward"]
            (array([2, 3]), array([2., 6.]))
            >>> best = episodes[episodes["sum_reward"].argmax()]
            >>> best["first_row"]
            np.int64(2)
        """
        from ._episodes import episodes

        return episodes(self, by, sums)

    def stats(
        self,
        fields: Sequence[str] | None = None,
        *,
        quantiles: Sequence[float] = (0.01, 0.1, 0.5, 0.9, 0.99),
        progress: Progress | None = None,
    ) -> dict[str, FieldStats]:
        """Statistics of fields: counts, range, mean, standard deviation, quantiles, lengths.

        Args:
            fields: names of fields or structs; None takes all.
            quantiles: numbers in [0, 1]; () leaves quantiles out.
            progress: called with (rows done, rows in all).

        Returns:
            {field: FieldStats}; a struct has an entry for each of its leaves ("obs.pos").

        Cost:
            One pass over the rows at the speed of memory. The object keeps the sums, so a later
            call reads only the rows that were added since; after a drop or a truncation it reads
            all rows again.

        Raises:
            ValueError: a field is unknown, or a quantile is outside [0, 1].
            RuntimeError: no fields are declared.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[2]", "text": "string"})
            >>> store.extend({"obs": [[0, 10], [2, 20]], "text": ["a", None]})
            2
            >>> stats = store.stats()
            >>> stats["obs"].mean, stats["obs"].max
            (array([ 1., 15.]), array([ 2., 20.], dtype=float32))
            >>> stats["text"].missing, stats["text"].length
            (1, (1, 1.0, 1))
        """
        from ._statistics import collect

        return collect(self, fields, quantiles, progress)

    def to_arrow(self, start: int | None = None, stop: int | None = None) -> Any:
        """Read rows [start, stop) of a snapshot as a `pyarrow.RecordBatchReader`.

        `pyarrow.table(store)`, `polars.DataFrame(store)` and other consumers of Arrow streams read
        a store directly, without this method.

        Args:
            start: first row, the first retained one by default; negative numbers count from the end
            stop: row to stop before; None is the end.

        Returns:
            A reader, which stays valid after `close` and makes batches of about 64 MiB on demand.

        Raises:
            DroppedError: `start` names a row that was dropped.
            ImportError: pyarrow is not installed.
            RuntimeError: no fields are declared.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0, 3.0]})
            3
            >>> store.to_arrow(1).read_all().to_pydict()
            {'reward': [2.0, 3.0]}
        """
        from ._exchange.arrow import to_arrow

        return to_arrow(self, start, stop)

    def from_arrow(self, stream: Any, *, append: bool = False) -> int:
        """Import the rows of an Arrow stream.

        A column is imported into the field of its name; other columns are ignored. A store without
        fields declares them from the columns. Steps continue from the last one. All rows appear at
        once at the end; after any failure the store is as it was. Memory: one batch.

        Args:
            stream: any object with `__arrow_c_stream__`: a pyarrow Table or RecordBatchReader, a
                polars DataFrame, a DuckDB relation, another store.
            append: add to the rows of the store. Otherwise the rows of a temporary store are
                replaced, and a persistent one must be empty.

        Returns:
            The number of rows imported.

        Raises:
            ValueError: a column does not fit its field; a value is not valid; or a persistent store
                has rows and `append` is False. The message names the column, and the row if any.
            TypeError: `stream` has no Arrow data.

        Examples:
            >>> import pyarrow
            >>> StreamStore().from_arrow(pyarrow.table({"text": ["a", "b"]}))
            2
        """
        from ._exchange.arrow import from_arrow

        return from_arrow(self, stream, append)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with the Arrow C stream of a snapshot of all rows."""
        from ._exchange.arrow import c_stream

        return c_stream(*fixed_view(self), requested_schema)

    def __arrow_c_schema__(self) -> object:
        """A capsule with the Arrow C schema of that stream."""
        from ._exchange.arrow import c_schema

        return c_schema(*fixed_view(self))

    def to_pandas(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> Any:
        """Read rows [start, stop) as a `pandas.DataFrame`, whose index has the row numbers.

        Args:
            start: first row, the first retained one by default; negative numbers count from the end
            stop: row to stop before; None is the end.
            fields: the columns, by their outer names; None takes all.

        Returns:
            A data frame in memory. Lists and arrays are NumPy arrays in object columns, structs
            dicts; a missing value is what pandas uses for the column: NaN, NaT or None.

        Raises:
            ImportError: pandas or pyarrow is not installed.
            DroppedError: `start` names a row that was dropped.
            ValueError: a field is unknown.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0, 3.0]})
            3
            >>> store.to_pandas(-2)
               reward
            1     2.0
            2     3.0
        """
        from ._exchange.frames import to_pandas

        return to_pandas(self, start, stop, fields)

    def to_polars(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> Any:
        """Read rows [start, stop) as a `polars.DataFrame`.

        Args:
            start: first row, the first retained one by default; negative numbers count from the end
            stop: row to stop before; None is the end.
            fields: the columns, by their outer names; None takes all.

        Returns:
            A data frame in memory; a missing value is null.

        Raises:
            ImportError: polars is not installed.
            DroppedError: `start` names a row that was dropped.
            ValueError: a field is unknown.

        Examples:
            >>> store = StreamStore(fields={"reward": "float32"})
            >>> store.extend({"reward": [1.0, 2.0, 3.0]})
            3
            >>> store.to_polars(-2)["reward"].to_list()
            [2.0, 3.0]
        """
        from ._exchange.frames import to_polars

        return to_polars(self, start, stop, fields)

    if not TYPE_CHECKING:  # a type checker reports unknown attributes itself

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(type(self).__name__, name)
