"""Transfer of batches of stream_store.torch from a DataLoader's worker."""

from __future__ import annotations

import io
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils._pytree import tree_map  # noqa: E402
from torch.utils.data import DataLoader, get_worker_info  # noqa: E402

from sampler_model import filled  # noqa: E402
from stream_store import StreamStore  # noqa: E402
from stream_store.torch import WindowDataset, WindowIterableDataset  # noqa: E402
from stream_store.torch.travel import pack  # noqa: E402


def loader_of(dataset: Any, workers: int, **arguments: Any) -> Any:
    if workers:
        arguments["multiprocessing_context"] = "fork"
    return DataLoader(dataset, num_workers=workers, **arguments)


def collate_with_more(samples: Any) -> dict[str, Any]:
    """Torch's default collation, and others that a user may choose."""
    batch: dict[str, Any] = torch.utils.data.default_collate(samples)
    batch["weight"] = torch.ones(2, requires_grad=True)
    batch["half"] = torch.ones(2, dtype=torch.bfloat16)
    batch["worker"] = get_worker_info() is not None
    return batch


@pytest.mark.parametrize("iterable", [False, True])
def test_a_batch_comes_from_a_worker_in_one_piece_of_memory(iterable: bool) -> None:
    store = StreamStore(fields={"obs": "float32[8]", "text": "string", "items": "int16[]"})
    for i in range(30):
        store.append_step({"obs": np.full(8, i), "text": f"row {i}", "items": [i] * (i % 3)})
    dataset: Any = (
        WindowIterableDataset(store, 3, unit="row", batch_size=5, replacement=False)
        if iterable
        else WindowDataset(store, 3, unit="row")
    )
    arguments = {"batch_size": None if iterable else 5}
    passes = []
    for workers in (0, 1):
        if iterable:
            dataset.set_epoch(0)
        passes.append(list(loader_of(dataset, workers, **arguments)))
    here, there = passes
    assert len(here) == len(there) == 6
    for ours, theirs in zip(here, there, strict=True):
        assert type(theirs) is type(theirs["_mask"]) is dict
        assert theirs["text"] == ours["text"]
        tensors = [theirs[name] for name in ("obs", "items", "_step", "_valid")]
        tensors += [*theirs["_mask"].values(), theirs["_length"]["items"]]
        for name in ("obs", "items", "_step", "_valid"):
            assert torch.equal(theirs[name], ours[name]), name
        first = min(tensor.data_ptr() for tensor in tensors)
        last = max(tensor.data_ptr() + tensor.nbytes for tensor in tensors)
        assert last - first < sum(tensor.nbytes + 64 for tensor in tensors)


def test_what_a_collation_adds_comes_from_a_worker_as_it_is() -> None:
    store, _ = filled(20)
    dataset = WindowDataset(store, 3, unit="row")
    loader = loader_of(dataset, 1, batch_size=4, collate_fn=collate_with_more)
    batch = next(iter(loader))
    assert batch["worker"]
    assert batch["weight"].requires_grad
    assert batch["half"].dtype == torch.bfloat16
    assert batch["_step"].tolist() == [[i, i + 1, i + 2] for i in range(4)]


def collate_twice_as_much(samples: Any) -> Any:
    """A batch is a dict for torch's trees and files, and also for a user's collation."""
    batch = torch.utils.data.default_collate(samples)
    file = io.BytesIO()
    torch.save(batch, file)
    file.seek(0)
    assert torch.equal(torch.load(file)["obs"], batch["obs"])
    return tree_map(lambda item: item * 2, batch)


def test_a_batch_is_a_dict_for_code_that_runs_in_a_worker() -> None:
    store, _ = filled(20)
    dataset = WindowDataset(store, 3, unit="row", fields=["obs"])
    here, there = (
        list(loader_of(dataset, n, batch_size=4, collate_fn=collate_twice_as_much)) for n in (0, 1)
    )
    for ours, theirs in zip(here, there, strict=True):
        assert type(theirs) is dict
        assert torch.equal(theirs["obs"], ours["obs"])
        assert torch.equal(theirs["_step"], ours["_step"])


def test_tensors_that_a_worker_changed_in_place_arrive_changed() -> None:
    square = torch.arange(9.0).reshape(3, 3)
    names = ("as it was", "filled", "flat", "transposed", "elsewhere", "trained")
    batch = pack({name: square.clone() for name in names})
    batch["filled"].fill_(7)
    batch["flat"].unsqueeze_(0)
    batch["transposed"].t_()
    batch["elsewhere"].data = torch.ones(3, 3)
    batch["trained"].requires_grad_()
    there = pickle.loads(bytes(ForkingPickler.dumps(batch)))
    assert torch.equal(there["as it was"], square)
    assert torch.equal(there["filled"], torch.full((3, 3), 7.0))
    assert torch.equal(there["flat"], square[None])
    assert torch.equal(there["transposed"], square.T)
    assert torch.equal(there["elsewhere"], torch.ones(3, 3))
    assert there["trained"].requires_grad


def test_tensors_without_items_travel() -> None:
    batch = pack({"a": torch.zeros(0, 3), "b": {"c": [1], "d": torch.ones(2)}})
    there = pickle.loads(bytes(ForkingPickler.dumps(batch)))
    assert type(there) is dict
    assert there["a"].shape == (0, 3)
    assert there["b"]["c"] == [1]
    assert there["b"]["d"].tolist() == [1, 1]
