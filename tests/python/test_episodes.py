"""store.episodes(): compared with a loop over the rows in plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli_helpers import cli_output
from stream_store import StreamStore, _episodes


def plain(numbers: list[int], rewards: list[float | None]) -> list[tuple[int, int, float]]:
    """First row, length and sum of each run of equal numbers."""
    table: list[tuple[int, int, float]] = []
    for row, (number, reward) in enumerate(zip(numbers, rewards, strict=True)):
        if row == 0 or number != numbers[row - 1]:
            table.append((row, 0, 0.0))
        first, length, total = table[-1]
        table[-1] = (first, length + 1, total + (reward or 0))
    return table


def test_segments_and_sums_equal_a_loop() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 900, 400)
    numbers = np.repeat(np.arange(400), lengths).tolist()
    rewards = [None if i % 5 == 4 else float(i % 13) for i in range(len(numbers))]
    store = StreamStore(fields={"episode": "int64", "reward": "float32", "n": "uint8"})
    store.extend({"episode": numbers, "reward": rewards, "n": np.ones(len(numbers), np.uint8)})
    table = store.episodes("episode", sums=["reward", "n"])
    assert table.dtype.names == ("first_row", "length", "complete", "sum_reward", "sum_n")
    assert table[["first_row", "length", "sum_reward"]].tolist() == plain(numbers, rewards)
    assert table["sum_n"].tolist() == table["length"].tolist() == lengths.tolist()
    assert table["complete"].tolist() == [True] * 399 + [False]


def test_float_fields_are_added_up_by_default() -> None:
    store = StreamStore(
        fields={"done": "bool", "r": "float32", "i": "int8", "v": "float32[2]", "s": "string"}
    )
    store.extend({"done": [False, True, True], "r": [1, 2, 4], "i": [1, 1, 1]})
    table = store.episodes("done")
    assert table.dtype.names == ("first_row", "length", "complete", "sum_r")
    assert table.tolist() == [(0, 2, True, 3.0), (2, 1, True, 4.0)]
    store.append_step({"done": False, "r": 8.0})
    assert store.episodes("done").tolist()[-1] == (3, 1, False, 8.0)


def test_the_last_segment_of_a_store_without_writer_is_complete(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"episode": "int64"}) as store:
        store.extend({"episode": [0, 0, 1]})
        assert store.episodes("episode")["complete"].tolist() == [True, False]
        assert StreamStore(tmp_path / "s", "r").episodes("episode")["complete"].tolist() == [
            True,
            False,
        ]
    reader = StreamStore(tmp_path / "s", "r")
    assert reader.episodes("episode")["complete"].tolist() == [True, True]


def test_by_defaults_to_the_segments_that_the_store_retains(tmp_path: Path) -> None:
    fields = {"episode": "int64", "reward": "float64"}
    with StreamStore(tmp_path / "s", fields=fields, segment_by="episode") as store:
        store.extend({"episode": [0, 1, 1], "reward": [1, 2, 3]})
        assert store.episodes()["sum_reward"].tolist() == [1, 5]
    with pytest.raises(ValueError, match=r"by= must name .* its int and bool fields are 'n'"):
        StreamStore(fields={"n": "int8", "x": "float32"}).episodes()


def test_dropped_rows_are_left_out(tmp_path: Path) -> None:
    fields = {"episode": "int64", "reward": "float64"}
    with StreamStore(tmp_path / "s", fields=fields, chunk_bytes=1 << 20) as store:
        store.extend({"episode": np.arange(300_000) // 100, "reward": np.ones(300_000)})
        store.drop_before(250_050)
        table = store.episodes("episode")
        assert table[0].tolist() == (250_050, 50, True, 50.0)
        assert len(table) == 500
        assert table["sum_reward"].sum() == 49_950


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint8", "int8"])
@pytest.mark.parametrize("block", [1, 3, 1 << 16])
def test_sums_of_ints_are_exact(monkeypatch: pytest.MonkeyPatch, dtype: str, block: int) -> None:
    """Against the ints of Python, with values near both ends of the dtype."""
    monkeypatch.setattr(_episodes, "_ROWS", block)
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(2)
    values = [int(one) for one in rng.integers(limits.min, limits.max, 300, dtype)]
    values[:6] = [limits.max, limits.min, limits.max, limits.min, -1 if limits.min else 1, 1]
    numbers = np.repeat(np.arange(100), 3).tolist()
    sums = [sum(values[3 * i : 3 * i + 3]) for i in range(100)]
    whole = np.iinfo("uint64" if dtype.startswith("u") else "int64")
    good = [i for i in range(100) if whole.min <= sums[i] <= whole.max]
    assert (len(good) < 100) == dtype.endswith("64")
    store = StreamStore(fields={"episode": "int64", "n": dtype})
    rows = [row for i in good for row in range(3 * i, 3 * i + 3)]
    column = np.array([values[row] for row in rows], dtype)
    store.extend({"episode": [numbers[row] for row in rows], "n": column})
    found = store.episodes("episode", sums=["n"])["sum_n"]
    assert found.tolist() == [sums[i] for i in good]
    for i in sorted(set(range(100)) - set(good))[:5]:
        store = StreamStore(fields={"episode": "int64", "n": dtype})
        store.extend({"episode": [i] * 3, "n": np.array(values[3 * i : 3 * i + 3], dtype)})
        said = rf"sum of 'n' over rows \[0, 3\) is {sums[i]}, which is not a valid {whole.dtype}"
        with pytest.raises(ValueError, match=said):
            store.episodes("episode", sums=["n"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sums_of_infinite_and_large_floats_do_not_warn(tmp_path: Path, dtype: str) -> None:
    inf, top = np.inf, float(np.finfo(dtype).max)
    values = np.array([[inf, -inf, 1], [top, top, top], [np.nan, inf, 0], [-top, -inf, 2]], dtype)
    with StreamStore(tmp_path / "s", fields={"episode": "int64", "x": dtype}) as store:
        store.extend({"episode": np.repeat(np.arange(4), 3), "x": values.reshape(-1)})
    with StreamStore(tmp_path / "s", "r") as store:
        with np.errstate(all="ignore"):
            expected = values.astype(np.float64).sum(1)
        np.testing.assert_array_equal(store.episodes("episode")["sum_x"], expected)
        store.stats()
    pytest.importorskip("typer")
    assert cli_output("episodes", tmp_path / "s")[1] == ""
    assert cli_output("stats", tmp_path / "s")[1] == ""
    assert cli_output("view", tmp_path / "s", "--html", tmp_path / "out.html")[1] == ""


def test_no_rows_and_bad_names() -> None:
    store = StreamStore(fields={"episode": "int64", "text": "string"})
    assert len(store.episodes("episode")) == 0
    with pytest.raises(ValueError, match="sums='text': expected scalar fields"):
        store.episodes("episode", sums=["text"])
    with pytest.raises(ValueError, match="none"):
        store.episodes("none")
