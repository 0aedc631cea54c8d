"""Exchange with Arrow, HuggingFace Datasets and the Hub.

formats.py       a field's feature -> the Arrow formats that the C++ side works with
schemas.py       a foreign Arrow schema -> features, for a store without declared fields
inspect.py       the columns of Arrow data to store nested or packed; capsules.py reads raw streams
arrow.py         __arrow_c_stream__, to_arrow, from_arrow
to_dataset.py    a store as a `Dataset`: one file in the datasets cache
from_dataset.py  a `Dataset` into a store: its table, its picked rows, or a stream of batches
columns.py       the columns to read, and the fields that they become
iterables.py     an `IterableDataset` as Arrow batches; blocks.py reads its rows
exact.py         Python objects as Arrow arrays without loss; leaves.py, encode.py: their scalars
tables.py        Arrow types compared and converted without loss
plain.py         objects of other libraries as those that types are guessed of
suggest.py       the declaration to suggest when a value does not fit
hub.py           load_dataset, save_dataset
optional.py      the import of optional packages

The methods of StreamStore import these modules when they are called. The functions take the core of
a store; the loops over rows are in C++ (src/arrow).
"""

from __future__ import annotations
