"""Exchange with Arrow, HuggingFace Datasets and the Hub.

formats.py       a field's feature -> the Arrow formats that the C++ side works with
schemas.py       a foreign Arrow schema -> features, for a store without declared fields
arrow.py         __arrow_c_stream__, to_arrow, from_arrow
to_dataset.py    a store as a `Dataset`: one file in the datasets cache
from_dataset.py  a `Dataset` into a store: its table, its picked rows, or a stream of batches
hub.py           load_dataset, save_dataset

The methods of StreamStore import these modules when they are called. The functions take the core of
a store; the loops over rows are in C++ (src/arrow).
"""

from __future__ import annotations
