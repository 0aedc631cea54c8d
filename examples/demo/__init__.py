"""The parts of the demo, examples/record_and_sample.py.

tasks.py    the environments and who acts in them
record.py   the collector: an environment, step by step, into a store
follow.py   the learner: a process of its own that opens the store by path and samples it
compare.py  the store against what was recorded
picture.py  demo.png
"""

from __future__ import annotations
