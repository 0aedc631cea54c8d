"""StorePictures: how a store shows itself, as a plot and in notebooks.

`StreamStore` inherits from it. Examples assume ``import numpy as np`` and
``from stream_store import StreamStore``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from numpy.typing import NDArray

from ._store_base import StoreBase


class StorePictures(StoreBase):
    """A base class of StreamStore."""

    def plot(
        self, fields: str | Sequence[str] | None = None, rows: slice | range | None = None
    ) -> NDArray[Any]:
        """Plot numeric fields over the rows with matplotlib, one below the other.

        If there are more rows than pixels, each pixel shows the range from the lowest to the
        highest value, so spikes stay visible. Missing values, NaN and infinite values leave gaps.
        A field with up to 8 numbers a row has a line for each of them; with more, and for lists,
        one band shows the range of all its items.

        Args:
            fields: names of numeric fields, also of leaves of structs ("obs.pos"); None plots the
                first 32.
            rows: a slice or range with step 1, as for `rows`; None plots all rows.

        Returns:
            The matplotlib axes, an array with one for each field. `axes[0].figure` is the figure;
            `matplotlib.pyplot.show()` shows it.

        Cost:
            One pass over the values of these fields, in constant memory.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: a field is unknown or not numeric, there is none, or the store is closed.
            TypeError: `rows` is not a slice or range.
            DroppedError: the first row was dropped.

        Examples:
            >>> import matplotlib
            >>> matplotlib.use("Agg")  # draws into files only
            >>> store = StreamStore(fields={"obs": "float32[2]", "reward": "float32"})
            >>> store.extend({"obs": np.ones((100, 2)), "reward": np.arange(100)})
            100
            >>> axes = store.plot()
            >>> len(axes), axes[1].get_ylabel()
            (2, 'reward')
            >>> axes[0].figure.savefig("plot.png")
            >>> matplotlib.pyplot.close(axes[0].figure)
        """
        from ._view.plot import plot

        return plot(cast("Any", self), fields, rows)

    def _repr_html_(self) -> str:
        """A table for notebooks: path, rows, size, and fields with their last value."""
        from ._view.notebook import store_table

        return store_table(self)
