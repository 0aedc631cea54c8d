"""store.stats(): compared with NumPy over the values that were appended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_store import FieldStats, StreamStore

DTYPES = [
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("bool", "float16", "float32", "float64"),
]


def drawn(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    if dtype == "bool":
        return rng.random(shape) < 0.3
    if dtype.startswith("float"):
        return (rng.standard_normal(shape) * 50 + 20).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def check(stats: FieldStats, values: Any, quantiles: tuple[float, ...] = ()) -> None:
    """Compare with NumPy over axis 0 of the values that are present."""
    wide = values.astype(np.float64)
    assert stats.count == len(values)
    np.testing.assert_array_equal(stats.min, values.min(axis=0))
    np.testing.assert_array_equal(stats.max, values.max(axis=0))
    assert np.asarray(stats.min).dtype == values.dtype
    np.testing.assert_allclose(stats.mean, wide.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(stats.std, wide.std(axis=0), rtol=1e-9, atol=1e-9)
    for quantile in quantiles:
        expected = np.quantile(wide, quantile, axis=0)
        np.testing.assert_allclose(stats.quantiles[quantile], expected, rtol=1e-12)  # type: ignore[index]


@pytest.mark.parametrize("packed", ["", "packed "])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (70,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_shape_equals_numpy(
    dtype: str, shape: tuple[int, ...], packed: str
) -> None:
    rng = np.random.default_rng(5)
    values = drawn(dtype, (3000, *shape), rng)
    packed = packed if shape and not dtype.endswith("64") else ""
    text = f"{packed}{dtype}{list(shape) if shape else ''}"
    store = StreamStore(fields={"x": text})
    store.extend({"x": values})
    stats = store.stats(quantiles=(0, 0.25, 0.5, 1))["x"]
    check(stats, values, (0, 0.25, 0.5, 1))
    assert (stats.missing, stats.length) == (0, None)
    assert np.sum(stats.nan) == 0


def test_missing_rows_count_nowhere_else() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((5000, 4)).astype(np.float32)
    there = rng.random(5000) < 0.6
    store = StreamStore(fields={"x": "float32[4]", "y": "int64"})
    store.extend(
        {"x": [v if t else None for v, t in zip(values, there, strict=True)], "y": range(5000)}
    )
    stats = store.stats()["x"]
    assert stats.missing == (~there).sum()
    check(stats, values[there])


def test_nan_and_infinities() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan, 8.0])
    store = StreamStore(fields={"x": "float64", "high": "float64", "both": "float32"})
    high = np.array([1.0, np.inf, 3.0, 4.0, 5.0])
    both = np.array([np.inf, 1, 2, -np.inf, 3], np.float32)
    store.extend({"x": values, "high": high, "both": both})
    stats = store.stats(quantiles=(0.5,))
    assert (stats["x"].count, stats["x"].nan) == (5, 2)
    assert (stats["x"].min, stats["x"].max, stats["x"].mean) == (1, 8, 4)
    assert stats["x"].quantiles == {0.5: 3.0}
    assert (stats["high"].max, stats["high"].mean) == (np.inf, np.inf)
    assert (stats["both"].min, stats["both"].max) == (-np.inf, np.inf)
    assert np.isnan(stats["both"].mean)
    assert np.isnan(stats["high"].std)


def test_large_offsets_cost_no_precision() -> None:
    values = 1e9 + np.arange(100_000) % 7
    store = StreamStore(fields={"x": "float64", "t": "timestamp[us]"})
    times = np.datetime64("2026-01-01", "us") + np.arange(100_000)
    store.extend({"x": values, "t": times})
    stats = store.stats(quantiles=(0.5,))
    check(stats["x"], values)
    assert (stats["t"].min, stats["t"].max) == (times[0], times[-1])
    assert stats["t"].mean is None
    assert abs(stats["t"].quantiles[0.5] - times[50_000]) < np.timedelta64(2000, "us")  # type: ignore[index]


def test_lists_text_and_nested_cells_have_lengths() -> None:
    rng = np.random.default_rng(2)
    lists = [rng.integers(0, 100, rng.integers(0, 9)).astype(np.int32) for _ in range(3000)]
    texts = ["é" * int(rng.integers(0, 20)) for _ in range(3000)]
    store = StreamStore(
        fields={
            "plain": "int32[]",
            "packed": "packed int32[]",
            "pairs": "float32[None,2]",
            "text": "string",
            "long": "packed string",
            "cell": "nested list<string>",
        }
    )
    pairs = [np.stack([one, one], 1).astype(np.float32) for one in lists]
    store.extend(
        {
            "plain": lists,
            "packed": lists,
            "pairs": pairs,
            "text": texts,
            "long": texts,
            "cell": [["a"] * (i % 3) for i in range(3000)],
        }
    )
    stats = store.stats()
    items = np.concatenate(lists)
    lengths = [len(one) for one in lists]
    for name in ("plain", "packed", "pairs"):
        found = stats[name]
        assert found.length == (min(lengths), np.mean(lengths), max(lengths))
        assert (found.min, found.max) == (items.min(), items.max())
        np.testing.assert_allclose([found.mean, found.std], [items.mean(), items.std()])
    sizes = [len(text.encode()) for text in texts]
    for name in ("text", "long"):
        assert stats[name].length == (min(sizes), np.mean(sizes), max(sizes))
        assert stats[name].mean is None
    assert stats["cell"].count == 3000


def test_quantiles_of_many_rows_are_close() -> None:
    values = np.random.default_rng(3).standard_normal(400_000)
    store = StreamStore(fields={"x": "float64"})
    store.extend({"x": values})
    found = store.stats()["x"].quantiles
    assert found is not None
    for quantile, value in found.items():
        assert abs((values < value).mean() - quantile) < 0.01


class TestFollowing:
    def test_each_call_describes_all_rows_as_they_are_added(self) -> None:
        rng = np.random.default_rng(4)
        store = StreamStore(fields={"x": "float64", "y": "float32"})
        seen = np.empty(0)
        for _ in range(30):
            values = rng.standard_normal(int(rng.integers(1, 4000)))
            store.extend({"x": values, "y": [None] * len(values)})
            seen = np.concatenate([seen, values])
            stats = store.stats()
            check(stats["x"], seen)
            assert stats["y"].missing == len(seen)

    def test_a_last_row_that_grows_is_counted_as_it_is(self) -> None:
        store = StreamStore(fields={"x": "float64", "y": "float64"})
        store.append_step({"x": 1.0})
        assert store.stats()["y"].missing == 1
        store.append_step({"y": 5.0}, step=store.last_step)
        stats = store.stats()["y"]
        assert (stats.count, stats.missing, stats.mean) == (1, 0, 5.0)

    def test_dropped_and_truncated_rows_are_forgotten(self, tmp_path: Path) -> None:
        with StreamStore(tmp_path / "s", fields={"x": "int64"}, chunk_bytes=1 << 20) as store:
            store.extend({"x": np.arange(300_000)})
            assert store.stats()["x"].max == 299_999
            store.truncate(200_000)
            store.extend({"x": np.zeros(100_000, np.int64)})
            assert store.stats()["x"].max == 199_999
            store.drop_before(150_000)
            stats = store.stats()["x"]
            assert (stats.count, stats.max) == (150_000, 199_999)
            assert stats.mean == pytest.approx(np.arange(150_000, 200_000).sum() / 150_000)

    def test_a_reader_follows_a_writer(self, tmp_path: Path) -> None:
        with StreamStore(tmp_path / "s", fields={"x": "int64"}) as writer:
            writer.extend({"x": [1, 2, 3]})
            reader = StreamStore(tmp_path / "s", "r")
            assert reader.stats()["x"].mean == 2
            writer.extend({"x": [10]})
            writer.add_fields({"z": "bool"})
            stats = reader.stats()
            assert (stats["x"].mean, stats["z"].missing) == (4, 4)

    def test_a_cleared_store_starts_again(self) -> None:
        store = StreamStore(fields={"x": "int64"})
        store.extend({"x": [5, 6]})
        store.stats()
        store.clear()
        assert store.stats()["x"] == FieldStats(0, 0)
        store.extend({"x": [1]})
        assert store.stats()["x"].max == 1


def test_safe_reads_give_the_same(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"x": "packed float32[]", "y": "int64[]"}) as store:
        store.extend({"x": [[1, 2], [3]] * 2000, "y": [[4], []] * 2000})
    plain = StreamStore(tmp_path / "s", "r").stats()
    safe = StreamStore(tmp_path / "s", "r", safe_reads=True).stats()
    assert plain["x"] == safe["x"]
    assert plain["y"] == safe["y"]


def test_structs_have_an_entry_for_each_leaf_and_fields_choose() -> None:
    store = StreamStore(fields={"pose": {"x": "float64", "y": "int8"}, "n": "int64"})
    store.extend([{"pose": {"x": 1.0, "y": 2}, "n": 3}])
    assert list(store.stats()) == ["pose.x", "pose.y", "n"]
    assert list(store.stats(["n"])) == ["n"]
    assert list(store.stats(["pose"])) == ["pose.x", "pose.y"]


def test_bad_arguments_are_errors() -> None:
    store = StreamStore(fields={"n": "int64"})
    with pytest.raises(ValueError, match="Unknown field 'm'"):
        store.stats(["m"])
    with pytest.raises(ValueError, match=r"quantiles must be in \[0, 1\], not 2"):
        store.stats(quantiles=[2])
    with pytest.raises(TypeError, match="quantiles must be numbers"):
        store.stats(quantiles=["half"])  # type: ignore[list-item]
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.stats()


def test_progress_is_told_and_may_end_the_pass() -> None:
    store = StreamStore(fields={"n": "int64"})
    store.extend({"n": np.arange(500_000)})
    seen: list[tuple[int, int]] = []
    store.stats(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (500_000, 500_000)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    store.append_step({"n": 1})
    with pytest.raises(KeyboardInterrupt):
        store.stats(progress=stop)
    assert store.stats()["n"].count == 500_001


@given(
    st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=60),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_any_floats_in_any_parts(values: list[float | None], calls: list[int]) -> None:
    store = StreamStore(fields={"x": "float32", "n": "int8"})
    for i, value in enumerate(values):
        store.append_step({"n": 1} if value is None else {"x": value, "n": 1})
        if i in calls:
            store.stats()
    stats = store.stats()["x"]
    numbers = np.array([v for v in values if v is not None and not np.isnan(v)], np.float64)
    assert stats.count == sum(v is not None for v in values)
    if not len(numbers):
        assert stats.mean is None
        return
    with np.errstate(invalid="ignore"):
        mean, std = numbers.mean(), numbers.std()
    scale = np.abs(numbers[np.isfinite(numbers)]).max(initial=0)
    assert (stats.min, stats.max) == (numbers.min(), numbers.max())
    np.testing.assert_allclose([stats.mean, stats.std], [mean, std], rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize("quantiles", [0.5, "0.5", None])
def test_quantiles_that_are_no_list_are_refused(quantiles: Any) -> None:
    store = StreamStore(fields={"x": "float32"})
    with pytest.raises(TypeError, match=r"stats: quantiles must be a list of numbers in \[0, 1\]"):
        store.stats(quantiles=quantiles)
