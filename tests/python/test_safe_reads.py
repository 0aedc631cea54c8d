"""Stores that are opened with safe_reads: they copy every word that a read needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_store import StreamStore

BOTH = pytest.mark.parametrize("safe_reads", [False, True])


@BOTH
def test_a_layout_of_many_fields_is_read_whole(tmp_path: Path, safe_reads: bool) -> None:
    """A layout of 60 fields takes several system calls to copy."""
    with StreamStore(tmp_path / "s", fields={f"f{i}": "int64" for i in range(100)}) as store:
        store.append_step({"f0": 0})
        store.append_step({f"f{i}": i for i in range(60)})
    with StreamStore(tmp_path / "s", "r", safe_reads=safe_reads) as reader:
        types = reader.windows([1], 60)["types"]
        assert types[0, -3:].tolist() == [57, 58, 59]
        assert types[0].tolist() == list(range(60))


@BOTH
def test_values_inside_long_rows_are_found(tmp_path: Path, safe_reads: bool) -> None:
    """Rows of 600 values span several hints, so most hints point into the middle of a row."""
    with StreamStore(tmp_path / "s", fields={"list": "int64[]"}) as store:
        for i in range(6):
            store.append_step({"list": np.arange(600) + 1000 * i})
    with StreamStore(tmp_path / "s", "r", safe_reads=safe_reads) as reader:
        assert reader.windows([10], 4)["values"].tolist() == [[10, 11, 12, 13]]
        assert reader.row_of([10, 650]).tolist() == [0, 1]
        assert reader.windows([598], 4)["values"].tolist() == [[598, 599, 1000, 1001]]
