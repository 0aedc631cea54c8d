"""The frames of an episode, in blocks: from its rows as they are, or resampled at regular times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._convert.checking import same_value
from stream_store._convert.exporting import Episode, row_blocks
from stream_store._convert.residency import Residency
from stream_store._store_life import StoreLife

from .plan import Feature, Plan
from .times import Clock, require_regular

_OPERATION = "to_lerobot"
_AT_ONCE = 1 << 10  # frames of a block of resampled frames
MISSING = ("error", "drop", "zero")


@dataclass(frozen=True)
class Frames:
    """Consecutive frames of an episode.

    Attributes:
        values: name of a feature -> an array of shape (count, ...), or a list of str or bytes.
        tasks: the task of each frame.
        rows_done: rows of the episode that were read so far.
    """

    count: int
    values: dict[str, Any]
    tasks: list[str]
    rows_done: int


@dataclass(frozen=True)
class FrameReader:
    """Reads episodes of a store as frames.

    Attributes:
        view: a snapshot.
        plan: the features.
        fps: frames per second.
        clock: the times of rows; None if they are regular by definition.
        tolerance: of regular times, in seconds.
        resample: whether to make frames of the latest values at regular times.
        missing: what to do with a row that lacks a feature: "error", "drop" or "zero".
        max_gap: longest time between two rows over which `resample` repeats values, in seconds.
    """

    view: StoreLife
    plan: Plan
    fps: int
    clock: Clock | None
    tolerance: float
    resample: bool
    missing: str
    max_gap: float
    last_tasks: dict[int, str] = field(default_factory=dict)  # of the previous episode of a lane
    lacking: dict[str, int] = field(default_factory=dict)  # rows dropped for want of a feature

    @cached_property
    def _residency(self) -> Residency:
        return Residency(self.view)

    def frames(self, episode: Episode) -> Iterator[Frames]:
        """The frames of an episode; none if all its rows are dropped. Episodes come in order."""
        if episode.number == 0:
            self.last_tasks.clear()
        return self._resampled(episode) if self.resample else self._plain(episode)

    def count(self, episode: Episode) -> int:
        """About how many frames an episode has: exact unless rows are dropped or resampled."""
        if not self.resample or self.clock is None:
            return episode.rows
        ends = (episode.first, episode.last)
        first, last = (self.clock.read(self.view, np.array([row])) for row in ends)
        return max(1, int(self.clock.seconds(last, first[0])[0] * self.fps) + 1)

    def facts(self, episode: Episode) -> dict[str, Any]:
        """The value of each field with facts, None if the episode has none.

        Raises:
            ValueError: a field has several values in the episode.
        """
        found: dict[str, Any] = dict.fromkeys(self.plan.facts)
        rows: dict[str, int] = {}
        if not found:
            return found
        for numbers, read in row_blocks(self._residency, episode, self.plan.facts):
            for name in self.plan.facts:
                for i in np.flatnonzero(read["_mask"][name]).tolist():
                    value = _fact(read, name, i)
                    if name not in rows:
                        found[name], rows[name] = value, int(numbers[i])
                    elif not same_value(found[name], value):
                        raise ValueError(
                            f"{_OPERATION}: episode_fields: field {name!r} has several values in "
                            f"episode {episode.number}: {str(found[name])[:60]} in row "
                            f"{rows[name]} and {str(value)[:60]} in row {numbers[i]}; expected "
                            "one. Leave it out of episode_fields= to write the value of each frame"
                        )
        return found

    def _blocks(self, episode: Episode) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
        leaves = list(dict.fromkeys(self.plan.leaves))
        return row_blocks(self._residency, episode, leaves)

    def _last_task(self, episode: Episode) -> str:
        """The task at the end of the previous episode of the lane."""
        return self.last_tasks.get(episode.lane, self.plan.task_text)

    # --- rows as they are ---

    def _plain(self, episode: Episode) -> Iterator[Frames]:
        number, done, task, origin = 0, 0, self._last_task(episode), None
        for rows, read in self._blocks(episode):
            keep = self._kept(read, rows)
            numbers = np.flatnonzero(keep)
            if self.clock is not None and len(numbers):
                times = self.clock.read(self.view, rows)[keep]
                origin = times[0] if origin is None else origin
                seconds = self.clock.seconds(times, origin)
                require_regular(seconds, number, rows[numbers], self.fps, self.tolerance)
            tasks, task = self._tasks(read, task)
            self.last_tasks[episode.lane] = task
            values = {
                one.name: self._values(one, read, numbers, rows) for one in self.plan.features
            }
            number += len(numbers)
            done += len(rows)
            yield Frames(len(numbers), values, [tasks[i] for i in numbers], done)

    def _kept(self, read: dict[str, Any], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The rows that have all features, or may lack some."""
        keep = np.ones(len(read["_step"]), np.bool_)
        for one in self.plan.features:
            mask = read["_mask"][one.leaf]
            if mask.all():
                continue
            if self.missing == "error" or (self.missing == "zero" and one.kind == "encoded"):
                shown = ", ".join(map(str, rows[~mask][:3].tolist()))
                raise ValueError(
                    f"{_OPERATION}: field {one.name!r} is missing in row {shown}, and perhaps in "
                    "others; every frame needs all features. missing='drop' leaves such rows out, "
                    "missing='zero' writes 0 or '' (not for image files), and resample='latest' "
                    "takes the latest value. A fact that an episode has once, such as its seed, "
                    "belongs in episode_fields="
                )
            if self.missing == "drop":
                keep &= mask
                missing = len(mask) - int(np.count_nonzero(mask))
                self.lacking[one.name] = self.lacking.get(one.name, 0) + missing
        return keep

    def _tasks(self, read: dict[str, Any], task: str) -> tuple[list[str], str]:
        """The task of each row: the latest that is not missing; and the last of them."""
        rows = len(read["_step"])
        if self.plan.task is None:
            return [task] * rows, task
        given, mask = read[self.plan.task], read["_mask"][self.plan.task]
        tasks = []
        for text, present in zip(given, mask.tolist(), strict=True):
            task = text if present else task
            tasks.append(task)
        return tasks, task

    def _values(
        self,
        feature: Feature,
        read: dict[str, Any],
        rows: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> Any:
        """Values of some rows of a block; `numbers` are those of all its rows in the store."""
        column = read[feature.leaf]
        if feature.kind == "string":
            return [column[i] for i in rows]
        if feature.kind == "encoded":
            paths, mask = read[feature.leaves[1]], read["_mask"][feature.leaves[1]]
            return [{"bytes": column[i], "path": paths[i] if mask[i] else None} for i in rows]
        self._require_length(feature, read, rows, numbers)
        values = column if len(rows) == len(column) else column[rows]
        return values.reshape(len(values), *(feature.shape or ()))

    def _require_length(
        self,
        feature: Feature,
        read: dict[str, Any],
        rows: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> None:
        """Refuse lists that are not all as long as the first one."""
        lengths = read["_length"].get(feature.leaf)
        if lengths is None:
            return
        rows = rows[read["_mask"][feature.leaf][rows]]
        if not len(rows):
            return
        if feature.shape is None:
            size = int(lengths[rows[0]])
            feature.shape = (size, *read[feature.leaf].shape[2:])
            if size == 0:
                raise ValueError(
                    f"{_OPERATION}: field {feature.name!r}, row {numbers[rows[0]]}: an empty "
                    "list cannot be a feature"
                )
        wrong = rows[lengths[rows] != feature.shape[0]]
        if len(wrong):
            raise ValueError(
                f"{_OPERATION}: field {feature.name!r}, row {numbers[wrong[0]]}: expected "
                f"{feature.shape[0]} items, as in the first row, but found {lengths[wrong[0]]}; a "
                "feature of a LeRobotDataset has one shape. Choose other fields with fields="
            )
        width = feature.shape[0]
        if read[feature.leaf].shape[1] != width:  # a row that is left out has a longer list
            read[feature.leaf] = read[feature.leaf][:, :width]

    # --- resampled ---

    def _resampled(self, episode: Episode) -> Iterator[Frames]:
        """The latest value of each feature at times that begin when all of them have one."""
        clock = self.clock
        assert clock is not None
        state = _Latest(self._last_task(episode))
        origin, last, end, done = None, 0.0, 0.0, 0
        before = np.array([episode.first])  # the last row of the previous block
        begin: float | None = None
        number = 0
        for rows, read in self._blocks(episode):
            raw = clock.read(self.view, rows)
            origin = raw[0] if origin is None else origin
            times = clock.seconds(raw, origin)
            gaps = np.diff(times, prepend=last)
            if (gaps < 0).any():
                wrong = rows[np.argmax(gaps < 0)]
                raise ValueError(
                    f"{_OPERATION}: time_field: row {wrong} is earlier than the row before it"
                )
            last = end = float(times[-1])
            done += len(rows)
            tasks, task = self._tasks(read, state.task)
            latest = {one.name: self._latest_rows(one, read) for one in self.plan.features}
            if begin is None:
                begin = self._begin(times, latest, state)
            if begin is not None:
                self._require_short(gaps, times, begin, np.concatenate([before, rows]))
                for instants in _instants(begin, number, self.fps, before=last):
                    at = np.searchsorted(times, instants, "right") - 1
                    values = {
                        one.name: state.pick(one, self, read, latest[one.name], at, rows)
                        for one in self.plan.features
                    }
                    number += len(instants)
                    texts = [tasks[i] if i >= 0 else state.task for i in at]
                    yield Frames(len(instants), values, texts, done)
            for one in self.plan.features:
                state.keep(one, self, read, latest[one.name], rows)
            state.task = self.last_tasks[episode.lane] = task
            before = rows[-1:]
        if begin is None:
            return
        for instants in _instants(begin, number, self.fps, until=end):
            values = {one.name: state.repeat(one, len(instants)) for one in self.plan.features}
            number += len(instants)
            yield Frames(len(instants), values, [state.task] * len(instants), done)

    def _require_short(
        self,
        gaps: NDArray[np.float64],
        times: NDArray[np.float64],
        begin: float,
        rows: NDArray[np.int64],
    ) -> None:
        """Refuse a long gap, such as that after a clock was set: it would be filled with frames.

        `rows` are those of the times, after the last one of the block before.
        """
        long = (gaps > self.max_gap) & (times - gaps >= begin)
        if long.any():
            at = int(np.argmax(long))
            frames = float(gaps[at]) * self.fps
            count = f"{frames:,.0f}" if frames < 1e15 else f"{frames:.3g}"
            raise ValueError(
                f"{_OPERATION}: resample: rows {rows[at]} and {rows[at + 1]} are at "
                f"{times[at] - gaps[at]:.3f} s and {times[at]:.3f} s since the episode began, so "
                f"about {count} frames would repeat the same values; expected at most "
                f"max_gap={self.max_gap:g} s between two rows. Correct the times, cut the episode "
                "there with by=, or allow a longer gap with max_gap="
            )

    def _latest_rows(self, feature: Feature, read: dict[str, Any]) -> NDArray[np.int64]:
        """For each row the latest row of the block, up to it, that has the feature; or -1."""
        mask = read["_mask"][feature.leaf]
        return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))

    def _begin(
        self, times: NDArray[np.float64], latest: dict[str, NDArray[np.int64]], state: _Latest
    ) -> float | None:
        """The first time at which every feature has a value."""
        ready = np.ones(len(times), np.bool_)
        for name, rows in latest.items():
            if name not in state.values:
                ready &= rows >= 0
        return float(times[int(np.argmax(ready))]) if ready.any() else None


def _fact(read: dict[str, Any], name: str, i: int) -> Any:
    """The value of a field in a row of a block, as an object of Python."""
    value = read[name][i]
    if name in read["_length"] and isinstance(value, np.ndarray):
        value = value[: int(read["_length"][name][i])]
    return value.tolist() if hasattr(value, "tolist") else value


class _Latest:
    """The latest value of each feature before the block that is read."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.values: dict[str, Any] = {}

    def pick(
        self,
        feature: Feature,
        reader: FrameReader,
        read: dict[str, Any],
        latest: NDArray[np.int64],
        at: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> Any:
        """Values at rows `at` of a block; -1 is before the block."""
        rows = np.where(at >= 0, latest[at], -1)
        if not (rows >= 0).any():
            return self.repeat(feature, len(rows))
        values = reader._values(feature, read, np.maximum(rows, rows[rows >= 0][0]), numbers)
        before = np.flatnonzero(rows < 0)
        if len(before) and not isinstance(values, np.ndarray):
            for i in before:
                values[i] = self.values[feature.name]
        elif len(before):
            values = values.copy()
            values[before] = self.values[feature.name]
        return values

    def keep(
        self,
        feature: Feature,
        reader: FrameReader,
        read: dict[str, Any],
        latest: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> None:
        if latest[-1] >= 0:
            self.values[feature.name] = reader._values(feature, read, latest[-1:], numbers)[0]

    def repeat(self, feature: Feature, count: int) -> Any:
        value = self.values[feature.name]
        if feature.kind in ("string", "encoded"):
            return [value] * count
        return np.repeat(np.asarray(value)[None], count, 0)


def _instants(
    begin: float, number: int, fps: int, *, before: float = np.inf, until: float = np.inf
) -> Iterator[NDArray[np.float64]]:
    """Times of frames from `number` on, in parts: those < `before`, or those <= `until`."""
    while True:
        times = begin + (number + np.arange(_AT_ONCE)) / fps
        times = times[(times < before) & (times <= until)]
        if not len(times):
            return
        yield times
        number += len(times)
