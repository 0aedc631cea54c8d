"""Exchange with Arrow, HuggingFace Datasets and the Hub: what stands behind StreamStore's methods.

formats.py       a field's feature -> the Arrow formats that the C++ side works with
schemas.py       a foreign Arrow schema -> features, where no fields are declared
arrow.py         __arrow_c_stream__, to_arrow, from_arrow

The loops over rows are in C++ (src/arrow). Nothing here is imported before it is used.
"""

from __future__ import annotations
