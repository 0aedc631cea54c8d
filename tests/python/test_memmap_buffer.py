"""MemmapBuffer: a growable mapped array of any NumPy dtype."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from stream_store import MemmapBuffer


@pytest.mark.parametrize(
    "dtype",
    ["i8", "f4", "?", "S5", "M8[ns]", "c16", [("a", "i4"), ("b", "f8", (2,))], ("u1", (2, 3))],
    ids=str,
)
def test_appended_items_are_read_back(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    items = np.frombuffer(
        rng.integers(0, 2, kind.itemsize * 25, dtype=np.uint8).tobytes(), kind.base
    ).reshape(25, *kind.shape)
    buffer = MemmapBuffer(dtype, size_increment=4)
    for item in items[:5]:
        buffer.append(item)
    buffer.append(items[5:])
    assert len(buffer) == 25
    np.testing.assert_array_equal(buffer[:], items)
    np.testing.assert_array_equal(buffer[-1], items[-1])
    np.testing.assert_array_equal(buffer[[3, 1]], items[[3, 1]])
    np.testing.assert_array_equal(buffer[5:20:3], items[5:20:3])
    np.testing.assert_array_equal(np.array(list(buffer)), items)


def test_the_file_grows_in_increments() -> None:
    buffer = MemmapBuffer(np.int64, size_increment=10)
    assert buffer.capacity == 0
    buffer.append(1)
    assert buffer.capacity == 10
    buffer.append(np.arange(10))
    assert buffer.capacity == 20
    assert buffer.nbytes == 88


def test_reads_are_copies_that_outlive_the_buffer() -> None:
    buffer = MemmapBuffer("i8", size_increment=4)
    buffer.append(np.arange(4))
    read = buffer[:]
    buffer.append(np.arange(1000))
    read[:] += 0
    buffer.close()
    assert read.tolist() == [0, 1, 2, 3]


def test_reset_empties_and_close_ends_the_buffer() -> None:
    with MemmapBuffer("i8") as buffer:
        buffer.append([1, 2])
        buffer.reset()
        assert len(buffer) == 0
        assert buffer[:].tolist() == []
        buffer.append([3])
        assert buffer[0] == 3
    buffer.close()
    assert buffer.closed
    assert "closed" in repr(buffer)
    for call in (lambda: buffer.append(1), lambda: buffer[0], buffer.reset, lambda: iter(buffer)):
        with pytest.raises(ValueError, match="closed"):
            call()


@pytest.mark.parametrize("increment", [0, -1])
def test_the_increment_must_be_positive(increment: int) -> None:
    with pytest.raises(ValueError, match="size_increment"):
        MemmapBuffer("i8", increment)


def test_wrong_items_and_dtypes_are_refused() -> None:
    for dtype in ("O", "V0", [("a", "O")]):
        with pytest.raises(ValueError, match="dtype"):
            MemmapBuffer(dtype)
    buffer = MemmapBuffer(("f4", (2,)))
    for wrong in (1.0, [1.0, 2.0, 3.0], np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="shape"):
            buffer.append(wrong)
    assert len(buffer) == 0
    with pytest.raises(IndexError):
        buffer[0]
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(buffer)
