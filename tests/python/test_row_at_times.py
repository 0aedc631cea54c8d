"""Look-ups by the times of a field, compared with a scan in exact arithmetic."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_store import StreamStore

SIDES = ["left", "right", "backward", "nearest"]
ATTOSECONDS = {
    unit: 10 ** (18 - 3 * i) for i, unit in enumerate(["s", "ms", "us", "ns", "ps", "fs", "as"])
}
ATTOSECONDS |= {"m": 60 * 10**18, "h": 3600 * 10**18, "D": 86400 * 10**18}


def scan(times: list[Fraction | None], asked: Fraction, side: str) -> int:
    known = [(time, row) for row, time in enumerate(times) if time is not None]
    none = len(times)
    if side == "nearest":
        return min(known, key=lambda each: (abs(each[0] - asked), each[1]), default=(0, none))[1]
    fits = {
        "left": lambda time: time >= asked,
        "right": lambda time: time > asked,
        "backward": lambda time: time <= asked,
    }[side]
    rows = [row for time, row in known if fits(time)]
    return (rows[-1] if side == "backward" else rows[0]) if rows else none


def store_of(feature: str, times: list[int | None], convert: Any) -> StreamStore:
    store = StreamStore(fields={"time": feature, "other": "int64"})
    for row, time in enumerate(times):
        store.append_step({"other": row} if time is None else {"time": convert(time)})
    return store


units = st.sampled_from(["s", "ms", "us", "ns"])
finer = st.sampled_from(["h", "m", "s", "ms", "us", "ns", "ps"])
gaps = st.lists(st.none() | st.integers(0, 3), max_size=12)


@given(units, finer, st.integers(1, 7), gaps, st.lists(st.integers(-40, 40), max_size=6))
def test_times_of_any_unit_are_found_as_by_a_scan(
    unit: str, other: str, count: int, gaps: list[int | None], asked: list[int]
) -> None:
    now, times = -10, []
    for gap in gaps:
        now += gap or 0
        times.append(None if gap is None else now)
    exact = [None if time is None else Fraction(time * ATTOSECONDS[unit]) for time in times]
    queries = np.array(asked, f"M8[{count}{other}]")
    wanted = [Fraction(time * count * ATTOSECONDS[other]) for time in asked]
    with store_of(f"timestamp[{unit}]", times, lambda t: np.datetime64(t, unit)) as store:
        for side in SIDES:
            found = store.row_at(queries, side, field="time")
            assert found.tolist() == [scan(exact, time, side) for time in wanted]


@pytest.mark.parametrize(
    ("feature", "dtype"),
    [("int32", "i8"), ("uint64", "u8"), ("float64", "f8"), ("float32", "f4"), ("int64", "f4")],
)
@pytest.mark.parametrize("side", SIDES)
def test_numbers_count_in_the_unit_of_the_field(feature: str, dtype: str, side: Any) -> None:
    times = [0, None, 3, 3, None, 8]
    exact = [None if time is None else Fraction(time) for time in times]
    asked = np.array([[8, 0, 2], [5, 9, 3]], dtype)
    expected = [[scan(exact, Fraction(float(time)), side) for time in row] for row in asked]
    with store_of(feature, times, int) as store:
        assert store.row_at(asked, side, field="time").tolist() == expected
        one = store.row_at(5, side, field="time")
        assert isinstance(one, np.int64)
        assert one == expected[1][0]


def test_a_fraction_counts_between_ints() -> None:
    with store_of("int64", [1, 2, 4], int) as store:
        found = [store.row_at([1.5, 3.25], side, field="time").tolist() for side in SIDES]
    assert found == [[1, 2], [1, 2], [0, 1], [0, 2]]


def test_objects_of_datetime_and_pandas_are_times() -> None:
    pandas = pytest.importorskip("pandas")
    noon = dt.datetime(2024, 5, 1, 12)
    stamps = [noon + dt.timedelta(seconds=i) for i in range(3)]
    zone = dt.timezone(dt.timedelta(hours=2))
    store = StreamStore(fields={"at": "timestamp[ns]", "took": "duration[ms]", "day": "date32"})
    for i, at in enumerate(stamps):
        store.append_step({"at": at, "took": dt.timedelta(seconds=i), "day": at.date()})
    asked = [noon, stamps[2].replace(tzinfo=dt.timezone.utc).astimezone(zone), dt.date(2024, 5, 1)]
    assert store.row_at(asked, field="at").tolist() == [0, 2, 0]
    just_after = pandas.Timestamp(noon) + pandas.Timedelta(1, "ns")
    assert store.row_at(just_after, field="at") == 1
    assert store.row_at(pandas.Series([noon, just_after]), field="at").tolist() == [0, 1]
    assert store.row_at(dt.timedelta(milliseconds=1500), "backward", field="took") == 1
    assert store.row_at(np.timedelta64(1, "m"), field="took") == 3
    assert store.row_at(noon, "left", field="day") == 3
    assert store.row_at(noon, "nearest", field="day") == 0
    assert store.row_at(np.datetime64("2024-05"), "right", field="day") == 3


def test_times_beyond_64_bits_are_before_or_after_all_others() -> None:
    with store_of("timestamp[ns]", [0, 5], lambda t: np.datetime64(t, "ns")) as store:
        far = np.array(["9999-01-01", "0001-01-01"], "M8[s]")
        assert store.row_at(far, field="time").tolist() == [2, 0]
        assert store.row_at(far, "backward", field="time").tolist() == [1, 2]
        assert store.row_at(dt.datetime(9999, 1, 1), "nearest", field="time") == 1
        assert store.row_at(dt.datetime(1, 1, 1), "nearest", field="time") == 0


def test_many_times_in_any_order_and_byte_order() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, 10_000, 3000))
    store = StreamStore(fields={"time": "int64"})
    store.extend({"time": times})
    asked = rng.integers(-10, 10_010, (40, 50))
    for order in ("<i8", ">i8"):
        found = store.row_at(asked.astype(order), "left", field="time")
        np.testing.assert_array_equal(found, np.searchsorted(times, asked))
    found = store.row_at(np.sort(asked.ravel())[::2], "right", field="time")
    np.testing.assert_array_equal(
        found, np.searchsorted(times, np.sort(asked.ravel())[::2], "right")
    )
    assert store.row_at([], field="time").shape == (0,)
    assert store.row_at(np.zeros((0, 3)), field="time").shape == (0, 3)


def test_rows_that_come_later_are_found(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "store", fields={"time": "float64"}) as store:
        reader = StreamStore(tmp_path / "store", mode="r")
        for row in range(20):
            store.append_step({"time": row / 2})
            assert reader.row_at(100.0, "backward", field="time") == row
        assert reader.snapshot(5).row_at(100, "backward", field="time") == 4
        store.append_step({"time": 3.0})
        with pytest.raises(ValueError, match=r"found 9\.5 in row 19 and 3 in row 20"):
            reader.row_at(1.0, field="time")
        assert reader.snapshot(20).row_at(1.0, field="time") == 2


def test_steps_have_the_new_sides() -> None:
    store = StreamStore(fields={"reward": "float32"})
    store.extend({"reward": [0.0, 1.0]}, steps=[10, 20])
    assert store.row_at([9, 10, 15, 16, 99], "backward").tolist() == [2, 0, 0, 0, 1]
    assert store.row_at([9, 10, 15, 16, 99], "nearest").tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("feature", "asked", "error", "message"),
    [
        ("timestamp[ns]", 1.5, TypeError, "must be datetime64 values or ints, not float64"),
        ("timestamp[ns]", np.timedelta64(1, "s"), TypeError, "not timedelta64"),
        ("timestamp[ns]", np.datetime64("NaT"), ValueError, "NaT"),
        ("timestamp[ns]", ["2024-05-01"], TypeError, "must be datetime64"),
        ("timestamp[ns]", [dt.timedelta(1)], TypeError, "must be datetime64"),
        ("duration[s]", np.timedelta64(1, "M"), TypeError, "must not be timedelta64"),
        ("duration[s]", np.timedelta64(1), TypeError, "must not be timedelta64"),
        ("int64", np.datetime64(1, "s"), TypeError, "must be ints or floats"),
        ("int64", True, TypeError, "must be ints or floats, not bool"),
        ("int64", None, TypeError, "must be ints or floats"),
        ("int64", 2**70, TypeError, "must be ints or floats"),
        ("float64", float("nan"), ValueError, "is NaN"),
        ("float64[2]", 1.0, ValueError, "one number, date, time, timestamp or duration per row"),
        ("bool", 1, ValueError, "one number, date, time, timestamp or duration per row"),
        ("string", 1, ValueError, "one number, date, time, timestamp or duration per row"),
        ("int64[]", 1, ValueError, "one number, date"),
    ],
)
def test_other_times_and_fields_are_refused(
    feature: str, asked: Any, error: type[Exception], message: str
) -> None:
    store = StreamStore(fields={"time": feature})
    with pytest.raises(error, match=message):
        store.row_at(asked, field="time")


def test_bad_arguments_are_refused() -> None:
    store = StreamStore(fields={"time": "int64"})
    with pytest.raises(ValueError, match="Unknown field"):
        store.row_at(1, field="clock")
    with pytest.raises(ValueError, match="'left', 'right', 'backward' or 'nearest'"):
        store.row_at(1, "before", field="time")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="field"):
        store.row_at(1, field=3)  # type: ignore[call-overload]
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.row_at(1, field="time")
