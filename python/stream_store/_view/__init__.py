"""Ways to look into a store: in the terminal, as a page, in rerun, as a plot, in a notebook.

All of them share one model. `model.py` maps each field to a kind and reads blocks of rows in
constant memory; `segments.py` finds segments block by block; `series.py` reduces numbers to the
lowest and highest value per pixel. The other modules draw.
"""

from __future__ import annotations
