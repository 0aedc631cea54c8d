"""WindowIterableDataset: epochs with changing numbers of workers, and states with workers."""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

# Workers import it. In CPython 3.11 that fails if a finaliser that imports runs meanwhile.
import numpy.random
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, IterableDataset, get_worker_info  # noqa: E402
from torch.utils.data._utils.worker import WorkerInfo  # noqa: E402

from stream_store import StreamStore  # noqa: E402
from stream_store.torch import WindowIterableDataset  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
ROWS = 50


def new_dataset(store: StreamStore | None = None, **arguments: Any) -> WindowIterableDataset:
    if store is None:
        store = StreamStore(fields={"x": "int64"})
        store.extend({"x": np.arange(ROWS)})
    options = {"unit": "row", "batch_size": 4, "replacement": False, **arguments}
    return WindowIterableDataset(store, 1, **options)


def loader_of(dataset: Any, workers: int, **arguments: Any) -> Any:
    if workers:
        arguments["multiprocessing_context"] = "fork"
    return DataLoader(dataset, batch_size=None, num_workers=workers, **arguments)


def rows_of(batch: dict[str, Any]) -> list[int]:
    return batch["x"][:, 0].tolist()


def rows_in(loader: Any) -> list[int]:
    return [row for batch in loader for row in rows_of(batch)]


def order_of_epoch(epoch: int) -> list[int]:
    """The order that all workers of an epoch share."""
    dataset = new_dataset()
    dataset.set_epoch(epoch)
    return rows_in(dataset)


# --- epochs ---


@pytest.mark.parametrize("workers", [(0, 2, 2), (2, 0, 3), (1, 3, 2, 0), (0, 0, 2, 1, 2)])
def test_each_epoch_is_complete_whatever_the_number_of_workers(workers: tuple[int, ...]) -> None:
    # Replayed from a report: after an epoch with num_workers=0, one with 2 had rows twice.
    dataset = new_dataset()
    for epoch, number in enumerate(workers):
        found = rows_in(loader_of(dataset, number))
        assert sorted(found) == list(range(ROWS))
        if number < 2:
            assert found == order_of_epoch(epoch)


@pytest.mark.parametrize("persistent", [False, True])
def test_two_loaders_of_a_dataset_take_turns(persistent: bool) -> None:
    dataset = new_dataset()
    loaders = [loader_of(dataset, n, persistent_workers=persistent) for n in (2, 3)]
    for _ in range(3):
        for loader in loaders:
            assert sorted(rows_in(loader)) == list(range(ROWS))
    dataset.set_epoch(1)
    found = rows_in(loader_of(dataset, 0))
    assert found == order_of_epoch(1)


def test_loaders_that_begin_together_have_complete_epochs() -> None:
    dataset = new_dataset()
    for _ in range(3):
        iterators = [iter(loader_of(dataset, n)) for n in (2, 3, 2)]
        for iterator in iterators:
            assert sorted(rows_in(iterator)) == list(range(ROWS))


def test_a_loader_that_was_left_early_does_not_disturb_the_next_epoch() -> None:
    dataset = new_dataset()
    for _ in range(3):
        next(iter(loader_of(dataset, 2)))
        assert sorted(rows_in(loader_of(dataset, 2))) == list(range(ROWS))


@pytest.mark.parametrize("late", [0, 1])
def test_a_program_that_seeds_torch_before_each_epoch_has_complete_epochs(late: int) -> None:
    dataset = new_dataset()
    orders = []
    for _ in range(3):
        torch.manual_seed(0)  # the workers of all epochs have the same seeds
        orders.append(rows_in(loader_of(Wrapped(dataset, late=late), 2)))
        assert sorted(orders[-1]) == list(range(ROWS))
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("late", [0, 1])
def test_workers_may_begin_several_epochs_in_one_iteration(late: int) -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": range(8)})  # one batch for each worker, so that one may be epochs ahead
    dataset = new_dataset(store)
    loader = loader_of(Wrapped(dataset, epochs=6, late=late), 2, prefetch_factor=6)
    batches = [rows_of(batch) for batch in loader]
    for epoch in range(6):
        assert sorted(batches[2 * epoch] + batches[2 * epoch + 1]) == list(range(8))
    assert len({tuple(batch) for batch in batches}) > 6


def test_set_epoch_holds_for_all_workers() -> None:
    dataset = new_dataset()
    loader = loader_of(dataset, 2, persistent_workers=True)
    first = rows_in(loader)
    assert rows_in(loader) != first
    dataset.set_epoch(0)
    assert rows_in(loader) == first
    dataset.set_epoch(0)
    assert rows_in(loader_of(dataset, 2)) == first


def test_streams_with_replacement_differ_whatever_the_number_of_workers() -> None:
    dataset = new_dataset(replacement=True, batch_size=16)
    seen = []
    for workers in (0, 2, 3, 0):
        loader = loader_of(dataset, workers)
        seen += [tuple(rows_of(batch)) for batch, _ in zip(loader, range(6), strict=False)]
    assert set(Counter(seen).values()) == {1}


def test_an_epoch_that_was_begun_and_not_used_begins_again() -> None:
    dataset = new_dataset()
    assert rows_in(dataset) == order_of_epoch(0)
    unused = iter(dataset)
    assert rows_in(dataset) == order_of_epoch(1)
    with pytest.raises(RuntimeError, match="this iteration has ended"):
        next(unused)
    assert rows_in(copy.copy(dataset)) == order_of_epoch(2)
    dataset = new_dataset()
    assert rows_in(dataset) == order_of_epoch(0)
    assert rows_in(copy.copy(dataset)) == order_of_epoch(1)
    iter(dataset)
    dataset.set_epoch(3)
    assert rows_in(dataset) == order_of_epoch(3)


class Wrapped(IterableDataset[Any]):
    """Epochs of a dataset in one iteration of a loader, in some workers, one of which is late."""

    def __init__(
        self, dataset: WindowIterableDataset, *, epochs: int = 1, late: int = -1, only: int = -1
    ) -> None:
        self._dataset, self._epochs = dataset, epochs
        self._late, self._only = late, only

    def __iter__(self) -> Any:
        worker = get_worker_info().id
        if worker == self._late:
            time.sleep(0.5)
        if self._only in (-1, worker):
            for _ in range(self._epochs):
                yield from self._dataset


def test_a_worker_that_waits_for_worker_0_in_vain_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_store.torch.epochs._PATIENCE", 0.2)
    with pytest.raises(RuntimeError, match="every worker of a loader must iterate"):
        rows_in(loader_of(Wrapped(new_dataset(), only=1), 2))
    assert rows_in(loader_of(Wrapped(new_dataset(), only=0), 2))


# --- states ---


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_state_that_the_workers_have_is_an_error_elsewhere(
    workers: int, replacement: bool
) -> None:
    # Replayed from a report: the state said 0 batches after 50, so that training began again.
    dataset = new_dataset(replacement=replacement)
    assert dataset.state_dict()["batches"] == 0  # the truth, before the first batch
    loader = loader_of(dataset, workers)
    for _, _ in zip(loader, range(5), strict=False):
        pass
    for _ in range(2):
        with pytest.raises(RuntimeError, match="StatefulDataLoader"):
            dataset.state_dict()
    next(iter(dataset))  # an iteration in this process
    assert dataset.state_dict()["batches"] & 0xFF == 1


def test_a_state_of_one_process_is_refused_by_several_workers() -> None:
    dataset = new_dataset()
    batches = iter(dataset)
    first = rows_of(next(batches))
    state = json.loads(json.dumps(dataset.state_dict()))
    resumed = new_dataset(dataset._store)
    resumed.load_state_dict(state)
    with pytest.raises(ValueError, match="state for each worker"):
        rows_in(loader_of(resumed, 2))
    assert first + rows_in(loader_of(resumed, 1)) == order_of_epoch(0)
    resumed.load_state_dict(state)
    resumed.set_epoch(5)
    assert sorted(rows_in(loader_of(resumed, 2))) == list(range(ROWS))


def test_a_state_at_the_end_of_an_epoch_goes_on_with_the_epochs_after() -> None:
    dataset = new_dataset()
    dataset.set_epoch(4)
    assert rows_in(dataset) == order_of_epoch(4)
    resumed = new_dataset(dataset._store)
    resumed.load_state_dict(dataset.state_dict())
    for epoch in (5, 6):
        assert rows_in(loader_of(resumed, 1)) == order_of_epoch(epoch)
    assert rows_in(resumed) == order_of_epoch(7)


def test_a_worker_that_had_finished_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # The protocol of a stateful loader, by hand: both workers are this process.
    def work_as(worker: int) -> None:
        info = WorkerInfo(id=worker, num_workers=2, seed=7 + worker, dataset=None)
        monkeypatch.setattr("torch.utils.data._utils.worker._worker_info", info)

    store = new_dataset()._store
    states, batches = [], []
    for worker, done in ((0, 3), (1, 99)):  # a finished worker gets no further batch
        dataset = new_dataset(store)
        work_as(0)
        iterator = iter(dataset)
        if worker == 1:
            work_as(1)
            iterator = iter(dataset)
        batches += [rows_of(batch) for _, batch in zip(range(done), iterator, strict=False)]
        states.append(json.loads(json.dumps(dataset.state_dict())))
    assert [state["finished"] for state in states] == [0, 1]
    for worker, state in enumerate(states):
        dataset = new_dataset(store)
        work_as(0)
        iter(dataset)
        work_as(worker)
        dataset.load_state_dict(state)
        rest = [rows_of(batch) for batch in dataset]
        assert (rest == []) == (worker == 1)
        batches += rest
    assert sorted(row for batch in batches for row in batch) == list(range(ROWS))


# --- torchdata ---


def stateful(dataset: Any, workers: int, **arguments: Any) -> Any:
    module = pytest.importorskip("torchdata.stateful_dataloader")
    if workers:
        arguments["multiprocessing_context"] = "fork"
    return module.StatefulDataLoader(dataset, batch_size=None, num_workers=workers, **arguments)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_stateful_loader_resumes_exactly(workers: int, replacement: bool, tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"x": "int64"}) as store:
        store.extend({"x": np.arange(55)})  # so that worker 0 has one batch more than the others
        arguments: dict[str, Any] = {"replacement": replacement, "batch_size": 3}
        loader = stateful(new_dataset(store, **arguments), workers)
        batches = [iter(loader)]
        states, found = [], []
        for _ in range(45):  # an epoch has 19 batches
            states.append(copy.deepcopy(loader.state_dict()))
            batch = next(batches[-1], None)
            if batch is None:
                states[-1] = copy.deepcopy(loader.state_dict())  # at the end of an epoch
                batches.append(iter(loader))
                batch = next(batches[-1])
            found.append(rows_of(batch))
        for done in (0, 1, 7, 16, 17, 18, 19, 20, 37, 38):
            resumed = stateful(new_dataset(store, **arguments), workers)
            resumed.load_state_dict(states[done])
            again: list[list[int]] = []
            while len(again) < 5:
                again += [rows_of(batch) for batch, _ in zip(resumed, range(5), strict=False)]
            assert again[:5] == found[done : done + 5], done


@pytest.mark.parametrize("persistent", [False, True])
def test_a_stateful_loader_goes_on_with_the_epochs_after(persistent: bool) -> None:
    dataset = new_dataset()
    loader = stateful(dataset, 2, persistent_workers=persistent)
    batches = iter(loader)
    head = [row for _ in range(9) for row in rows_of(next(batches))]
    state = loader.state_dict()
    resumed = stateful(new_dataset(dataset._store), 2, persistent_workers=persistent)
    resumed.load_state_dict(state)
    assert sorted(head + rows_in(resumed)) == list(range(ROWS))
    rest = [rows_in(resumed) for _ in range(2)]
    for rows in rest:
        assert sorted(rows) == list(range(ROWS))
    assert rest[0] != rest[1]
