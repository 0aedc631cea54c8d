"""Windows by key, with rows left out, with offsets and of whole segments, against a plain model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lanes_model import FIELDS, Case, Window, expected, make_rows
from stream_store import DroppedError, StreamStore, WindowSampler

STORES = 100
CASES = 100  # for each store


def random_case(rng: np.random.Generator, rows: int) -> Case:
    """Arguments that a sampler takes."""

    def maybe(chance: float, value: Any) -> Any:
        return value if rng.random() < chance else None

    case = Case(
        segment_by=maybe(0.6, str(rng.choice(["episode", "done"]))),
        where=maybe(0.3, "keep"),
        require=maybe(0.3, [["action"], ["action", "items"], ["keep"]][rng.integers(3)]),
        rows=maybe(0.2, (int(rng.integers(-9, 9)), None)),
    )
    if rng.random() < 0.6:
        case.lane_by = [["agent"], ["agent", "task"], ["task"]][rng.integers(3)]
    else:
        case.lanes = int(rng.integers(1, 5))
    if rng.random() < 0.3:
        cuts = np.unique(rng.integers(0, rows + 5, 6))
        case.exclude = [list(map(int, pair)) for pair in cuts[: len(cuts) // 2 * 2].reshape(-1, 2)]
    kind = rng.random()
    if kind < 0.2 and case.segment_by:
        case.whole_segments = True
        case.length = maybe(0.5, int(rng.integers(1, 9)))
    elif kind < 0.6:
        names = ["number", "items", "action"][: rng.integers(1, 4)]
        case.offsets = {
            name: list(map(int, rng.integers(-4, 5, rng.integers(1, 5)))) for name in names
        }
        case.outside = str(rng.choice(["skip", "edge", "zero", "shift"]))
    elif kind < 0.75:
        names = ["number", "items", "action"][: rng.integers(1, 4)]
        case.seconds = {
            name: [int(tick) / 40 for tick in rng.integers(-20, 21, rng.integers(1, 5))]
            for name in names
        }
        case.time_field = "time"
        case.tolerance = float(rng.choice([0, 1e-4, 0.03, 0.2]))
        case.outside = str(rng.choice(["skip", "edge", "zero"]))
    else:
        case.length = int(rng.integers(1, 6))
        case.pad = maybe(0.4, str(rng.choice(["left", "right"])))
    return case


def check_batch(batch: dict[str, Any], windows: dict[int, Window], case: Case) -> list[int]:
    """Compare each window of a batch with that of the model; return the anchors."""
    anchors = [int(index) for index in batch["_index"]]
    for i, anchor in enumerate(anchors):
        window = windows[anchor]
        assert tuple(batch["_segment"][i]) == window.segment
        chosen = case.offsets or case.seconds
        if chosen is None:
            check_places(batch["number"][i], batch["_mask"]["number"][i], window, "")
            rows = batch["_row"][i].tolist()
            wanted = [-1 if row is None else row for row in window.rows[""]]
            assert rows == wanted + [-1] * (len(rows) - len(wanted))
            valid = [row >= 0 for row in rows]
            assert batch["_valid"][i].tolist() == valid
            continue
        assert batch["_row"][i] == anchor
        assert batch["_step"][i] == anchor
        for name in chosen:
            assert batch["_valid"][name][i].tolist() == list(window.valid[name])
        check_places(batch["number"][i], batch["_mask"]["number"][i], window, "number")
    return anchors


def check_places(numbers: Any, mask: Any, window: Window, name: str) -> None:
    wanted = list(window.rows[name])
    wanted += [None] * (len(numbers) - len(wanted))
    assert numbers.tolist() == [0 if row is None else row for row in wanted]
    assert mask.tolist() == [row is not None for row in wanted]


def check_sampler(store: StreamStore, case: Case, windows: list[Window]) -> None:
    """An epoch has each window of the model once; samples are windows of the model."""
    by_anchor = {window.anchor: window for window in windows}
    epoch = WindowSampler(store, replacement=False, batch_size=7, **case.all_arguments())
    assert epoch.num_starts == len(windows)
    if not windows:
        with pytest.raises(ValueError, match="no valid start"):
            next(iter(epoch))
        return
    anchors = [anchor for batch in epoch for anchor in check_batch(batch, by_anchor, case)]
    assert sorted(anchors) == sorted(by_anchor)
    sampler = WindowSampler(store, batch_size=7, **case.all_arguments())
    check_batch(sampler.sample(), by_anchor, case)


@pytest.mark.parametrize("seed", range(STORES))
def test_windows_are_those_of_the_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = make_rows(rng, int(rng.integers(1, 80)))
    store = StreamStore(fields=FIELDS)
    for row in rows:
        store.append_step(row)
    store.append_step({"number": len(rows)})  # the last row is complete once another one follows
    for _ in range(CASES):
        case = random_case(rng, len(rows))
        if case.rows is not None:
            case.rows = (case.rows[0], len(rows))
        some = make_case_of_complete_rows(case, len(rows))
        check_sampler(store, some, expected(some, rows))


def make_case_of_complete_rows(case: Case, rows: int) -> Case:
    """The row after the last one of the model may still grow, so no sampler takes it."""
    if case.rows is not None and case.rows[0] is not None and case.rows[0] < 0:
        case.rows = (case.rows[0], rows)
    return case


@pytest.mark.parametrize("seed", range(20))
def test_a_store_that_grows_and_drops_rows(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    rows = make_rows(rng, 120, sparse=False)
    store = StreamStore(tmp_path / "store", fields=FIELDS)
    cases = [random_case(rng, len(rows)) for _ in range(20)]
    samplers: list[WindowSampler | None] = [None] * len(cases)
    done = 0
    first = 0
    while done < len(rows):
        more = int(rng.integers(1, 30))
        for row in rows[done : done + more]:
            store.append_step(row)
        done = min(done + more, len(rows))
        if rng.random() < 0.5:
            first = int(rng.integers(first, done))
            store.drop_before(first)
        for i, case in enumerate(cases):
            sampler = samplers[i]
            if sampler is None:
                sampler = WindowSampler(
                    store, replacement=False, batch_size=9, **case.all_arguments()
                )
                samplers[i] = sampler
            windows = {window.anchor: window for window in expected(case, rows[:done], first)}
            assert sampler.num_starts == len(windows)
            if windows:
                anchors = [a for batch in sampler for a in check_batch(batch, windows, case)]
                assert sorted(anchors) == sorted(windows)
    store.close()
    with StreamStore(tmp_path / "store", "r") as reader:
        for case in cases:
            check_sampler(reader, case, expected(case, rows, first))


@pytest.mark.parametrize("seed", range(20))
def test_a_state_continues_in_another_sampler(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = make_rows(rng, 100)
    store = StreamStore(fields=FIELDS)
    for row in rows[:60]:
        store.append_step(row)
    while True:
        case = random_case(rng, 60)
        first = WindowSampler(
            store, replacement=False, batch_size=3, seed=seed, **case.all_arguments()
        )
        if first.num_starts > 6:
            break
    batches = iter(first)
    next(batches)
    state = first.state_dict()
    for row in rows[60:]:
        store.append_step(row)
    second = WindowSampler(store, replacement=False, batch_size=3, **case.all_arguments())
    second.load_state_dict(state)
    rest = [batch["_index"].tolist() for batch in second]
    assert rest == [batch["_index"].tolist() for batch in batches]
    assert [batch["_index"].tolist() for batch in first] == [
        batch["_index"].tolist() for batch in second
    ]  # the next epoch has the new rows


def test_ranks_share_an_epoch() -> None:
    store = StreamStore(fields=FIELDS)
    rows = make_rows(np.random.default_rng(3), 200)
    for row in rows:
        store.append_step(row)
    case = Case(length=3, lane_by=["agent"])
    anchors: list[int] = []
    for rank in range(3):
        sampler = WindowSampler(
            store,
            replacement=False,
            batch_size=4,
            rank=rank,
            world_size=3,
            **case.all_arguments(),
        )
        anchors += [int(index) for batch in sampler for index in batch["_index"]]
    windows = expected(case, rows[:-1])  # the last row may still grow
    if len(expected(case, rows)) == sampler.num_starts:
        windows = expected(case, rows)
    assert sorted(anchors) == [window.anchor for window in windows]


def test_several_stores() -> None:
    stores, models = [], []
    for seed in range(3):
        rows = make_rows(np.random.default_rng(seed), 50, sparse=False)
        store = StreamStore(fields=FIELDS)
        for row in rows:
            store.append_step(row)
        stores.append(store)
        models.append(rows)
    case = Case(length=3, lane_by=["agent"], where="keep")
    sampler = WindowSampler(stores, replacement=False, batch_size=16, **case.all_arguments())
    wanted = {
        (which, window.anchor): window
        for which, rows in enumerate(models)
        for window in expected(case, rows)
    }
    found = set()
    for batch in sampler:
        for store, index, rows in zip(
            batch["_store"].tolist(), batch["_index"].tolist(), batch["_row"].tolist(), strict=True
        ):
            assert index >> 48 == store
            anchor = index & (2**48 - 1)
            assert rows == wanted[store, anchor].rows[""]
            found.add((store, anchor))
    assert found == set(wanted)


def test_agents_that_come_and_go() -> None:
    """Agent a lives in ticks 3a to 3a + 11, and rows are stored in order of arrival."""
    store = StreamStore(fields={"agent": "int64", "tick": "int64"})
    for tick in range(3 * 20 + 12):
        for agent in range(20):
            if 3 * agent <= tick <= 3 * agent + 11:
                store.append_step({"agent": agent, "tick": tick})
    sampler = WindowSampler(store, 4, lane_by="agent", batch_size=32, replacement=False)
    assert sampler.num_starts == 180
    for batch in sampler:
        assert (batch["agent"] == batch["agent"][:, :1]).all()
        assert (np.diff(batch["tick"], axis=1) == 1).all()


def test_two_runs_with_different_numbers_of_environments() -> None:
    """4 and then 8 environments, episodes numbered consecutively: no window skips a tick."""
    store = StreamStore(fields={"env": "int64", "episode": "int64", "tick": "int64"})
    episode = 0
    first = 0
    for environments in (4, 8):
        for tick in range(20):
            for env in range(environments):
                number = first + env + environments * (tick // 10)
                store.append_step({"env": env, "episode": number, "tick": tick})
        first += 2 * environments
        episode = first
    assert episode == 24
    sampler = WindowSampler(store, 4, lane_by=["env", "episode"], batch_size=16, replacement=False)
    assert sampler.num_starts == 24 * 7
    for batch in sampler:
        assert (np.diff(batch["tick"], axis=1) == 1).all()
        assert (batch["episode"] == batch["episode"][:, :1]).all()


def test_a_row_that_may_still_grow_joins_its_lane_when_the_store_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with StreamStore(path, fields={"agent": "int64", "obs": "float32", "action": "int64"}) as store:
        for number in range(6):
            row = {"agent": number % 2, "obs": float(number), "action": number}
            if number == 5:
                del row["action"]  # the final row of agent 1
            store.append_step(row)
        sampler = WindowSampler(store, 3, lane_by="agent")
        assert sampler.num_starts == 1
    with StreamStore(path, "r") as reader:
        sampler = WindowSampler(reader, 3, lane_by="agent", replacement=False, batch_size=2)
        assert sampler.num_starts == 2
        batches = iter(sampler)
        state = sampler.state_dict()
        windows = next(batches)["_row"]
        assert sorted(windows.tolist()) == [[0, 2, 4], [1, 3, 5]]
        with StreamStore(path) as writer:
            writer.append_step({"agent": 1, "obs": 6.0, "action": 6})
            assert sampler.num_starts == 3
            again = WindowSampler(reader, 3, lane_by="agent", replacement=False, batch_size=2)
            again.load_state_dict(state)
            assert next(iter(again))["_row"].tolist() == windows.tolist()


def test_a_state_whose_rows_were_dropped_names_them(tmp_path: Path) -> None:
    store = StreamStore(tmp_path / "store", fields={"agent": "int64"})
    for number in range(20):
        store.append_step({"agent": number % 3})
    sampler = WindowSampler(store, 2, lane_by="agent", replacement=False)
    batches = iter(sampler)
    next(batches)
    state = sampler.state_dict()
    store.drop_before(5)
    assert len(list(batches)) == sampler.num_starts + 4  # the epoch keeps the rows it began with
    with pytest.raises(DroppedError, match=r"rows \[0, 5\)"):
        WindowSampler(store, 2, lane_by="agent", replacement=False).load_state_dict(state)


def test_a_wrong_number_of_lanes_is_refused_where_it_shows() -> None:
    store = StreamStore(fields={"episode": "int64", "tick": "int64"})
    episode = 0
    for environments in (4, 8):
        running = list(range(episode, episode + environments))
        episode += environments
        for tick in range(25):
            for number, current in enumerate(running):
                store.append_step({"episode": current, "tick": tick})
                if tick % 6 == number % 6:  # the episode ends
                    running[number] = episode
                    episode += 1
    options: dict[str, Any] = {"unit": "row", "segment_by": "episode"}
    four = WindowSampler(store, 4, lanes=4, **options)
    with pytest.raises(ValueError, match=r"alternates between .*, or use lane_by"):
        four.sample()
    with pytest.raises(ValueError, match="in rows 101, 105, 109 and 113 field 'episode'"):
        _ = four.num_starts
    first_run = WindowSampler(store, 4, lanes=4, rows=(0, 100), batch_size=256, **options)
    batch = first_run.sample()
    assert (np.diff(batch["tick"], axis=1) == 1).all()
    offsets = {"episode": [0, 1], "tick": [0, 1]}
    with pytest.raises(ValueError, match="in rows 101, 105, 109 and 113 field 'episode'"):
        WindowSampler(store, offsets=offsets, lanes=4, segment_by="episode").sample()
    some = WindowSampler(store, offsets=offsets, lanes=4, segment_by="episode", rows=(0, 100))
    assert (np.diff(some.sample()["tick"], axis=1) == 1).all()
    by_key = WindowSampler(store, 4, lane_by="episode", batch_size=256)
    assert (np.diff(by_key.sample()["tick"], axis=1) == 1).all()


def test_a_field_that_repeats_its_values_is_no_wrong_number_of_lanes() -> None:
    """Only rows that alternate one by one show that they are of two environments."""
    store = StreamStore(fields={"level": "int64"})
    for tick in range(60):
        for environment in range(2):
            store.append_step({"level": (tick // 2 + environment) % 2})
    sampler = WindowSampler(store, 2, unit="row", lanes=2, segment_by="level", batch_size=64)
    assert sampler.num_starts == 60
    assert (np.diff(sampler.sample()["level"], axis=1) == 0).all()


@pytest.mark.parametrize("nothing", [[], np.empty((0, 2), np.int64)])
def test_no_range_that_is_left_out_still_means_windows_of_rows(nothing: Any) -> None:
    store = StreamStore(fields={"number": "int64"})
    store.extend({"number": np.arange(20)})
    assert WindowSampler(store, 2, exclude=nothing).sample()["number"].shape == (1, 2)
    with pytest.raises(ValueError, match="exclude is for unit='row'"):
        WindowSampler(store, 2, exclude=nothing, unit="value")
