"""Priorities in states, files and other processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_process import finish, line_of, run, start
from stream_store import Priorities, StreamStore, WindowSampler

FIELDS = {"number": "int64", "episode": "int64"}
OPTIONS = Priorities(alpha=0.8, beta=0.5, mix=0.1)


def grow(store: StreamStore, rows: int) -> None:
    number = np.arange(store.num_rows, store.num_rows + rows)
    store.extend({"number": number, "episode": number // 10})


def make_store(path: Path, rows: int = 1000) -> StreamStore:
    store = StreamStore(path, fields=FIELDS)
    grow(store, rows)
    return store


def make_sampler(store: Any, seed: int = 0, **options: Any) -> WindowSampler:
    given = {"segment_by": "episode", "batch_size": 32, "priorities": OPTIONS, **options}
    return WindowSampler(store, 3, unit="row", seed=seed, **given)


def train(sampler: WindowSampler, batches: int = 20) -> list[list[int]]:
    """Draw and update; return the windows."""
    drawn = []
    for i in range(batches):
        batch = sampler.sample()
        sampler.update(batch["_index"], (batch["_index"] * 13 + i) % 17)
        drawn.append(batch["_index"].tolist())
    return drawn


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    return make_store(tmp_path / "store")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "priorities.npz"


# --- states and files ---


def test_a_state_and_a_file_resume_exactly(store: StreamStore, file: Path) -> None:
    sampler = make_sampler(store, seed=3)
    train(sampler)
    sampler.alpha, sampler.beta = 0.9, 0.7
    state = json.loads(json.dumps(sampler.state_dict()))
    sampler.save_priorities(file)
    expected = train(sampler)
    other = make_sampler(store)
    other.load_state_dict(state)
    other.load_priorities(file)
    assert (other.alpha, other.beta) == (0.9, 0.7)
    assert train(other) == expected


def test_the_order_of_state_and_file_does_not_matter(store: StreamStore, file: Path) -> None:
    sampler = make_sampler(store, seed=3)
    train(sampler)
    sampler.alpha = 0.9
    sampler.save_priorities(file)
    other = make_sampler(store)
    other.load_priorities(file)
    other.load_state_dict(sampler.state_dict())
    assert train(other) == train(sampler)


def test_a_file_resumes_after_the_store_has_grown_and_dropped_rows(
    store: StreamStore, file: Path
) -> None:
    sampler = make_sampler(store, seed=3)
    sampler.update([500], 40)  # the largest, and that of new windows
    train(sampler)
    state = sampler.state_dict()
    sampler.save_priorities(file)
    grow(store, 100)
    store.drop_before(320)
    other = make_sampler(store)
    other.load_state_dict(state)
    other.load_priorities(file)
    for _ in range(20):
        expected, found = sampler.sample(), other.sample()
        assert (expected["_index"] == found["_index"]).all()
        assert (expected["_probability"] == found["_probability"]).all()


def test_a_file_alone_gives_priorities_and_their_largest(store: StreamStore, file: Path) -> None:
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    anchors = np.flatnonzero(np.arange(1000) % 10 < 8)
    sampler.update(anchors, 1)
    sampler.update([0], 99)
    sampler.save_priorities(file)
    other = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    other.load_priorities(file)
    grow(store, 3)  # one window
    batch = other.sample()
    wanted = np.where(np.isin(batch["_index"], [0, 1000]), 99, 1) / (99 + 99 + 799)
    np.testing.assert_allclose(batch["_probability"], wanted, rtol=1e-12)


def test_another_process_resumes_exactly(store: StreamStore, file: Path, tmp_path: Path) -> None:
    sampler = make_sampler(store, seed=3)
    train(sampler)
    (tmp_path / "state.json").write_text(json.dumps(sampler.state_dict()))
    sampler.save_priorities(file)
    expected = train(sampler)
    assert json.loads(run(OTHER, tmp_path / "store", tmp_path / "state.json", file)) == expected


def test_a_copy_resumes_exactly_in_another_process(
    store: StreamStore, file: Path, tmp_path: Path
) -> None:
    sampler = make_sampler(store, seed=3)
    train(sampler)
    (tmp_path / "state.json").write_text(json.dumps(sampler.state_dict()))
    sampler.save_priorities(file)
    store.checkpoint(tmp_path / "copy")
    expected = train(sampler)
    assert json.loads(run(OTHER, tmp_path / "copy", tmp_path / "state.json", file)) == expected


OTHER = """
import json
from stream_store import Priorities, WindowSampler
store = StreamStore(sys.argv[1], "r")
sampler = WindowSampler(store, 3, unit="row", segment_by="episode", batch_size=32,
                        priorities=Priorities(alpha=0.8, beta=0.5, mix=0.1))
with open(sys.argv[2]) as state:
    sampler.load_state_dict(json.load(state))
sampler.load_priorities(sys.argv[3])
drawn = []
for i in range(20):
    batch = sampler.sample()
    sampler.update(batch["_index"], (batch["_index"] * 13 + i) % 17)
    drawn.append(batch["_index"].tolist())
print(json.dumps(drawn))
"""


def test_several_stores_resume_exactly(store: StreamStore, file: Path, tmp_path: Path) -> None:
    stores = [store, make_store(tmp_path / "other", 300)]
    sampler = make_sampler(stores, seed=1)
    train(sampler)
    sampler.save_priorities(file)
    other = make_sampler(stores)
    other.load_state_dict(sampler.state_dict())
    other.load_priorities(file)
    assert train(other) == train(sampler)


def test_the_files_of_all_ranks_give_all_priorities(store: StreamStore, tmp_path: Path) -> None:
    """So that another number of ranks can continue."""
    options = Priorities(alpha=1, eps=0, new=0)
    anchors = np.flatnonzero(np.arange(1000) % 10 < 8)
    for rank in range(3):
        part = make_sampler(store, rank=rank, world_size=3, priorities=options, batch_size=800)
        if rank < 2:
            part.update(part.sample()["_index"], 1)
        part.save_priorities(tmp_path / f"{rank}.npz")
    whole = make_sampler(store, priorities=options, batch_size=8000)
    for rank in range(3):
        whole.load_priorities(tmp_path / f"{rank}.npz")
    drawn = set(whole.sample()["_index"])
    assert 300 < len(drawn) < len(anchors)


def test_read_ahead_batches_are_drawn_again_with_the_priorities_of_then(
    store: StreamStore, file: Path
) -> None:
    sampler = make_sampler(store)
    with sampler.prefetch(4) as batches:
        for _ in range(3):
            batch = next(batches)
            sampler.update(batch["_index"], 5)
        state = sampler.state_dict()
        sampler.save_priorities(file)
    other = make_sampler(store)
    other.load_state_dict(state)
    other.load_priorities(file)
    assert state["batches"] == 3
    assert train(other) == train(sampler)  # the prefetch was closed, so its draws are void


def test_a_rewound_state_keeps_the_priorities(store: StreamStore) -> None:
    sampler = make_sampler(store, priorities=Priorities(alpha=1))
    state = sampler.state_dict()
    sampler.sample()
    sampler.alpha = 0.1
    sampler.update([0], 1e200)
    sampler.load_state_dict(state)
    assert sampler.alpha == 1.0
    assert (sampler.sample()["_index"] == 0).all()
    sampler.load_state_dict({**state, "priority_state": [50.0, 0.4, 1.0]})
    assert (sampler.sample()["_index"] == 0).all()  # its weight is limited


def test_an_epoch_number_gives_other_draws(store: StreamStore) -> None:
    sampler = make_sampler(store)
    sampler.update([7], 10)
    first = sampler.sample()["_index"]
    sampler.set_epoch(1)
    second = sampler.sample()["_index"]
    sampler.set_epoch(0)
    assert (sampler.sample()["_index"] == first).all()
    assert (first != second).any()


def test_all_windows_are_new_after_a_truncation(store: StreamStore) -> None:
    sampler = make_sampler(store, priorities=Priorities(alpha=1, eps=0))
    sampler.update([0], 3)
    store.truncate(200)
    assert set(sampler.sample()["_probability"]) == {1 / 160}
    with pytest.raises(ValueError, match="row 300 of store 0, which is not the anchor"):
        sampler.update([300], 1)
    assert sampler.update([100], 0) == 0
    assert 100 not in sampler.sample()["_index"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"priority_state": None}, "list of three numbers"),
        ({"priority_state": [1.0, 2.0]}, "list of three numbers"),
        ({"priority_state": ["1", 2, 3]}, "list of three numbers"),
        ({"priority_state": [-1.0, 0.4, 1.0]}, "alpha: expected a number in"),
        ({"priority_state": [1.0, float("nan"), 1.0]}, "beta: expected a number in"),
        ({"priority_state": [1.0, 0.4, -1.0]}, "largest priority"),
        ({"priority_state": [1.0, 0.4, float("inf")]}, "largest priority"),
        ({"priorities": "none"}, "the state was taken with priorities='none'"),
    ],
)
def test_a_bad_state_changes_nothing(
    store: StreamStore, change: dict[str, Any], message: str
) -> None:
    sampler = make_sampler(store)
    train(sampler)
    before = sampler.state_dict()
    with pytest.raises(ValueError, match=message):
        sampler.load_state_dict({**before, **change})
    assert sampler.state_dict() == before


def test_states_of_other_options_are_refused(store: StreamStore) -> None:
    sampler = make_sampler(store)
    same = make_sampler(store, priorities=Priorities(alpha=1, beta=0, mix=0.1))
    same.load_state_dict(sampler.state_dict())  # alpha and beta are in the state
    assert same.alpha == 0.8
    for options in (None, Priorities(), Priorities(mix=0.1, stratified=False)):
        other = make_sampler(store, priorities=options)
        with pytest.raises(ValueError, match="the state was taken with priorities='eps="):
            other.load_state_dict(sampler.state_dict())


def test_bad_files_change_nothing(store: StreamStore, file: Path, tmp_path: Path) -> None:
    sampler = make_sampler(store)
    train(sampler)
    sampler.save_priorities(file)
    good = dict(np.load(file))
    whole = file.read_bytes()
    bad: dict[str, Any] = {
        "version": {**good, "version": np.array(2)},
        "priorities of 1 stores, found 2": {
            **good,
            "stores": np.array(["a", "b"]),
            "priorities_1": np.ones(1),
        },
        "another store": {**good, "stores": np.array(["0" * 32])},
        "arrays are not priorities": {**good, "priorities_0": np.full(3, -1.0)},
        "are not priorities": {**good, "priorities_0": np.full(3, np.inf)},
        "not priorities": {**good, "priorities_0": np.arange(3)},
        "priorities of rows before 2000, but store 0 has 1000 rows": {
            **good,
            "priorities_0": np.ones(2000),
        },
        "another file or damaged": {"version": np.array(1)},
    }
    expected = make_sampler(store)
    expected.load_state_dict(sampler.state_dict())
    expected.load_priorities(file)
    other = tmp_path / "bad.npz"
    for message, arrays in bad.items():
        np.savez(other, **arrays)
        with pytest.raises(ValueError, match=message):
            sampler.load_priorities(other)
    for content in (b"", b"PK", b"text\n" * 100, whole[: len(whole) // 2]):
        other.write_bytes(content)
        with pytest.raises(ValueError, match=r"load_priorities: .* another file or damaged"):
            sampler.load_priorities(other)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(ValueError, match="another file or damaged"):
        sampler.load_priorities(tmp_path / "array.npy")
    with pytest.raises(FileNotFoundError):
        sampler.load_priorities(tmp_path / "none.npz")
    assert train(sampler) == train(expected)


def test_a_priority_that_is_too_large_for_alpha_changes_no_store(
    tmp_path: Path, file: Path
) -> None:
    stores = [make_store(tmp_path / "a", 100), make_store(tmp_path / "b", 100)]
    options = Priorities(alpha=1)
    sampler = make_sampler(stores, priorities=options)
    sampler.update([0, 1 << 48], [7, 1e200])
    sampler.save_priorities(file)
    other = make_sampler(stores, priorities=options)
    other.alpha = 2
    with pytest.raises(ValueError, match="store 1 is too large for alpha 2"):
        other.load_priorities(file)
    assert set(other.sample()["_probability"]) == {1 / 160}


def test_a_file_that_cannot_be_written_leaves_the_old_one(store: StreamStore, file: Path) -> None:
    sampler = make_sampler(store)
    sampler.save_priorities(file)
    content = file.read_bytes()
    with pytest.raises(FileNotFoundError):
        sampler.save_priorities(file.parent / "none" / "file.npz")
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.glob("*.npz*")] == [file.name]


def test_a_file_of_another_store_is_refused(store: StreamStore, file: Path, tmp_path: Path) -> None:
    make_sampler(make_store(tmp_path / "other")).save_priorities(file)
    with pytest.raises(ValueError, match="the priorities are of another store: expected id"):
        make_sampler(store).load_priorities(file)


# --- two processes ---

COLLECT = """
store = StreamStore(sys.argv[1], fields={"number": "int64", "episode": "int64"},
                    retain_rows=int(sys.argv[2]))
rng = np.random.default_rng(0)
print("ready", flush=True)
until = time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    number = np.arange(store.num_rows, store.num_rows + int(rng.integers(1, 200)))
    store.extend({"number": number, "episode": number // 50})
    time.sleep(0.0005)
print(store.num_rows, store.first_row)
store.close()
"""


def learn(path: Path, seconds: float) -> dict[str, int]:
    """Draw from a store that another process fills and bounds; count what is wrong."""
    collector = start(COLLECT, path, 20_000, seconds)
    assert line_of(collector.stdout) == "ready"
    store = StreamStore(path, "r")
    sampler = make_sampler(store, batch_size=256, priorities=Priorities(mix=0.1))
    sampler.wait(30)
    zero = np.zeros(0, np.int64)
    totals = {"batches": 0, "windows": 0, "dropped": 0, "wrong": 0}
    while collector.poll() is None:
        starts = sampler.num_starts
        batch = sampler.sample()
        index = batch["_index"]
        places = index[:, None] + np.arange(3)
        totals["wrong"] += int((batch["number"] != places).any(axis=1).sum())
        totals["wrong"] += int((batch["episode"] != batch["episode"][:, :1]).any(axis=1).sum())
        totals["wrong"] += int((~np.isfinite(batch["_weight"])).sum())
        # Those with priority 0 are drawn by the mixture only.
        totals["wrong"] += int((batch["_probability"][np.isin(index, zero)] > 0.2 / starts).sum())
        priority = np.where(index % 5 == 0, 0, index % 7 + 1.0)
        totals["dropped"] += sampler.update(index, priority)
        zero = index[priority == 0]
        totals["batches"] += 1
        totals["windows"] += len(index)
    rows, first = map(int, finish(collector).split())
    assert first > 0
    return {**totals, "rows": rows}


def test_a_learner_draws_while_a_collector_appends_and_drops(tmp_path: Path) -> None:
    totals = learn(tmp_path / "run", 4)
    assert totals["wrong"] == 0, totals
    assert totals["batches"] > 20, totals


if __name__ == "__main__":  # a longer run by hand: the seconds, and a new directory
    import sys

    print(learn(Path(sys.argv[2]), float(sys.argv[1])))
