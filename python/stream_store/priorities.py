"""Priorities: how a WindowSampler draws some windows more often than others.

Examples assume ``import numpy as np`` and
``from stream_store import Priorities, StreamStore, WindowSampler``.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, Literal

#: The largest exponent that alpha and beta may have.
_MOST_POWER = 100.0


@dataclass(frozen=True)
class Priorities:
    """How a WindowSampler draws by priority: proportional prioritised experience replay.

    Each window has a priority p >= 0. It is drawn with a probability P proportional to
    (p + eps)^alpha; if p is 0, never. Only if all priorities are 0, all windows are equally likely.
    "_weight" corrects the bias of the draws: (N P)^-beta, where N is the number of valid starts.
    Multiply the loss of each window by its weight. Of several ranks, each has its own P and N,
    those of its share of the windows.

    From Schaul, Quan, Antonoglou and Silver, "Prioritized Experience Replay", 2015, arXiv
    1511.05952.

    Attributes:
        alpha: 0 draws uniformly, 1 in proportion to the priorities; from 0 to 100. Windows are
            drawn in proportion to (priority + eps)^alpha, which must be at most 2^900; powers that
            are too small for a float64 count as 0.
        beta: 0 corrects nothing, 1 all of the bias; from 0 to 100. It usually grows to 1 during
            training.
        eps: is added to each priority above 0, so that small ones are drawn at times.
        new: the priority of new windows: a number, or "max", the largest that any window has ever
            had, and 1 before the first update.
        normalize: what weights are divided by: "batch", the largest of the batch; "store", the
            largest that any window with a priority above 0 has; None, nothing.
        stratified: True takes one window from each of batch_size equal parts of the total, which
            lowers the variance; False draws windows independently.
        mix: the share of windows that are drawn uniformly instead, from 0 to 1, or None for 0.
            "_probability" is that of the mixture, so the weights stay right.

    Raises:
        ValueError: a number is out of range.

    Examples:
        >>> store = StreamStore(fields={"obs": "float32"})
        >>> rows = store.extend({"obs": np.arange(100)})
        >>> sampler = WindowSampler(store, 2, batch_size=8, priorities=Priorities(alpha=1.0))
        >>> batch = sampler.sample()
        >>> sampler.update(batch["_index"], np.zeros(8))
        0
        >>> bool(np.isin(sampler.sample()["_index"], batch["_index"]).any())
        False
    """

    alpha: float = 0.6
    beta: float = 0.4
    eps: float = 1e-6
    new: float | Literal["max"] = "max"
    normalize: Literal["batch", "store"] | None = "batch"
    stratified: bool = True
    mix: float | None = None

    def __post_init__(self) -> None:
        _require_number("alpha", self.alpha, _MOST_POWER)
        _require_number("beta", self.beta, _MOST_POWER)
        _require_number("eps", self.eps, 1e100)
        if self.new != "max":
            _require_number("new", self.new, 1e200, "'max' or ")
        if self.normalize not in ("batch", "store", None):
            raise ValueError(f"normalize must be 'batch', 'store' or None, not {self.normalize!r}")
        if not isinstance(self.stratified, bool):
            raise ValueError(f"stratified must be True or False, not {self.stratified!r}")
        if self.mix is not None:
            _require_number("mix", self.mix, 1.0, "None or ")
        # Equal options have one form, which states of samplers compare.
        for name in ("alpha", "beta", "eps", "new", "mix"):
            value = getattr(self, name)
            if value is not None and value != "max":
                object.__setattr__(self, name, float(value))


def _require_number(name: str, value: Any, most: float, others: str = "") -> None:
    if not _is_number(value, most):
        raise ValueError(f"{name} must be {others}a number from 0 to {most:g}, not {value!r}")


def _is_number(value: Any, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return 0 <= float(value) <= most
    except OverflowError:  # an int
        return False
