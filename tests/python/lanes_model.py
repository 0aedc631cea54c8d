"""A plain model of lanes, segments and windows: lists of rows and simple loops.

`Case` holds one choice of the arguments of a WindowSampler; `expected` lists its windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

FIELDS = {
    "number": "int64",  # the number of the row
    "time": "float64",  # seconds; never falls
    "agent": "int32",
    "task": "int16",
    "episode": "int64",
    "done": "bool",
    "keep": "bool",
    "action": "float32",
    "items": "int8[]",
}


def make_rows(rng: np.random.Generator, count: int, *, sparse: bool = True) -> list[dict[str, Any]]:
    """Rows of a few agents; if `sparse`, all but the number and the time may be missing."""
    agents = int(rng.integers(1, 6))
    ticks = np.cumsum(rng.choice([0, 1, 1, 2, 7], count))
    rows = []
    for number in range(count):
        agent = int(rng.integers(agents))
        row: dict[str, Any] = {
            "number": number,
            "time": ticks[number] / 20,
            "agent": agent * 7 - 3,
            "task": int(rng.integers(2)),
            "episode": number // 11,
            "done": bool(rng.random() < 0.15),
            "keep": bool(rng.random() < 0.9),
            "action": np.float32(number),
            "items": np.arange(number % 3, dtype=np.int8),
        }
        if sparse:
            row = {
                name: value
                for name, value in row.items()
                if name in ("number", "time") or rng.random() < 0.92
            }
        rows.append(row)
    return rows


@dataclass
class Case:
    """Arguments of a WindowSampler."""

    length: int | None = None
    lanes: int = 1
    lane_by: list[str] | None = None
    segment_by: str | None = None
    where: str | None = None
    exclude: list[list[int]] | None = None
    require: list[str] | None = None
    offsets: dict[str, list[int]] | None = None
    outside: str = "skip"
    seconds: dict[str, list[float]] | None = None
    time_field: str | None = None
    tolerance: float = 1e-4
    whole_segments: bool = False
    pad: str | None = None
    rows: tuple[int | None, int | None] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)

    def all_arguments(self) -> dict[str, Any]:
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**given.pop("arguments"), **given, "unit": "row"}


@dataclass(frozen=True)
class Window:
    """A window as a model gives it: rows of each field, None for an empty place."""

    anchor: int
    rows: Mapping[str, Sequence[int | None]]
    valid: Mapping[str, Sequence[bool]]
    segment: tuple[int, int, bool]


def _lane_of(case: Case, row: Mapping[str, Any], number: int) -> Any:
    if case.lane_by:
        return tuple(row.get(name) for name in case.lane_by)
    return number % case.lanes


def segments(
    case: Case, rows: Sequence[dict[str, Any]], first: int
) -> list[tuple[list[int], bool]]:
    """The segments that windows may lie in, as lists of rows, and whether each has ended."""
    lanes: dict[Any, list[int]] = {}
    for number in range(first, len(rows)):
        lanes.setdefault(_lane_of(case, rows[number], number), []).append(number)
    result = []
    for lane in lanes.values():
        segment: list[int] = []
        known = None
        for number in lane:
            row = rows[number]
            episode = row.get("episode")
            begins = False
            if case.segment_by == "episode":
                begins = episode is not None and known is not None and known != episode
                known = known if episode is None else episode
            dead = case.where is not None and not row.get(case.where, False)
            dead = dead or any(begin <= number < end for begin, end in case.exclude or [])
            if segment and (begins or dead):
                result.append((segment, True))
                segment = []
            if not dead:
                segment.append(number)
            if segment and case.segment_by == "done" and row.get("done", False):
                result.append((segment, True))
                segment = []
        if segment:
            result.append((segment, False))
    return result


def expected(case: Case, rows: Sequence[dict[str, Any]], first: int = 0) -> list[Window]:
    """All windows, by rising anchor."""
    low, high = case.rows or (0, None)
    low = 0 if low is None else low + (len(rows) if low < 0 else 0)
    high = len(rows) if high is None else high + (len(rows) if high < 0 else 0)
    windows = []
    for segment, ended in segments(case, rows, first):
        facts = (segment[0], segment[-1] + 1, ended)
        for at, anchor in enumerate(segment):
            lacks = any(name not in rows[anchor] for name in case.require or [])
            if lacks or not low <= anchor < high:
                continue
            window = _window(case, segment, at, ended, rows)
            if window is not None:
                windows.append(Window(anchor, *window, facts))
    return sorted(windows, key=lambda window: window.anchor)


def _timed_window(case: Case, segment: list[int], at: int, rows: Sequence[dict[str, Any]]) -> Any:
    """The rows with the nearest times, compared in whole nanoseconds."""
    assert case.seconds is not None
    times = [round(rows[number]["time"] * 1e9) for number in segment]
    found: dict[str, list[int | None]] = {}
    valid: dict[str, list[bool]] = {}
    for name, some in case.seconds.items():
        wanted = [times[at] + round(second * 1e9) for second in some]
        nearest = [int(np.argmin([abs(time - each) for time in times])) for each in wanted]
        valid[name] = [
            abs(times[place] - each) <= round(case.tolerance * 1e9)
            for place, each in zip(nearest, wanted, strict=True)
        ]
        found[name] = [
            segment[place] if real or case.outside == "edge" else None
            for place, real in zip(nearest, valid[name], strict=True)
        ]
    if case.outside == "skip" and not all(all(some) for some in valid.values()):
        return None
    return found, valid


def _window(
    case: Case, segment: list[int], at: int, ended: bool, rows: Sequence[dict[str, Any]]
) -> Any:
    """Rows and flags of the window of one anchor; None if there is no such window."""
    if case.whole_segments:
        if at != 0 or not ended or len(segment) > (case.length or len(segment)):
            return None
        return {"": list(segment)}, {"": [True] * len(segment)}
    if case.seconds is not None:
        return _timed_window(case, segment, at, rows)
    if case.offsets is None:
        assert case.length is not None
        offsets = {"": list(range(case.length))}
        if case.pad == "left":
            offsets = {"": list(range(1 - case.length, 1))}
        outside = "zero" if case.pad else "skip"
    else:
        offsets, outside = case.offsets, case.outside
    every = [0, *(offset for some in offsets.values() for offset in some)]
    least, most = at + min(every), at + max(every)
    inside = least >= 0 and most < len(segment)
    if outside == "skip" and not inside:
        return None
    shift = 0
    if outside == "shift":
        if most - least >= len(segment):
            return None
        shift = max(-least, 0) - max(most - len(segment) + 1, 0)
    found: dict[str, list[int | None]] = {}
    valid: dict[str, list[bool]] = {}
    for name, some in offsets.items():
        places = [at + offset + shift for offset in some]
        valid[name] = [0 <= place < len(segment) for place in places]
        found[name] = []
        for place, real in zip(places, valid[name], strict=True):
            if real:
                found[name].append(segment[place])
            elif outside == "edge":
                found[name].append(segment[min(max(place, 0), len(segment) - 1)])
            else:
                found[name].append(None)
    return found, valid
