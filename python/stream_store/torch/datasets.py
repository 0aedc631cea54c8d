"""WindowDataset; the package describes it."""

from __future__ import annotations

from collections.abc import Sequence

from torch.utils.data import Dataset

from stream_store._types import Batch
from stream_store.window_source import WindowSource

from .batches import Samples, sample_of, to_tensors


class WindowDataset(WindowSource, Dataset[Batch]):
    """The valid windows of a store, numbered from 0: a map-style dataset.

    `dataset[i]` is one window as a dict of tensors. A `DataLoader` reads a whole batch in one call,
    and torch's default collation returns that batch unchanged.

    The number of a window stays the same while the store grows, and `len` grows with the store.
    That is not possible with `rows` that count from the end, with lanes and segments, with one of
    the arguments from `lane_by` to `whole_segments`, or with a list of stores: the windows are then
    those of the moment when the dataset was made, or of the last `refresh`.

    Args:
        store: a StreamStore, or a list of them whose windows are numbered together.
        length: values or rows in each window.
        unit: "value" gives windows of raw values as `windows()` reads them, "row" windows of
            decoded rows as `read_rows()` reads them.
        align: with unit "value", "row" starts windows at the first value of a row only.
        segment_by: int field, or bool field or fields, that divide the rows into segments (see
            `StreamStore.segments`). No window crosses segments.
        pad: with unit "row", "right" also gives windows that extend past the end of their segment,
            "left" windows that begin before it.
        lanes: with unit "row", the number of environments whose rows alternate.
        lane_by: see `WindowSampler`.
        where: see `WindowSampler`.
        exclude: see `WindowSampler`.
        require: see `WindowSampler`.
        offsets: see `WindowSampler`.
        outside: see `WindowSampler`.
        seconds: see `WindowSampler`.
        time_field: see `WindowSampler`.
        tolerance: see `WindowSampler`.
        whole_segments: see `WindowSampler`.
        rows: (start, stop) limits the rows in which windows start (with pad "left": end).
        columns: with unit "value", the columns of `windows()`.
        fields: with unit "row", the fields of `read_rows()`.
        max_length: with unit "row", as for `read_rows()`.

    Raises:
        ValueError: an argument is not valid; the message has the accepted values.
        TypeError: `store` is neither a StreamStore nor a list of them.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> store = StreamStore(fields={"obs": "float32[2]"})
        >>> rows = store.extend({"obs": np.ones((10, 2))})
        >>> dataset = WindowDataset(store, 3, unit="row")
        >>> len(dataset), dataset[0]["obs"].shape
        (8, torch.Size([3, 2]))
        >>> [batch["obs"].shape[0] for batch in DataLoader(dataset, batch_size=5)]
        [5, 3]
    """

    def __getitem__(self, index: int) -> Batch:
        """Read one window.

        Args:
            index: number of the window, in [-len(self), len(self)).

        Returns:
            A dict of tensors of shape (length, ...), nested for structs. Text, bytes, decimals and
            nested values are lists.

        Raises:
            IndexError: there is no such window.
            TypeError: `index` is not an int.

        Examples:
            >>> store = StreamStore(fields={"obs": "float32[2]"})
            >>> rows = store.extend({"obs": np.ones((10, 2))})
            >>> WindowDataset(store, 3, unit="row")[-1]["_step"]
            tensor([7, 8, 9])
        """
        return sample_of(to_tensors(self._read_one(index)), 0)

    def __getitems__(self, indices: Sequence[int]) -> Samples:
        """Read several windows in one call; negative numbers count from the end."""
        return Samples(to_tensors(self._sampler._core.read_starts(indices)), len(indices))
