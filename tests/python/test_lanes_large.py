"""Windows by key in stores of many rows, which are read in one thread and entered in another.

The expected anchors come from NumPy: rows are sorted by agent, and a window fits where no row but
its last ends an episode.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from store_helpers import data_file
from stream_store import CorruptStoreError, StreamStore, WindowSampler

FIELDS = {"agent": "int32", "done": "bool", "keep": "bool"}
MANY = 300_000  # more than the rows from which on there are two threads
LENGTH = 3
RECORD = 32  # bytes
LAYOUT = 24  # where a record names its layout


def make_rows(count: int, agents: int, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    return {
        "agent": rng.integers(agents, size=count).astype(np.int32),
        "done": rng.random(count) < 0.1,
        "keep": rng.random(count) < 0.95,
    }


def anchors_of(rows: dict[str, NDArray[np.generic]]) -> NDArray[np.intp]:
    """The first rows of all windows of LENGTH rows of one agent, inside episodes and kept rows."""
    order = np.argsort(rows["agent"], kind="stable")
    agent, done, keep = (rows[name][order] for name in ("agent", "done", "keep"))
    fits = np.arange(len(order)) <= len(order) - LENGTH
    for ahead in range(LENGTH):
        fits &= (np.roll(agent, -ahead) == agent) & np.roll(keep, -ahead)
        if ahead < LENGTH - 1:
            fits &= ~np.roll(done, -ahead)
    return np.sort(order[fits])


def sampler_of(store: StreamStore) -> WindowSampler:
    return WindowSampler(
        store,
        LENGTH,
        unit="row",
        lane_by="agent",
        segment_by="done",
        where="keep",
        replacement=False,
        batch_size=65_536,
    )


def anchors_in(sampler: WindowSampler) -> NDArray[np.intp]:
    return np.sort(np.concatenate([batch["_index"] for batch in sampler]))


@pytest.mark.parametrize("agents", [1, 7, 50_000])
def test_the_first_count_of_many_rows(agents: int) -> None:
    rows = make_rows(MANY, agents)
    with StreamStore(fields=FIELDS) as store:
        store.extend(rows)
        assert np.array_equal(anchors_in(sampler_of(store)), anchors_of(rows))


def test_many_rows_that_come_later() -> None:
    rows = make_rows(2 * MANY + 100, 40)
    with StreamStore(fields=FIELDS) as store:
        sampler = sampler_of(store)
        begin = 0
        for end in (50, MANY, MANY + 50, 2 * MANY + 50, 2 * MANY + 100):
            store.extend({name: column[begin:end] for name, column in rows.items()})
            some = {name: column[:end] for name, column in rows.items()}
            assert np.array_equal(anchors_in(sampler), anchors_of(some)), end
            begin = end


def test_many_rows_through_safe_reads(tmp_path: Path) -> None:
    rows = make_rows(MANY, 40)
    with StreamStore(tmp_path / "store", fields=FIELDS) as store:
        store.extend(rows)
    with StreamStore(tmp_path / "store", "r", safe_reads=True) as store:
        assert np.array_equal(anchors_in(sampler_of(store)), anchors_of(rows))


@pytest.mark.parametrize("damaged", [5, MANY // 2, MANY - 2])
def test_a_damaged_record_among_many_rows_is_an_error_each_time(
    damaged: int, tmp_path: Path
) -> None:
    path = tmp_path / "store"
    with StreamStore(path, fields=FIELDS) as store:
        store.extend(make_rows(MANY, 40))
    byte = damaged * RECORD + LAYOUT
    with data_file(path, "records", byte).open("r+b") as file:
        file.seek(byte)
        file.write(b"\xff\xff\xff\x7f")
    with StreamStore(path, "r") as store:
        sampler = sampler_of(store)
        for _ in range(2):
            with pytest.raises(CorruptStoreError, match=str(path)):
                next(iter(sampler))
        assert threads_named("ss-read") == 0


def threads_named(name: str) -> int:
    tasks = Path("/proc/self/task").iterdir()
    return sum((task / "comm").read_text().strip() == name for task in tasks)
