"""A plain model of valid windows, for the tests of samplers: lists of rows and simple loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stream_store import StreamStore, WindowSampler

FIELDS = {"episode": "int32", "obs": "float32[2]", "items": "int16[]", "done": "bool"}


def make_rows(rng: np.random.Generator, count: int, first: int = 0) -> list[dict[str, Any]]:
    """Rows with their own number in `obs`; every field except `done` may be missing."""
    rows = []
    for number in range(first, first + count):
        row: dict[str, Any] = {"done": bool(rng.random() < 0.1)}
        if rng.random() < 0.8:
            row["episode"] = number // 9
        if rng.random() < 0.8:
            row["obs"] = np.array([number, -number], np.float32)
        if rng.random() < 0.5:
            row["items"] = np.arange(rng.integers(0, 4), dtype=np.int16)
        rows.append(row)
    return rows


def append(store: StreamStore, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        store.append_step(row)


def segments(rows: Sequence[dict[str, Any]], by: str | None, lanes: int) -> list[list[int]]:
    """Row numbers of each segment of each lane."""
    result = []
    for lane in range(lanes):
        known, segment = None, []
        for number in range(lane, len(rows), lanes):
            row = rows[number]
            value = row.get("episode")
            begins = by == "episode" and value is not None and known not in (None, value)
            begins = begins or (by == "done" and segment and rows[segment[-1]].get("done", False))
            if begins:
                result.append(segment)
                segment = []
            segment.append(number)
            known = known if value is None else value
        if segment:
            result.append(segment)
    return result


def row_windows(
    rows: Sequence[dict[str, Any]],
    length: int,
    by: str | None = None,
    pad: str | None = None,
    lanes: int = 1,
) -> list[tuple[int | None, ...]]:
    """Every valid window as row numbers, with None for empty places, sorted as text."""
    windows = []
    for segment in segments(rows, by, lanes):
        for at in range(len(segment)):
            if pad == "left":
                part = segment[max(at - length + 1, 0) : at + 1]
                windows.append((*[None] * (length - len(part)), *part))
            else:
                part = segment[at : at + length]
                if pad == "right" or len(part) == length:
                    windows.append((*part, *[None] * (length - len(part))))
    return sorted(windows, key=str)


def windows_of(batch: dict[str, Any]) -> list[tuple[int | None, ...]]:
    """The windows of a batch of rows, by their steps."""
    return [
        tuple(int(step) if valid else None for step, valid in zip(steps, valids, strict=True))
        for steps, valids in zip(batch["_step"], batch["_valid"], strict=True)
    ]


def check_content(batch: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Assert that every place of a batch holds the values of its row, or is empty."""
    for window, places in enumerate(windows_of(batch)):
        for place, number in enumerate(places):
            row = {} if number is None else rows[number]
            at = (window, place)
            for name in FIELDS:
                assert batch["_mask"][name][at] == (name in row), (at, name)
            assert batch["episode"][at] == row.get("episode", 0)
            assert batch["done"][at] == row.get("done", False)
            np.testing.assert_array_equal(batch["obs"][at], row.get("obs", np.zeros(2)))
            items = row.get("items", np.zeros(0))
            assert batch["_length"]["items"][at] == len(items)
            np.testing.assert_array_equal(batch["items"][at][: len(items)], items)
            assert not batch["items"][at][len(items) :].any()


def filled(count: int = 60, seed: int = 0) -> tuple[StreamStore, list[dict[str, Any]]]:
    store, rows = StreamStore(fields=FIELDS), make_rows(np.random.default_rng(seed), count)
    append(store, rows)
    return store, rows


def epoch(sampler: WindowSampler) -> list[tuple[int | None, ...]]:
    return [window for batch in sampler for window in windows_of(batch)]


CHOICES = {
    "length": st.integers(1, 7),
    "segment_by": st.sampled_from([None, "episode", "done"]),
    "pad": st.sampled_from([None, "right", "left"]),
    "lanes": st.integers(1, 4),
}
