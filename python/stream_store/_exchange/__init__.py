"""Exchange with Arrow, HuggingFace Datasets and the Hub: what stands behind StreamStore's methods.

methods.py       the methods themselves, a base of StreamStore
formats.py       a field's feature -> the Arrow formats that the C++ side works with
schemas.py       a foreign Arrow schema -> features, where no fields are declared
arrow.py         __arrow_c_stream__, to_arrow, from_arrow
to_dataset.py    a store as a `Dataset`: one file in the datasets cache
from_dataset.py  a `Dataset` into a store: its table, its picked rows, or a stream of batches
hub.py           load_dataset, save_dataset

The loops over rows are in C++ (src/arrow). Nothing here is imported before it is used.
"""

from __future__ import annotations
