"""StoreGroup: stores of many writers that come and go, as a mapping and in a sampler."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from group_model import (
    FIELDS,
    LENGTH,
    check,
    chi_square,
    fill,
    new_group,
    starts_of,
    wait_for,
    write,
)
from stream_store import DroppedError, Priorities, StoreGroup, StreamStore, WindowSampler
from stream_store.errors import LockedError


def sampler_of(group: StoreGroup, **arguments: object) -> WindowSampler:
    options = {"unit": "row", "batch_size": 64, "segment_by": "done"} | arguments
    return WindowSampler(group, LENGTH, **options)  # type: ignore[arg-type]


def test_a_group_is_a_mapping_of_names_to_stores(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    assert (len(group), list(group), group.skipped, bool(group)) == (0, [], {}, True)
    assert group.fields == tuple(FIELDS)
    names = [write(group, who, 10 * who) for who in (2, 1, 3)]
    assert (len(group), group.refresh(), group.refresh()) == (0, True, False)
    assert list(group) == sorted(names)
    assert {name: store.num_rows for name, store in group.items()} == {
        "writer001": 10,
        "writer002": 20,
        "writer003": 30,
    }
    assert group.kept_rows == 60
    assert (group["writer002"].row(19)["n"], group["writer002"].mode) == (19, "r")
    assert group["writer001"].path == tmp_path / "group" / "writer001"
    assert "writer001" in group
    assert "other" not in group
    with pytest.raises(KeyError, match="other"):
        group["other"]
    assert repr(group) == f"<StoreGroup '{tmp_path / 'group'}': 3 stores, 60 rows>"
    again = pickle.loads(pickle.dumps(group))
    assert list(again) == list(group)
    assert again.path == group.path
    with again:
        store, sampler = again["writer001"], sampler_of(again)
    check(sampler.sample())  # both are open still
    assert store.num_rows == 10
    with pytest.raises(ValueError, match="closed"):
        _ = again.fields
    store = pickle.loads(pickle.dumps(store))
    assert store.num_rows == 10


def test_a_store_that_has_left_the_group_can_be_read_until_the_next_look(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    write(group, 1, 30)
    group.refresh()
    shutil.rmtree(tmp_path / "group" / "writer001")
    store = group["writer001"]
    assert (store.read_rows(slice(None))["n"] == np.arange(30)).all()
    assert [name for name, _ in group.items()] == ["writer001"]
    group.refresh()
    with pytest.raises(KeyError, match="writer001"):
        group["writer001"]
    assert store.num_rows == 30


def test_a_store_is_no_group(tmp_path: Path) -> None:
    StreamStore(tmp_path / "store", fields=FIELDS).close()
    with pytest.raises(FileExistsError, match="expected no store but found one"):
        StoreGroup(tmp_path / "store", fields=FIELDS)
    with pytest.raises(FileNotFoundError, match="found a store"):
        StoreGroup(tmp_path / "store")
    assert not (tmp_path / "store" / ".group").exists()


def test_a_sampler_draws_uniformly_from_what_exists(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    sampler = sampler_of(group)
    with pytest.raises(ValueError, match="has no store"):
        sampler.sample()
    assert not sampler.wait(timeout=0.01)
    rows = {0: 100}
    write(group, 0, 100)
    assert sampler.wait(timeout=60)

    def counted(batches: int) -> np.ndarray:
        counts = np.zeros(100, int)
        for _ in range(batches):
            batch = sampler.sample()
            check(batch)
            counts += np.bincount(batch["who"][:, 0], minlength=100)
        return counts

    for who in range(1, 30):  # stores come
        rows[who] = 10 * (who % 7 + 1)
        write(group, who, rows[who])
    wait_for(lambda: sampler.num_starts == sum(map(starts_of, rows.values())))
    counts = counted(400)
    expected = np.array([starts_of(rows[who]) for who in range(30)], float)
    assert chi_square(counts[:30], 400 * 64 * expected / expected.sum()) < 2.2

    for who in range(0, 30, 3):  # and go, and one grows
        shutil.rmtree(tmp_path / "group" / f"writer{who:03}")
        del rows[who]
    with group.writer("writer001") as store:
        fill(store, 1, 1000)
        rows[1] += 1000
        wait_for(lambda: sampler.num_starts == sum(map(starts_of, rows.values())))
        counts = counted(400)
    assert not counts[[*range(0, 30, 3)]].any()
    left = sorted(rows)
    expected = np.array([starts_of(rows[who]) for who in left], float)
    assert chi_square(counts[left], 400 * 64 * expected / expected.sum()) < 2.4


def test_numbers_of_windows_stay_and_those_of_a_store_that_is_gone_are_refused(
    tmp_path: Path,
) -> None:
    group = new_group(tmp_path)
    write(group, 5, 50)
    sampler = sampler_of(group)
    before = sampler.sample()
    write(group, 1, 50)  # sorts before
    wait_for(lambda: sampler.num_starts == 2 * starts_of(50))
    assert (sampler.read(before["_index"])["who"] == 5).all()
    later = next(batch for batch in iter(sampler.sample, None) if (batch["who"] == 1).any())
    window = later["_index"][later["who"][:, 0] == 1][:1]
    assert (window >> 48 == 1).all()
    shutil.rmtree(tmp_path / "group" / "writer001")
    wait_for(lambda: sampler.num_starts == starts_of(50))
    with pytest.raises(DroppedError, match="store 1, which has left the group"):
        sampler.read(window)
    write(group, 1, 50)  # another store of that name
    wait_for(lambda: sampler.num_starts == 2 * starts_of(50))
    assert set(np.unique(sampler.sample()["_store"])) <= {0, 2}
    with pytest.raises(DroppedError, match="left the group"):
        sampler.read(window)


def test_a_store_that_comes_back_keeps_its_number(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(3):
        write(group, who, 20)
    sampler = sampler_of(group, replacement=True)
    numbers = {
        int(b["who"][i, 0]): int(b["_store"][i]) for b in [sampler.sample()] for i in range(64)
    }
    place, away = tmp_path / "group" / "writer001", tmp_path / "away"
    place.rename(away)
    wait_for(lambda: sampler.num_starts == 2 * starts_of(20))
    away.rename(place)
    wait_for(lambda: sampler.num_starts == 3 * starts_of(20))
    batch = sampler.sample()
    check(batch)
    assert all(
        numbers[int(who)] == number
        for who, number in zip(batch["who"][:, 0], batch["_store"], strict=True)
    )


def test_a_state_of_three_stores_loads_in_a_group_of_four_without_one_of_them(
    tmp_path: Path,
) -> None:
    group = new_group(tmp_path)
    for who in (3, 5, 7):
        write(group, who, 30)
    first = sampler_of(group, seed=3)
    seen = first.sample()
    state = first.state_dict()
    shutil.rmtree(tmp_path / "group" / "writer005")
    for who in (1, 9):
        write(group, who, 30)
    other = sampler_of(StoreGroup(tmp_path / "group"))
    other.load_state_dict(state)
    assert other.state_dict()["batches"] == 1
    wait_for(lambda: first.num_starts == 4 * starts_of(30))
    for _ in range(5):  # numbers of stores that both have seen are equal, and so are the draws
        one, two = first.sample(), other.sample()
        check(one), check(two)
        assert (one["_index"] == two["_index"]).all()
        assert (one["who"] == two["who"]).all()
    kept = seen["who"][:, 0] != 5
    assert (other.read(seen["_index"][kept])["n"] == seen["n"][kept]).all()
    with pytest.raises(DroppedError, match="left the group"):
        other.read(seen["_index"][~kept])
    again = pickle.loads(pickle.dumps(other))
    assert (again.sample()["_index"] == other.sample()["_index"]).all()


def test_an_epoch_keeps_its_stores(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(3):
        write(group, who, 40)
    sampler = sampler_of(group, replacement=False, batch_size=10)
    epoch = iter(sampler)
    batches = [next(epoch) for _ in range(3)]
    state = sampler.state_dict()
    write(group, 3, 50)
    shutil.rmtree(tmp_path / "group" / "writer001")
    now = 2 * starts_of(40) + starts_of(50)
    wait_for(lambda: sampler.num_starts == now)  # what an epoch would have now
    batches += list(epoch)
    drawn = sorted(
        (int(who), int(n))
        for b in batches
        for who, n in zip(b["who"][:, 0], b["n"][:, 0], strict=True)
    )
    expected = [(who, n) for who in range(3) for n in range(40) if n % 10 <= 10 - LENGTH]
    assert drawn == expected
    assert {int(who) for b in sampler for who in b["who"][:, 0]} == {0, 2, 3}
    other = sampler_of(StoreGroup(tmp_path / "group"), replacement=False, batch_size=10)
    with pytest.raises(
        ValueError, match=r"its epoch covers rows of store 1 with id .* not in the group"
    ):
        other.load_state_dict(state)


def test_an_epoch_goes_on_in_another_process_after_stores_have_come(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in (4, 6):
        write(group, who, 40)
    sampler = sampler_of(group, replacement=False, batch_size=10, seed=8)
    epoch = iter(sampler)
    next(epoch)
    other_group = StoreGroup(tmp_path / "group")
    write(group, 1, 40)
    other = sampler_of(other_group, replacement=False, batch_size=10)
    other.load_state_dict(sampler.state_dict())
    rest, expected = list(other), list(epoch)
    assert len(rest) == len(expected) == 5
    for one, two in zip(rest, expected, strict=True):
        assert (one["_index"] == two["_index"]).all()
        assert (one["who"] == two["who"]).all()
    assert {int(who) for b in other for who in b["who"][:, 0]} == {1, 4, 6}


def test_priorities_follow_the_stores(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(2):
        write(group, who, 30)
    sampler = sampler_of(group, priorities=Priorities(alpha=1.0, eps=0.0))
    batch = sampler.sample()
    assert sampler.update(batch["_index"], 0) == 0
    everything = np.concatenate([(w << 48) + np.arange(30) for w in range(2)])
    anchors = everything[everything % 2**48 % 10 <= 10 - LENGTH]
    sampler.update(anchors, np.where(anchors >> 48 == 0, 0.0, 2.0))
    assert (sampler.sample()["_store"] == 1).all()
    write(group, 2, 30)  # its windows get the largest priority, which is 2
    wait_for(lambda: sampler.num_starts == 3 * starts_of(30))
    counts = np.zeros(3, int)
    for _ in range(100):
        batch = sampler.sample()
        check(batch)
        counts += np.bincount(batch["_store"], minlength=3)
        assert batch["_probability"] == pytest.approx(1 / (2 * starts_of(30)))
    assert counts[0] == 0
    assert abs(counts[1] - 3200) < 300
    sampler.save_priorities(tmp_path / "priorities.npz")
    gone = batch["_index"][batch["_store"] == 1]
    shutil.rmtree(tmp_path / "group" / "writer001")
    wait_for(lambda: sampler.num_starts == 2 * starts_of(30))
    assert (sampler.sample()["_store"] == 2).all()
    assert sampler.update(gone, 5.0) == len(gone)

    write(group, 0, 10)  # more rows, whose windows have no priority in the file
    other = sampler_of(StoreGroup(tmp_path / "group"), priorities=Priorities(alpha=1.0, eps=0.0))
    other.load_priorities(tmp_path / "priorities.npz")
    batch = other.sample()
    check(batch)
    assert set(batch["who"][:, 0]) <= {0, 2}
    assert (batch["n"][batch["who"][:, 0] == 0] >= 30 - LENGTH).all()
    again = pickle.loads(pickle.dumps(sampler))
    assert (again.sample()["_index"] == sampler.sample()["_index"]).all()


def test_priorities_are_resumed_after_a_store_has_left(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(3):
        write(group, who, 30)
    sampler = sampler_of(group, priorities=Priorities(alpha=1.0, eps=0.0))
    everything = np.concatenate([(w << 48) + np.arange(30) for w in range(3)])
    anchors = everything[everything % 2**48 % 10 <= 10 - LENGTH]
    sampler.update(anchors, np.where(anchors >> 48 == 2, 3.0, 0.0))
    sampler.save_priorities(tmp_path / "priorities.npz")
    state = sampler.state_dict()
    shutil.rmtree(tmp_path / "group" / "writer000")
    resumed = sampler_of(StoreGroup(tmp_path / "group"), priorities=Priorities(alpha=1.0, eps=0.0))
    resumed.load_state_dict(state)
    resumed.load_priorities(tmp_path / "priorities.npz")
    for _ in range(20):
        batch = resumed.sample()
        check(batch)
        assert (batch["who"] == 2).all()


def test_priorities_of_another_group_are_refused(tmp_path: Path) -> None:
    samplers = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        group = new_group(tmp_path / name)
        write(group, 0, 30)
        samplers.append(sampler_of(group, priorities=Priorities()))
    samplers[0].save_priorities(tmp_path / "priorities.npz")
    with pytest.raises(ValueError, match=r"priorities\.npz: the priorities are of other stores"):
        samplers[1].load_priorities(tmp_path / "priorities.npz")


def test_writers_have_stores_of_their_own_and_the_fields_of_the_group(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    with group.writer() as one, group.writer() as two:
        assert one.path != two.path
        assert one.features == two.features == group.features
        fill(one, 1, 10)
        with pytest.raises(LockedError):
            group.writer(one.path.name)
    with group.writer(one.path.name, retain_rows=100) as one:  # goes on
        assert one.num_rows == 10
        assert one.retention.rows == 100
    for name in ("", ".x", "a/b", "x" * 300, "a\0b"):
        with pytest.raises(ValueError, match="name"):
            group.writer(name)
    for name in (3, b"x"):
        with pytest.raises(ValueError, match="name"):
            group.writer(name)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fields"):
        group.writer(fields=FIELDS)
    with pytest.raises(TypeError, match="wrong"):
        group.writer(wrong=1)
    StreamStore(tmp_path / "group" / "odd", fields={"x": "int8"}).close()
    with pytest.raises(ValueError, match=r"other fields than the group: .*field 'who', not 'x'"):
        group.writer("odd")
    StreamStore(tmp_path / "group" / "odd").close()  # and it was closed


def test_the_fields_are_those_that_the_group_was_created_with(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no directory"):
        StoreGroup(tmp_path / "group")
    (tmp_path / "group").mkdir()
    with pytest.raises(FileNotFoundError, match="no store in it"):
        StoreGroup(tmp_path / "group", wait=0.05)
    group = new_group(tmp_path)
    assert new_group(tmp_path).fields == group.fields
    with pytest.raises(ValueError, match=r"declared with other fields: .*'who'"):
        StoreGroup(tmp_path / "group", fields={"who": "int32"})
    (tmp_path / "file").write_text("x")
    with pytest.raises((FileExistsError, FileNotFoundError, NotADirectoryError)):
        StoreGroup(tmp_path / "file")
    for wrong in ({"on_error": "ignore"}, {"wait": -1}):
        with pytest.raises(ValueError, match=r"on_error|timeout"):
            StoreGroup(tmp_path / "group", **wrong)  # type: ignore[arg-type]


def test_a_directory_of_stores_is_a_group_without_being_declared_one(tmp_path: Path) -> None:
    for name in ("b", "a"):
        with StreamStore(tmp_path / name, fields=FIELDS) as store:
            fill(store, ord(name), 20)
    group = StoreGroup(tmp_path)
    assert list(group) == ["a", "b"]
    assert group.fields == tuple(FIELDS)
    check(sampler_of(group).sample())
    assert not (tmp_path / ".group").exists()
    with group.writer("c") as store:
        assert store.fields == tuple(FIELDS)
    with pytest.raises(ValueError, match="other fields"):
        StoreGroup(tmp_path, fields={"x": "int8"})
    assert len(StoreGroup(tmp_path, fields=FIELDS)) == 3


def test_a_store_that_adds_a_field_stays_in_the_group(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(2):
        write(group, who, 20)
    sampler = sampler_of(group)
    with group.writer("writer001") as store:
        store.add_fields({"more": "float32"})
        store.append_step({"who": 1, "n": 20, "pair": [21, -20], "done": False, "more": 0.5})
    for one in (sampler, sampler_of(StoreGroup(tmp_path / "group"))):
        batch = one.sample()
        check(batch)
        assert set(np.unique(batch["who"])) == {0, 1}
        assert "more" not in batch


def test_rows_that_a_writer_removes_are_not_drawn_any_more(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(2):
        write(group, who, 100)
    sampler = sampler_of(group)
    sampler.sample()
    with group.writer("writer000") as store:
        store.truncate(20)
        wait_for(lambda: sampler.num_starts == starts_of(100) + starts_of(20))
        fill(store, 0, 10)
        wait_for(lambda: sampler.num_starts == starts_of(100) + starts_of(30))
        for _ in range(20):
            batch = sampler.sample()
            check(batch)
            assert (batch["n"][batch["who"][:, 0] == 0] < 30).all()
