"""stream_store.ray.Sampler on one node: its batches, their randomness, and resuming."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StoreGroup, StreamStore, WindowSampler

ray = pytest.importorskip("ray")

from stream_store.ray import Sampler  # noqa: E402

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("ray_cluster")]

FIELDS = {"n": "int64", "pair": "float32[2]", "list": "float32[]", "text": "string", "end": "bool"}


def write_store(path: Path, numbers: range) -> Path:
    with StreamStore(path, "x", fields=FIELDS) as store:
        for n in numbers:
            store.append_step(
                {
                    "n": n,
                    "pair": [n, -n],
                    "list": np.full(n % 5, n),
                    "text": str(n),
                    "end": n % 10 == 9,
                }
            )
    return path


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("group")
    write_store(path / "a", range(100))
    write_store(path / "b", range(100, 140))
    return path


def equal(one: Any, other: Any) -> bool:
    """Whether two batches are the same."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    return type(one) is type(other) and bool(np.array_equal(one, other))


def local(group: Path, length: int = 3, **arguments: Any) -> WindowSampler:
    stores = [StreamStore(group / name, "r") for name in ("a", "b")]
    return WindowSampler(stores, length, unit="row", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"segment_by": "end"},
        {"segment_by": "end", "pad": "left"},
        {"offsets": {"n": [-1, 0], "list": [0]}, "length": None},
        {"segment_by": "end", "fields": ["list", "text"]},
    ],
)
def test_batches_are_those_of_a_window_sampler(group: Path, arguments: dict[str, Any]) -> None:
    arguments = {"length": 3, **arguments}
    expected = local(group, **arguments)
    with Sampler(group, batch_size=16, **arguments) as sampler:
        assert sampler.num_starts == expected.num_starts
        for _ in range(5):
            batch = sampler.sample()
            assert equal(batch, expected.read(batch["_index"]))


def test_every_window_is_equally_likely(group: Path) -> None:
    with Sampler(group, 3, batch_size=500, segment_by="end") as sampler:
        starts = np.concatenate([sampler.sample()["n"][:, 0] for _ in range(40)])
    counts = np.bincount(starts, minlength=140)
    valid = np.arange(140) % 10 <= 7
    assert (counts[~valid] == 0).all()
    expected = len(starts) / valid.sum()
    chi_squared = ((counts[valid] - expected) ** 2 / expected).sum()
    assert chi_squared < 112 + 5 * np.sqrt(2 * 112), "111 degrees of freedom"


def test_stores_are_named(group: Path) -> None:
    with Sampler([group / "b", group / "a"], 1, batch_size=64) as sampler:
        assert [Path(path).name for _, path in sampler.stores] == ["b", "a"]
        assert {node for node, _ in sampler.stores} == set(sampler.nodes)
        batch = sampler.sample()
        assert ((batch["n"][:, 0] < 100) == (batch["_store"] == 1)).all()
        assert repr(sampler) == "<Sampler of 2 stores on 1 nodes>"


def test_batches_are_read_from_the_object_store_without_a_copy(group: Path) -> None:
    with Sampler(group, 3, batch_size=64) as sampler:
        batch = sampler.sample()
        assert not batch["n"].flags.writeable
        assert not batch["n"].flags.owndata


# --- order ---


def test_the_seed_decides_everything(group: Path) -> None:
    def batches(seed: int, ahead: int = 128) -> list[Any]:
        with Sampler(group, 3, batch_size=8, seed=seed, ahead=ahead) as sampler:
            return [sampler.sample() for _ in range(40)]

    first = batches(5)
    assert equal(dict(enumerate(first)), dict(enumerate(batches(5))))
    assert not any(equal(one, other) for one, other in zip(first, batches(6), strict=True))
    assert len({pickle.dumps(batch["_index"]) for batch in first}) == 40


def test_a_state_continues_with_the_same_batches(group: Path) -> None:
    arguments: dict[str, Any] = {"length": 3, "batch_size": 8, "ahead": 40}
    with Sampler(group, seed=2, **arguments) as sampler, Sampler(group, **arguments) as other:
        batches = [sampler.sample() for _ in range(50)]
        sampler.load_state_dict(sampler.state_dict() | {"batches": 0})
        for taken in range(34):
            if taken in (0, 1, 7, 10, 33):
                state = pickle.loads(pickle.dumps(sampler.state_dict()))
                other.load_state_dict(state)
                later = {i: other.sample() for i in range(15)}
                assert equal(later, dict(enumerate(batches[taken : taken + 15])))
            assert equal(sampler.sample(), batches[taken])


def test_states_of_other_samplers_are_refused(group: Path) -> None:
    with Sampler(group, 3, batch_size=8) as sampler:
        state = sampler.state_dict()
        for wrong in ({"batch_size": 9}, {"version": 7}, {"batches": -1}, {"in_round": None}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                sampler.load_state_dict(state | wrong)
        with pytest.raises(ValueError, match="expected a state_dict"):
            sampler.load_state_dict([])
        assert sampler.state_dict() == state


def test_trainers_draw_sequences_of_their_own(group: Path) -> None:
    with Sampler(group, 3, batch_size=8) as sampler:
        parts = [sampler, *sampler.split(2)]

        @ray.remote(num_cpus=0)
        def train(part: Any) -> list[int]:
            return [int(part.sample()["_index"][0]) for _ in range(20)]

        sequences = ray.get([train.remote(part) for part in parts])
        assert len({tuple(sequence) for sequence in sequences}) == 3
        assert [int(sampler.sample()["_index"][0]) for _ in range(20)] == sequences[0]
        with pytest.raises(ValueError, match="a split already"):
            parts[1].split(2)


# --- stores that change ---


def test_stores_that_join_a_group_are_sampled(tmp_path: Path) -> None:
    group = StoreGroup(tmp_path / "group", fields=FIELDS)
    with Sampler(group, 1, batch_size=50, ahead=1) as sampler:
        assert not sampler.wait(timeout=0.01)
        with pytest.raises(ValueError, match="no valid start"):
            sampler.sample()
        write_store(tmp_path / "group" / "first", range(10))
        assert sampler.wait(timeout=60)
        assert set(sampler.sample()["n"].ravel()) <= set(range(10))
        write_store(tmp_path / "group" / "second", range(10, 1000))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            batch = sampler.sample()
            if (batch["n"] >= 10).any():
                break
        names = [Path(path).name for _, path in sampler.stores]
        assert names == ["first", "second"]
        assert ((batch["n"][:, 0] >= 10) == (batch["_store"] == 1)).all()


def test_an_actor_that_is_killed_starts_again(group: Path) -> None:
    with Sampler(group, 3, batch_size=8, seed=4, ahead=8) as sampler:
        expected = [sampler.sample() for _ in range(60)]
    with Sampler(group, 3, batch_size=8, seed=4, ahead=8) as sampler:
        batches = [sampler.sample() for _ in range(20)]

        ray.kill(sampler._pool.nodes[0].actor, no_restart=False)
        batches += [sampler.sample() for _ in range(40)]
    assert equal(dict(enumerate(batches)), dict(enumerate(expected)))


# --- odd windows, and wrong arguments ---


def test_images_are_batches_of_arrays(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (50, 84, 84, 4), np.uint8)
    with StreamStore(tmp_path / "images", fields={"frame": "packed uint8[84,84,4]"}) as store:
        store.extend({"frame": frames})
    with Sampler(tmp_path / "images", 2, batch_size=64) as sampler:
        for _ in range(3):
            batch = sampler.sample()
            assert (batch["frame"] == frames[batch["_row"]]).all()
        assert sampler.state_dict()["in_round"] <= 5, "a round takes some megabytes"


def test_wrong_arguments_are_refused(group: Path, tmp_path: Path) -> None:
    for arguments, kind, message in [
        ({"size": 3}, TypeError, "no argument 'size'"),
        ({"length": 3, "priorities": None}, TypeError, "no argument 'priorities'"),
        ({}, ValueError, "length is missing"),
        ({"length": 3, "batch_size": 0}, ValueError, "batch_size"),
        ({"length": 3, "on_error": "ignore"}, ValueError, "on_error"),
        ({"length": 3, "ahead": 0}, ValueError, "ahead"),
        ({"length": 3, "segment_by": "m"}, ValueError, "node .*'m'"),
        ({"length": 3, "nodes": []}, ValueError, "nodes must be"),
    ]:
        with pytest.raises(kind, match=message):
            Sampler(group, **arguments)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"nothing: .*but found nothing"):
        Sampler(tmp_path / "nothing", 3)


def test_a_closed_sampler_says_so(group: Path) -> None:
    sampler = Sampler(group, 3)
    sampler.close()
    sampler.close()
    with pytest.raises(ValueError, match="closed"):
        sampler.sample()
