"""Compare the store with the recorded data: every row, field and bit.

Used by record_and_sample.py after the store has been closed and opened again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_store import StreamStore

from .record import Log

CHUNK = 20_000  # rows


def compare(store: StreamStore, log: Log) -> int:
    """Return how many field-writes were compared.

    Raises:
        AssertionError: a difference was found. The message names the field and the rows.
    """
    _same("num_rows", store.num_rows, log.rows)
    _same("last_step", store.last_step, log.rows - 1)
    written = sum(value is not None for column in log.columns.values() for value in column)
    _same("num_field_writes", store.num_field_writes, written)
    stops = [*log.first_rows[1:], log.rows]
    segments = np.stack([log.first_rows, stops], axis=1)
    _same("segments('episode')", store.segments("episode").tolist(), segments.tolist())
    for begin in range(0, log.rows, CHUNK):
        rows = np.arange(begin, min(begin + CHUNK, log.rows))
        _compare_rows(store.read_rows(rows), log, rows)
    _compare_windows(store)
    return written


def _compare_rows(read: dict[str, Any], log: Log, rows: np.ndarray) -> None:
    place = f"rows {rows[0]} to {rows[-1]}"
    _same(f"_step of {place}", read["_step"].tolist(), rows.tolist())
    for name, column in log.columns.items():
        recorded = column[rows[0] : rows[-1] + 1]
        present = np.array([value is not None for value in recorded])
        _same(f"_mask of {name!r}, {place}", read["_mask"][name].tolist(), present.tolist())
        found = np.ascontiguousarray(read[name])
        expected = np.zeros_like(found)
        if present.any():
            expected[present] = [value for value in recorded if value is not None]
        if found.tobytes() != expected.tobytes():  # bits, so that -0.0 is not 0.0
            raise AssertionError(f"{name!r} differs in {place}")


def _compare_windows(store: StreamStore) -> None:
    """Compare windows with slices of the flat buffer."""
    width = min(128, len(store))
    flat: Any = store[:]
    starts = np.random.default_rng(0).integers(0, len(store) - width + 1, 1000)
    windows = store.windows(starts, width)
    for column, values in windows.items():
        expected = flat[column][starts[:, None] + np.arange(width)]
        if not np.array_equal(values, expected):
            raise AssertionError(f"windows: {column} differs from store[:]")


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r:.200} but found {found!r:.200}")
