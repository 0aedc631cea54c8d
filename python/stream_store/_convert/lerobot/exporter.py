"""to_lerobot: writes the episodes of a store as a LeRobotDataset v3.0."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stream_store._arguments import path_text
from stream_store._convert.exporting import Episode, episodes_of, new_directory
from stream_store._convert.report import ConversionReport
from stream_store._exchange.arrow import Rows
from stream_store._exchange.optional import require
from stream_store._fields import declared_fields
from stream_store._outside import require_outside
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress

from .append import beside, check_same, link_existing, merge_into, read_state
from .checks import check_dataset
from .frames import MISSING, FrameReader
from .plan import make_plan
from .times import make_clock
from .writer import DatasetWriter

_OPERATION = "to_lerobot"
_EPISODE = "episode_index"  # the field that an imported data set has


def to_lerobot(
    store: StoreLife,
    dst: AnyPath,
    *,
    fps: int,
    by: str | Sequence[str] | None = None,
    lane_by: str | Sequence[str] | None = None,
    time_field: str | None = None,
    time_unit: float = 1e-9,
    tolerance: float = 1e-4,
    resample: str | None = None,
    max_gap: float = 60.0,
    missing: str = "error",
    fields: Sequence[str] | None = None,
    task: str | None = None,
    episode_fields: Sequence[str] = (),
    names: Mapping[str, Any] | None = None,
    robot_type: str | None = None,
    images: str | None = "png",
    video: bool = False,
    append: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Write a LeRobotDataset; `StreamStore.to_lerobot` describes the arguments."""
    began = time.monotonic()
    fps = _checked_fps(fps)
    _require_one_of("resample", resample, (None, "latest"))
    _require_one_of("missing", missing, MISSING)
    if resample is not None and time_field is None:
        raise ValueError(f"{_OPERATION}: resample={resample!r} needs time_field")
    if robot_type is not None and not isinstance(robot_type, str):
        raise ValueError(f"{_OPERATION}: robot_type={robot_type!r:.60}: expected a text or None")
    if not max_gap > 0:
        raise ValueError(f"{_OPERATION}: max_gap={max_gap!r}: expected a positive time in seconds")
    pa = require("pyarrow", _OPERATION, extra="lerobot")
    if not store.fields:
        raise RuntimeError(f"{_OPERATION}: no fields are declared")
    view = store.snapshot()
    clock = make_clock(view, time_field, time_unit)
    plan = make_plan(
        view,
        fields=fields,
        task=task,
        episode_fields=episode_fields,
        names=names or {},
        images=images,
        video=video,
        used=() if time_field is None else (time_field,),
    )
    if any(one.is_image for one in plan.features):
        require("PIL.Image", f"{_OPERATION}: images", extra="lerobot")
    if video:
        require("av", f"{_OPERATION}: video=True", extra="video")
    episodes = episodes_of(view, _cuts(view, by), lane_by, _OPERATION)
    reader = FrameReader(
        view, plan, fps, clock, tolerance, resample is not None, missing, float(max_gap)
    )
    facts = pa.schema(Rows(view, declared_fields(view), columns=plan.facts)) if plan.facts else []
    fact_types = {field.name: field.type for field in facts}
    target = Path(path_text(dst)).absolute()
    require_outside(target, _OPERATION)
    state = read_state(target) if append and target.exists() else None
    old_episodes, old_frames = (0, 0) if state is None else (state["episodes"], state["frames"])
    place = new_directory(target, _OPERATION) if state is None else beside(target)
    compared = None
    with place as root:
        writer = DatasetWriter(root, plan, fps, robot_type, fact_types)
        if state is not None:
            writer.start_from(state)
        try:
            _write(
                reader,
                writer,
                episodes,
                progress,
                lambda: None if state is None else check_same(target, state, writer.info()),
            )
            writer.finish()
        except BaseException:
            with suppress(Exception):  # closing files that could not be written fails again
                writer.close()
            raise
        writer.close()
        if check:
            if state is not None:
                link_existing(target, root)
            compared = check_dataset(root, reader, episodes, old_episodes, plan.lossy)
        if state is not None:
            merge_into(target, root)
    return ConversionReport(
        format="lerobot",
        rows=writer.frames - old_frames,
        episodes=writer.episodes - old_episodes,
        fields=tuple(one.name for one in plan.features),
        left_out=plan.left_out,
        changes=plan.changes,
        seconds=time.monotonic() - began,
        checked_values=compared,
    )


def _write(
    reader: FrameReader,
    writer: DatasetWriter,
    episodes: Sequence[Episode],
    progress: Progress | None,
    check: Callable[[], None],
) -> None:
    """Write all episodes; those without frames are named in the plan.

    `check` is called once, when the shapes of all features are known.
    """
    total = reader.view.kept_rows
    left: list[int] = []
    rows, before = 0, writer.frames
    checked = False
    for episode in episodes:
        writer.begin(reader.count(episode))
        for frames in reader.frames(episode):
            writer.add(frames)
            if progress is not None:
                progress(rows + frames.rows_done, total)
        if writer.has_frames and not checked:
            check()
            checked = True
        if not writer.end(reader.facts(episode)):
            left.append(episode.number)
        rows += episode.rows
    if not checked:
        check()
    if left:
        shown = ", ".join(map(str, left[:20]))
        reader.plan.left_out[f"{len(left)} episodes"] = f"no frame has all features: {shown}"
    dropped = rows - (writer.frames - before)
    if reader.missing == "drop" and not reader.resample and dropped:
        counts = ", ".join(f"{name!r} in {n:,}" for name, n in sorted(reader.lacking.items()))
        reader.plan.left_out[f"{dropped:,} rows"] = (
            f"a feature is missing there: {counts}; fields= chooses features, and episode_fields= "
            "those that an episode has once"
        )


def _checked_fps(fps: Any) -> int:
    try:
        checked = operator.index(fps)
    except TypeError:
        checked = 0
    if isinstance(fps, bool) or checked < 1:
        raise ValueError(
            f"{_OPERATION}: fps={fps!r}: expected an int of at least 1, which the layout needs; "
            "resample='latest' makes frames at such a rate"
        )
    return checked


def _require_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        expected = ", ".join(map(repr, allowed))
        raise ValueError(f"{_OPERATION}: {name}={value!r}: expected one of {expected}")


def _cuts(view: StoreLife, by: str | Sequence[str] | None) -> str | Sequence[str]:
    if by is not None:
        return by
    if _EPISODE in view.fields:
        return _EPISODE
    raise ValueError(
        f"{_OPERATION}: by= (--by) must name the field that cuts episodes, an int field or one or "
        f"several bool fields; by=() makes all rows one episode. The fields are "
        f"{', '.join(view.fields)}"
    )
