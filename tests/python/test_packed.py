"""Packed fields of varying length: the rows and columns that come back, and their size."""

from __future__ import annotations

import numpy as np
import pytest

from store_helpers import new_store
from stream_store import StreamStore


@pytest.fixture
def packed() -> StreamStore:
    store = new_store(
        {
            "a": "packed float32[]",
            "b": "packed int16[None,2]",
            "s": "packed string",
            "z": "packed binary",
        }
    )
    store.append_step({"a": [1, 2.5, 3], "b": [[1, 2], [3, 4]], "s": "fünf", "z": b"\xff" * 9})
    store.append_step({"a": [], "b": np.zeros((0, 2)), "s": "", "z": b""})
    store.append_step({})
    return store


def test_packed_rows_are_arrays_and_texts(packed: StreamStore) -> None:
    row = packed.row(0)
    assert (row["a"].dtype, row["a"].tolist()) == (np.float32, [1, 2.5, 3])
    assert (row["b"].dtype, row["b"].tolist()) == (np.int16, [[1, 2], [3, 4]])
    assert (row["s"], row["z"]) == ("fünf", b"\xff" * 9)
    empty = packed.row(1)
    assert (empty["a"].shape, empty["b"].shape, empty["s"], empty["z"]) == ((0,), (0, 2), "", b"")
    assert packed.row(2) == dict.fromkeys("absz")
    assert row["a"].flags.owndata or row["a"].base.flags.owndata


def test_packed_columns_are_padded_as_ragged_ones(packed: StreamStore) -> None:
    ragged = new_store({"a": "float32[]", "b": "int16[None,2]", "s": "string", "z": "binary"})
    for row in packed.rows():
        ragged.append_step(row)
    for arguments in ({}, {"max_length": {"a": 2, "b": 5}}, {"length": 2, "rows": [0, 1]}):
        rows = {"rows": [0, 1, 2], **arguments}
        one, other = packed.read_rows(**rows), ragged.read_rows(**rows)
        assert repr(one) == repr(other)
        for name in ("a", "b"):
            assert one[name].dtype == other[name].dtype


def test_packed_items_take_an_eighth_of_the_words() -> None:
    store = new_store({"s": "packed string", "a": "packed int32[]"})
    store.append_step({"s": "x" * 800, "a": np.arange(100)})
    assert len(store) == 1 + 100 + 1 + 50
