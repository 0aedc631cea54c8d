"""Windows by time: `seconds=`, `time_field=` and `tolerance=`; test_lanes.py has the model."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSampler


def camera(times: Any, dtype: str = "float64", path: Path | None = None) -> StreamStore:
    store = StreamStore(path, fields={"time": dtype, "frame": "int64"})
    store.extend({"time": times, "frame": np.arange(len(times))})
    return store


def frames(sampler: WindowSampler) -> list[list[int]]:
    """The frames of all windows, by their anchors."""
    found = {}
    for batch in sampler:
        found.update(zip(batch["_row"].tolist(), batch["frame"].tolist(), strict=True))
    return [found[row] for row in sorted(found)]


def test_irregular_times_lead_to_the_nearest_rows() -> None:
    # A frame was lost at 0.2 s, and one came 10 ms late.
    store = camera([0.0, 0.1, 0.3, 0.41, 0.5])
    sampler = WindowSampler(
        store, seconds={"frame": [-0.1, 0.0]}, time_field="time", tolerance=0.02, replacement=False
    )
    assert frames(sampler) == [[0, 1], [2, 3], [3, 4]]
    sampler = WindowSampler(
        store,
        seconds={"frame": [-0.1, 0.0]},
        time_field="time",
        outside="edge",
        replacement=False,
    )
    assert frames(sampler) == [[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]]


def test_of_two_rows_that_are_equally_near_the_earlier_one_is_taken() -> None:
    store = camera([0.0, 0.0, 1.0, 1.0, 2.0])
    sampler = WindowSampler(
        store,
        seconds={"frame": [0.5, -1.0]},
        time_field="time",
        tolerance=0.5,
        replacement=False,
    )
    # From 1.0 s: 1.5 is as near to 1.0 as to 2.0, and 0.0 is the time of two rows.
    assert frames(sampler) == [[2, 0], [2, 0], [4, 2]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("dtype", ["timestamp", "duration"])
def test_timestamps_and_durations_have_units_of_their_own(dtype: str, unit: str) -> None:
    times = np.array([5, 6, 8], "timedelta64[s]").astype(f"timedelta64[{unit}]")
    stored = times if dtype == "duration" else np.datetime64("2030-01-01", unit) + times
    sampler = WindowSampler(
        camera(stored, f"{dtype}[{unit}]"),
        seconds={"frame": [0, 2]},
        time_field="time",
        replacement=False,
    )
    assert frames(sampler) == [[1, 2]]


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (None, "row 2 has no time"),
        (float("nan"), "row 2 has a time that is not finite"),
        (float("inf"), "row 2 has a time that is not finite"),
        (1e300, "not finite or beyond"),
        (0.25, "row 2 is 250000000 ns before row 1 of its segment"),
    ],
)
def test_a_row_without_a_usable_time_is_named(
    time: float | None, reason: str, tmp_path: Path
) -> None:
    store = StreamStore(tmp_path / "store", fields={"time": "float64", "frame": "int64"})
    rows: list[dict[str, Any]] = [{"time": 0.0}, {"time": 0.5}, {"time": time}, {"time": 1.0}]
    rows += [{"time": 1.5}, {"time": 2.0}]
    for i, row in enumerate(rows):
        store.append_step({**row, "frame": i} if row["time"] is not None else {"frame": i})
    sampler = WindowSampler(store, seconds={"frame": [0.5]}, time_field="time", replacement=False)
    with pytest.raises(ValueError, match=reason):
        next(iter(sampler))
    with pytest.raises(ValueError, match=reason):
        len(sampler)
    # Once it was dropped, it is in nobody's way.
    store.drop_before(3)
    assert sampler.num_starts == 2
    assert frames(sampler) == [[4], [5]]


def test_rows_that_are_left_out_need_no_time() -> None:
    store = StreamStore(fields={"time": "float64", "frame": "int64", "keep": "bool"})
    for i in range(6):
        row = {"time": i / 10} if i != 2 else {}
        store.append_step({"frame": i, "keep": i != 2, **row})
    store.append_step({"frame": 6})
    sampler = WindowSampler(
        store, seconds={"frame": [0, 0.1]}, time_field="time", where="keep", replacement=False
    )
    assert frames(sampler) == [[0, 1], [3, 4], [4, 5]]


def test_times_are_those_that_a_reader_gets() -> None:
    # A store keeps more digits than a float32 has; 0.1 as it is read is more than 0.1.
    store = camera([0.0, 0.1], "float32")
    store.extend({"time": store.read_rows([1])["time"], "frame": [2]})
    store.extend({"time": [0.1], "frame": [3]})
    read = store.read_rows(slice(None))["time"]
    assert read.tolist() == [0, *[float(np.float32(0.1))] * 3]
    sampler = WindowSampler(store, seconds={"frame": [0.0]}, time_field="time", replacement=False)
    assert frames(sampler) == [[0], [1], [1], [1]]


def test_a_state_and_a_copy_continue(tmp_path: Path) -> None:
    store = camera(np.arange(50) / 10, path=tmp_path / "store")
    sampler = WindowSampler(
        store, seconds={"frame": [-0.3, 0.0]}, time_field="time", batch_size=5, seed=3
    )
    sampler.sample()
    state = sampler.state_dict()
    wanted = sampler.sample()["frame"]
    other = pickle.loads(pickle.dumps(sampler))
    other.load_state_dict(state)
    assert (other.sample()["frame"] == wanted).all()
    coarse = WindowSampler(
        store, seconds={"frame": [-0.3, 0.0]}, time_field="time", batch_size=5, tolerance=0.5
    )
    with pytest.raises(ValueError, match="tolerance"):
        coarse.load_state_dict(state)
    by_rows = WindowSampler(store, offsets={"frame": [-3, 0]}, batch_size=5)
    with pytest.raises(ValueError, match="offsets="):
        by_rows.load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": {"frame": [0]}}, "time_field is missing"),
        ({"time_field": "time"}, "time_field is for seconds"),
        ({"seconds": {"frame": [0]}, "time_field": "frame"}, "'frame' is int64"),
        ({"seconds": {"frame": [0]}, "time_field": "none"}, "none"),
        (
            {"seconds": {"frame": [0]}, "time_field": "time", "offsets": {"frame": [0]}},
            "or seconds",
        ),
        ({"seconds": {"frame": [0]}, "time_field": "time", "outside": "shift"}, "'shift' is for"),
        ({"seconds": {"frame": [0]}, "time_field": "time", "length": 3}, "if seconds are given"),
        ({"seconds": {"frame": [0]}, "time_field": "time", "fields": ["frame"]}, "if seconds"),
        ({"seconds": {"frame": []}, "time_field": "time"}, "at least one number"),
        ({"seconds": {"frame": ["0"]}, "time_field": "time"}, "must be a number of seconds"),
        ({"seconds": {"frame": [True]}, "time_field": "time"}, "must be a number of seconds"),
        ({"seconds": {"frame": [float("nan")]}, "time_field": "time"}, "must be a number"),
        ({"seconds": {"frame": [1e8]}, "time_field": "time"}, "must be a number of seconds in"),
        ({"seconds": [0.1], "time_field": "time"}, "seconds must be a mapping"),
        ({"seconds": {}, "time_field": "time"}, "seconds must be a mapping"),
        ({"seconds": {"frame": [0]}, "time_field": "time", "tolerance": -1}, "tolerance must be"),
        ({"seconds": {"frame": [0]}, "time_field": 3}, "time_field must be the name"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowSampler(camera([0.0, 1.0]), **arguments)
