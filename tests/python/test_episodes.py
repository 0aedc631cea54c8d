"""store.episodes(): compared with a loop over the rows in plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_store import StreamStore


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


def test_no_rows_and_bad_names() -> None:
    store = StreamStore(fields={"episode": "int64", "text": "string"})
    assert len(store.episodes("episode")) == 0
    with pytest.raises(ValueError, match="sums='text': expected scalar fields"):
        store.episodes("episode", sums=["text"])
    with pytest.raises(ValueError, match="none"):
        store.episodes("none")
