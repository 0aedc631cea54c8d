"""Targets for learners: n-step returns, discounted returns and hindsight goals.

Pure functions on the arrays of a batch. They read no store and keep no state. Arguments are NumPy
arrays or arrays of any library that NumPy can convert (PyTorch, JAX, anything with `__array__` or
DLPack); results are NumPy arrays that own their memory. All sums are computed in float64.

Rows are those of the guide, "Recording episodes": row t holds an observation, the action taken
there, and the reward and end flags of that action. Row t + 1 holds the next observation, also at
the end of an episode, whose final observation is a row without an action. A window must not cross
episodes; `segment_by=` of `WindowSampler` ensures that.

Two kinds of ending differ. After **termination** nothing follows, so the value of the next
observation does not count. After **truncation** (a time limit) the episode could have continued,
so the value of its final observation does count. A row with both flags is terminated.
"""

from __future__ import annotations

from .hindsight import HindsightGoals, relabel_goals
from .returns import NStep, discounted_return, n_step

__all__ = ["HindsightGoals", "NStep", "discounted_return", "n_step", "relabel_goals"]
