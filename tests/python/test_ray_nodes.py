"""stream_store.ray on two nodes, each with stores of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import Error, StoreGroup, StreamStore

ray = pytest.importorskip("ray")

from ray import data as ray_data  # noqa: E402

from stream_store.ray import Sampler, read, write  # noqa: E402

pytestmark = pytest.mark.xdist_group("ray")

NODE_SECONDS = 60  # in which Ray notices that a node came or went


@pytest.fixture
def nodes(ray_cluster: Any) -> Iterator[tuple[Any, str, str]]:
    """The second node, as `Cluster` removes it, and the ids of both."""
    added = ray_cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    here = ray.get_runtime_context().get_node_id()
    yield added, here, added.node_id
    if added.node_id in alive():
        ray_cluster.remove_node(added)
    wait_for(lambda: added.node_id not in alive())


def alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def wait_for(condition: Any) -> None:
    end = time.monotonic() + NODE_SECONDS
    while not condition():
        assert time.monotonic() < end, "Ray did not notice in time"
        time.sleep(0.05)


def write_store(path: Path, numbers: range, kind: str = "int64") -> Path:
    with StreamStore(path, "x", fields={"n": kind}) as store:
        store.extend({"n": np.arange(numbers.start, numbers.stop)})
    return path


def test_each_node_reads_its_own_stores(nodes: Any, tmp_path: Path) -> None:
    _, here, there = nodes
    write_store(tmp_path / "a", range(30_000))
    write_store(tmp_path / "b", range(30_000, 90_000))
    dataset = read({here: tmp_path / "a", there: [tmp_path / "b"]}, override_num_blocks=3)
    blocks = dataset.materialize()
    assert blocks.count() == 90_000
    references = [ref for bundle in blocks.iter_internal_ref_bundles() for ref in bundle.block_refs]
    places = ray.experimental.get_object_locations(references)
    seen = []
    for block, reference in zip(ray.get(references), references, strict=True):
        numbers = block["n"].to_numpy()
        seen += numbers.tolist()
        assert places[reference]["node_ids"] == [here if numbers[0] < 30_000 else there]
    assert sorted(seen) == list(range(90_000))


def test_all_nodes_list_the_same_path(nodes: Any, tmp_path: Path) -> None:
    """Both nodes see the same directory here, so its rows come twice."""
    write_store(tmp_path / "group" / "a", range(10))
    assert sorted(row["n"] for row in read(tmp_path / "group", nodes="all").take_all()) == sorted(
        [*range(10)] * 2
    )
    assert read(tmp_path / "group", nodes=[nodes[2]]).count() == 10
    with pytest.raises(FileNotFoundError, match=r"nothing: .*at least one of 2 nodes"):
        read(tmp_path / "nothing", nodes="all")


def test_a_node_that_died_is_named(ray_cluster: Any, nodes: Any, tmp_path: Path) -> None:
    added, _, there = nodes
    write_store(tmp_path / "a", range(100))
    dataset = read({there: tmp_path / "a"})
    sampler = Sampler({there: tmp_path / "a"}, 1, batch_size=4, ahead=4)
    sampler.sample()
    ray_cluster.remove_node(added)
    wait_for(lambda: there not in alive())
    with pytest.raises(ValueError, match=f"node '{there}' is not alive"):
        read({there: tmp_path / "a"})
    with pytest.raises(Error, match=rf"node {there} with {tmp_path / 'a'} is not alive any more"):
        dataset.take_all()
    with pytest.raises(Error, match=rf"node {there} with {tmp_path / 'a'} does not answer"):
        [sampler.sample() for _ in range(100)]


def test_stores_of_all_nodes_get_their_names(nodes: Any, tmp_path: Path) -> None:
    _, here, there = nodes
    place = tmp_path / "places"
    place.mkdir()

    def note(batch: dict[str, Any]) -> dict[str, Any]:
        import ray

        (place / ray.get_runtime_context().get_node_id()).touch()
        time.sleep(0.3)
        return batch

    names = write(ray_data.range(90, override_num_blocks=9).map_batches(note), tmp_path / "group")
    assert {one.name for one in place.iterdir()} == {here, there}
    with StoreGroup(tmp_path / "group") as group:
        assert list(group) == names
        rows = [row["id"] for store in group.values() for row in store.rows()]
    assert sorted(rows) == list(range(90))
    assert sorted(one.name for one in (tmp_path / "group").iterdir()) == [".group", *names]


def test_batches_are_uniform_over_the_union_of_nodes(nodes: Any, tmp_path: Path) -> None:
    _, here, there = nodes
    write_store(tmp_path / "a", range(50))
    write_store(tmp_path / "b", range(50, 100))
    write_store(tmp_path / "c", range(100, 400))
    paths = {here: [tmp_path / "a", tmp_path / "b"], there: tmp_path / "c"}
    with Sampler(paths, 1, batch_size=200) as sampler:
        assert sampler.num_starts == 400
        batches = [sampler.sample() for _ in range(100)]
        stores = [
            int(Path(path).name == "c") * 2 + int(Path(path).name == "b")
            for _, path in sampler.stores
        ]
    for batch in batches:
        numbers = batch["n"][:, 0]
        kind = np.array(stores)[batch["_store"]]
        assert (kind == np.where(numbers < 50, 0, np.where(numbers < 100, 1, 2))).all()
        assert (batch["_index"] >> 48 == batch["_store"]).all()
        assert (batch["_index"] & (2**48 - 1) == batch["_row"][:, 0]).all()
    starts = np.stack([batch["n"][:, 0] for batch in batches])
    counts = np.bincount(starts.ravel(), minlength=400)
    expected = starts.size / 400
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 399 + 5 * np.sqrt(2 * 399), "399 degrees of freedom"
    for half in (starts[:, :100], starts[:, 100:]):  # places in a batch are mixed
        share = (half < 100).mean()
        assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / half.size)
    per_batch = (starts < 100).sum(axis=1)
    assert 0.6 < per_batch.var() / (200 * 0.25 * 0.75) < 1.6, "binomial, not a fixed share"


def test_ragged_and_text_fields_of_several_nodes_are_put_together(
    nodes: Any, tmp_path: Path
) -> None:
    _, here, there = nodes
    fields = {"n": "int64", "list": "float32[]", "text": "string", "part": {"x": "int8[]"}}
    for name, most in (("a", 3), ("b", 8)):
        with StreamStore(tmp_path / name, fields=fields) as store:
            for n in range(50):
                row = {"n": n, "list": np.full(n % most, n), "text": name * (n % 3)}
                store.append_step(row | {"part": {"x": np.full(n % most, 1)}})
    with Sampler({here: tmp_path / "a", there: tmp_path / "b"}, 2, batch_size=32) as sampler:
        batch = sampler.sample()
        names = [Path(path).name for _, path in sampler.stores]
    for i, (number, store) in enumerate(zip(batch["n"][:, 0], batch["_store"], strict=True)):
        most = {"a": 3, "b": 8}[names[store]]
        size = int(number) % most
        assert batch["_length"]["list"][i, 0] == size
        assert (batch["list"][i, 0, :size] == number).all()
        assert (batch["list"][i, 0, size:] == 0).all()
        assert batch["_length"]["part"]["x"][i, 0] == size
        assert batch["text"][i][0] == names[store] * (int(number) % 3)


def test_nodes_with_other_fields_are_refused(nodes: Any, tmp_path: Path) -> None:
    _, here, there = nodes
    write_store(tmp_path / "a", range(10))
    write_store(tmp_path / "b", range(10), "float32")
    paths = {here: tmp_path / "a", there: tmp_path / "b"}
    with pytest.raises(ValueError, match=rf"b on node {there} differs from .*a on node {here}"):
        Sampler(paths, 1)
    with pytest.raises(ValueError, match=r"b differs from .*a: field 'n'"):
        read(paths)


def test_without_skip_no_batch_lacks_the_stores_of_a_node_that_died(
    ray_cluster: Any, nodes: Any, tmp_path: Path
) -> None:
    added, here, there = nodes
    one = write_store(tmp_path / "one", range(10))
    other = write_store(tmp_path / "other", range(1000, 1100))
    sampler = Sampler({here: one, there: other}, 1, batch_size=40, ahead=4)
    assert (sampler.sample()["n"] >= 1000).any()
    ray_cluster.remove_node(added)
    refused = 0
    end = time.monotonic() + NODE_SECONDS
    while refused < 3:
        assert time.monotonic() < end, "the node is not reported"
        try:
            batch = sampler.sample()
        except Error:
            refused += 1
            time.sleep(1.1)  # longer than the sampler takes to look for a node that is back
        else:
            assert (batch["n"] >= 1000).any()
    with pytest.raises(Error, match=there):
        sampler.sample()
    sampler.close()


def test_with_skip_the_other_nodes_are_sampled(
    ray_cluster: Any, nodes: Any, tmp_path: Path
) -> None:
    """A node that joins later is sampled, too."""
    added, here, there = nodes
    write_store(tmp_path / "group" / "a", range(10))
    sampler = Sampler(tmp_path / "group", 1, nodes="all", batch_size=20, ahead=8, on_error="skip")
    assert sampler.num_starts == 20
    assert set(sampler.nodes) == {here, there}
    sampler.sample()
    ray_cluster.remove_node(added)
    wait_for(lambda: there not in alive())
    wait_for(lambda: len(sampler.sample()["n"]) == 20 and sampler.nodes == [here])
    assert sampler.num_starts == 10
    again = ray_cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    wait_for(lambda: sampler.sample() is not None and again.node_id in sampler.nodes)
    wait_for(lambda: sampler.num_starts == 20)
    assert {node for node, _ in sampler.stores} == {here, there, again.node_id}
    sampler.close()
    ray_cluster.remove_node(again)
    wait_for(lambda: again.node_id not in alive())
