"""`StreamStore.plot`: numeric fields as a picture of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stream_store import _arguments
from stream_store._exchange.optional import require
from stream_store._safe_text import safe

from .model import FieldView, ViewModel
from .page import color_of
from .readable import Readable
from .series import Envelope

_PIXELS = 1500
#: Fields that are plotted if none are named.
MAX_FIELDS = 32


def plot(
    store: Readable, fields: str | Sequence[str] | None, rows: slice | range | None
) -> NDArray[Any]:
    """What `StreamStore.plot` describes."""
    pyplot = require("matplotlib.pyplot", "plot", extra="plot")
    model = ViewModel(store)
    chosen = _chosen(model, fields)
    view = model.look()
    start, stop = _range(view, rows)
    height = 1.6 * len(chosen) + 0.6
    figure, axes = pyplot.subplots(
        len(chosen), sharex=True, squeeze=False, figsize=(9, height), layout="constrained"
    )
    try:
        for axis, field in zip(axes[:, 0], chosen, strict=True):
            _draw(axis, model, view, field, start, stop)
    except BaseException:
        pyplot.close(figure)
        raise
    axes[-1, 0].set_xlabel("row")
    left_out = len(model.numeric) - len(chosen)
    if fields is None and left_out > 0:
        axes[0, 0].set_title(f"the first {len(chosen)} of {len(model.numeric)} numeric fields")
    return np.asarray(axes[:, 0])


def _chosen(model: ViewModel, fields: str | Sequence[str] | None) -> list[FieldView]:
    if fields is None:
        chosen = model.numeric[:MAX_FIELDS]
        if not chosen:
            raise ValueError("plot: the store has no numeric fields")
        return chosen
    names = [fields] if isinstance(fields, str) else list(fields)
    chosen = [model.field(name) for name in names]
    for field in chosen:
        if not field.components:
            raise ValueError(
                f"plot: field {field.name!r}: expected a numeric field, found {field.spec.text}"
            )
    if not chosen:
        raise ValueError("plot: fields is empty; None plots all numeric fields")
    return chosen


def _range(view: Readable, rows: slice | range | None) -> tuple[int, int]:
    if rows is None:
        return view.first_row, view.num_rows
    if not isinstance(rows, (slice, range)):
        raise TypeError(f"plot: rows must be a slice, a range or None, not {type(rows).__name__}")
    if rows.step not in (None, 1):
        raise ValueError(f"plot: rows must have step 1, not {rows.step}")
    return _arguments.row_range(cast("Any", view), rows.start, rows.stop)


def _draw(
    axis: Any, model: ViewModel, view: Readable, field: FieldView, start: int, stop: int
) -> None:
    # `$` begins a formula in texts of matplotlib.
    name = safe(field.name).replace("$", r"\$")
    axis.set_ylabel(name)
    axis.margins(x=0.01)
    if start == stop:
        return
    envelope = Envelope(start, stop, _PIXELS, len(field.components))
    for blocks in model.numbers(view, [field], start, stop):
        for _, block in blocks:
            envelope.add(block)
    x = envelope.first_rows()
    marker = "." if len(x) <= 60 else None
    for series, component in enumerate(field.components):
        low, high, color = (
            envelope.low[:, series],
            envelope.high[:, series],
            color_of(field, series),
        )
        label = component or None
        if np.array_equal(low, high, equal_nan=True):
            axis.plot(x, low, color=color, label=label, linewidth=1, marker=marker)
            # A value between two gaps has no line.
            alone = ~np.isnan(low)
            alone[1:] &= np.isnan(low[:-1])
            alone[:-1] &= np.isnan(low[1:])
            axis.plot(x[alone], low[alone], ".", color=color, markersize=3)
        else:
            axis.fill_between(x, low, high, color=color, label=label, linewidth=1, alpha=0.6)
    if len(field.components) > 1:
        axis.legend(loc="upper right", fontsize="small", ncols=4)
