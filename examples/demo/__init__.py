"""The parts of the demo, examples/record_and_sample.py.

tasks.py    the environments and their policies
record.py   the collector: records an environment into a store, step by step
follow.py   the learner: a separate process that opens the store by its path and samples it
compare.py  compares the store with the recorded data
picture.py  draws demo.png
"""

from __future__ import annotations
