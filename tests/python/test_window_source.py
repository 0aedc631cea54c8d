"""WindowSource: windows by number as NumPy arrays, with Grain where it is installed."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSource

FIELDS = {"episode": "int64", "obs": "float32[2]", "text": "string", "pose": {"x": "int8"}}


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    with StreamStore(tmp_path / "run", fields=FIELDS) as writer:
        for i in range(60):
            row: dict[str, Any] = {"episode": i // 20, "obs": [i, -i], "pose": {"x": i}}
            writer.append_step(row | {"text": f"t{i}"})
    return StreamStore(tmp_path / "run", "r")


def test_windows_are_those_of_read_rows(store: StreamStore) -> None:
    source = WindowSource(store, 5, unit="row", segment_by="episode")
    starts = [start for first in (0, 20, 40) for start in range(first, first + 16)]
    assert len(source) == len(starts)
    for number, start in enumerate(starts):
        window, rows = source[number], store.read_rows(start, 5)
        np.testing.assert_array_equal(window["obs"], rows["obs"])
        assert window["text"] == rows["text"] == [f"t{i}" for i in range(start, start + 5)]
        assert window["pose"]["x"].tolist() == rows["pose"]["x"].tolist()
        assert window["_mask"]["pose"]["x"].all()
    several = source.__getitems__([3, -1])
    assert [one["_step"][0] for one in several] == [3, 55]
    assert source[np.int64(3)]["_step"][0] == 3


def test_bad_numbers_are_errors(store: StreamStore) -> None:
    source = WindowSource(store, 5, unit="row")
    for number in (56, -57):
        with pytest.raises(IndexError):
            source[number]
    for other in (1.5, "a", slice(2), [1]):
        with pytest.raises(TypeError, match="i must be an int, not"):
            source[other]  # type: ignore[index]


def test_copies_read_the_same_and_have_the_same_repr(store: StreamStore) -> None:
    source = WindowSource(store, 5, unit="row", segment_by="episode", rows=(3, -4))
    for other in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):
        assert (len(other), repr(other)) == (len(source), repr(source))
        np.testing.assert_array_equal(other[7]["obs"], source[7]["obs"])
    assert repr(str(store.path)) in repr(source)
    assert repr(source) != repr(WindowSource(store, 6, unit="row"))


def test_the_source_grows_with_its_store() -> None:
    store = StreamStore(fields={"n": "int64"})
    store.extend({"n": [1, 2, 3]})
    source = WindowSource(store, 2, unit="row")
    store.extend({"n": [4, 5]})
    assert len(source) == 4
    assert source[3]["n"].tolist() == [4, 5]


def test_grain_reads_every_window_once(store: StreamStore) -> None:
    grain = pytest.importorskip("grain")
    source = WindowSource(store, 3, unit="row", segment_by="episode", fields=["obs"])
    data = grain.MapDataset.source(source).shuffle(seed=1).map(lambda window: window["obs"])
    batches = list(data.batch(8))
    firsts = sorted(int(obs[0, 0]) for batch in batches for obs in batch)
    assert firsts == [start for first in (0, 20, 40) for start in range(first, first + 18)]
    assert batches[0].shape == (8, 3, 2)


def test_grain_continues_where_its_state_was_saved(store: StreamStore) -> None:
    grain = pytest.importorskip("grain")

    def iterator() -> Any:
        source = WindowSource(store, 3, unit="row", fields=["obs"])
        data = grain.MapDataset.source(source).seed(3).shuffle().to_iter_dataset()
        return iter(data)

    first = iterator()
    for _ in range(10):
        next(first)
    state = first.get_state()
    expected = [next(first)["obs"] for _ in range(5)]
    second = iterator()
    second.set_state(state)
    np.testing.assert_array_equal([next(second)["obs"] for _ in range(5)], expected)
