"""The commands `stats` and `episodes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stream_store._cut_fields import EPISODE_FIELDS, cut_fields_text, default_cut_fields
from stream_store._repr import short_value
from stream_store._segment_cuts import find_interleaved, interleaved_text
from stream_store._statistics import FieldStats
from stream_store.store import StreamStore

from .exit_codes import ArgumentError
from .output import bar, print_json, say, show_table, warn
from .rows import check_fields

_SHOWN_ITEMS = 8  # of a field with a shape, a line each


def show_stats(store: StreamStore, fields: list[str] | None, as_json: bool) -> None:
    """Print the statistics of each field."""
    check_fields(store, fields)
    with bar("stats", hidden=as_json) as progress:
        stats = store.stats(fields or None, progress=progress) if store.fields else {}
    if as_json:
        print_json(stats)
        return
    quantiles = next((list(one.quantiles) for one in stats.values() if one.quantiles), [])
    heads = ["field", "count", "missing", "min", "max", "mean", "std"]
    heads += [f"{100 * quantile:g} %" for quantile in quantiles] + ["nan", "length"]
    rows = [row for name, one in stats.items() for row in _stats_rows(name, one, quantiles)]
    show_table(heads, rows)


def _stats_rows(name: str, stats: FieldStats, quantiles: list[float]) -> Iterator[list[str]]:
    """One line for a field, or one for each of its items if these are few."""
    counts = [f"{stats.count:,}", f"{stats.missing:,}"]
    length = ""
    if stats.length is not None:
        least, mean, most = stats.length
        length = f"{least} to {most}, mean {mean:.6g}"
    values = [stats.min, stats.max, stats.mean, stats.std]
    values += [(stats.quantiles or {}).get(quantile) for quantile in quantiles]
    shape = np.shape(stats.min)
    if shape and np.size(stats.min) > _SHOWN_ITEMS:
        name = f"{name} ({np.size(stats.min):,} items)"
        values = [np.min(stats.min), np.max(stats.max)] + [None] * (len(values) - 2)
        shape = ()
    nan = np.zeros(shape) if stats.nan is None else np.asarray(stats.nan)
    for index in np.ndindex(shape):
        place = f"[{', '.join(map(str, index))}]" if shape else ""
        cells = [_cell(value[index] if shape and value is not None else value) for value in values]
        bad = int(nan[index] if shape else np.sum(nan))
        yield [name + place, *counts, *cells, f"{bad:,}" if bad else "", length]


def _cell(value: Any) -> str:
    return "" if value is None else short_value(value)


def show_episodes(
    store: StreamStore,
    by: list[str] | None,
    sums: list[str] | None,
    rows: int,
    order: str | None,
    as_json: bool,
) -> None:
    """Print the segments, or the first `rows` of them in the order of a column, largest first."""
    check_fields(store, by)
    cuts = by or default_cut_fields(store)
    if not cuts:
        raise ArgumentError(
            "--by must name the field that cuts segments, because the store has no segment_by and "
            f"no int field {' or '.join(EPISODE_FIELDS)}; its int and bool fields are "
            f"{cut_fields_text(store)}"
        )
    table = store.episodes(cuts, sums=sums or None)
    starts = table["first_row"].tolist()
    columns = list(table.dtype.names or ())
    if order is not None:
        if order not in columns:
            order = f"sum_{order}"
        if order not in columns:
            raise ArgumentError(f"--sort must be one of {', '.join(columns)}")
        table = table[np.argsort(table[order], kind="stable")[::-1]]
    if len(cuts) == 1:
        _warn_interleaved(store, cuts[0], starts)
    chosen = table[:rows]
    if as_json:
        for one in chosen:
            print_json(dict(zip(columns, one.tolist(), strict=True)))
        return
    show_table(columns, [[_cell(one[name]) for name in columns] for one in chosen])
    if len(table) > len(chosen):
        say(f"{len(chosen):,} of {len(table):,} segments; -n shows more")


def _warn_interleaved(store: StreamStore, field: str, starts: list[int]) -> None:
    """Say that segments are parts of episodes, as in a recording of several environments."""
    twice = find_interleaved(store, field, starts)
    if twice is not None:
        warn(
            f"{interleaved_text(store, field, twice)}; each change begins a segment here, while "
            "samplers and exports separate environments with lane_by="
        )
