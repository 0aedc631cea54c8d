"""stream_store.torch: draws by priority in the main process, reads in the workers."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from stream_store import DroppedError, Priorities, StreamStore, WindowSampler  # noqa: E402
from stream_store.torch import (  # noqa: E402
    DrawnWindowDataset,
    WindowBatchSampler,
    WindowDataset,
    WindowIterableDataset,
)

FIELDS = {"obs": "float32[2]", "episode": "int64", "keep": "bool"}
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
METHODS = ["fork", "forkserver", "spawn"]


def filled(rows: int, path: Any = None) -> StreamStore:
    store = StreamStore(fields=FIELDS) if path is None else StreamStore(path, fields=FIELDS)
    extend(store, rows)
    return store


def extend(store: StreamStore, count: int) -> None:
    rows = np.arange(store.num_rows, store.num_rows + count)
    obs = np.stack([rows, -rows], axis=1)
    store.extend({"obs": obs, "episode": rows // 10, "keep": rows % 7 != 6})


def loader_of(sampler: WindowSampler, workers: int = 0, **arguments: Any) -> Any:
    number = arguments.pop("num_batches", None)
    batches = WindowBatchSampler(sampler, number)
    if workers:
        arguments.setdefault("multiprocessing_context", "fork")
    return DataLoader(
        DrawnWindowDataset(sampler), batch_sampler=batches, num_workers=workers, **arguments
    )


def assert_same(batch: dict[str, Any], arrays: dict[str, Any]) -> None:
    assert batch.keys() == arrays.keys()
    for name, array in arrays.items():
        if isinstance(array, dict):
            assert_same(batch[name], array)
        else:
            assert batch[name].dtype == torch.from_numpy(array).dtype, name
            np.testing.assert_array_equal(batch[name].numpy(), array)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("several", [False, True])
def test_a_loader_gives_the_batches_of_its_sampler(workers: int, several: bool) -> None:
    store: Any = [filled(50), filled(80)] if several else filled(50)
    options: dict[str, Any] = {"segment_by": "episode", "where": "keep", "batch_size": 6, "seed": 4}
    options |= {"priorities": Priorities(alpha=0.8, mix=0.2)}
    sampler, twin = (WindowSampler(store, 3, **options) for _ in range(2))
    for one in (sampler, twin):
        one.update([0, 1, 10], [50.0, 0.0, 7.0])
    loader = loader_of(sampler, workers, num_batches=5)
    assert len(loader) == 5
    count = 0
    for batch in loader:
        assert_same(batch, twin.sample())
        count += 1
    assert count == 5


@pytest.mark.parametrize(
    ("method", "temporary"),
    [("fork", False), ("fork", True), ("spawn", False), ("spawn", True), ("forkserver", True)],
)
def test_workers_read_rows_that_the_main_process_has_just_appended(
    method: str, temporary: bool, tmp_path: Path
) -> None:
    store = filled(20, None if temporary else tmp_path / "store")
    sampler = WindowSampler(store, 2, batch_size=4, priorities=Priorities(alpha=1.0))
    loader = loader_of(
        sampler,
        1,
        num_batches=8,
        multiprocessing_context=method,
        persistent_workers=True,
        prefetch_factor=1,
    )
    for _ in range(2):
        for batch in loader:
            assert batch["obs"][:, :, 0].tolist() == batch["_row"].tolist()
            newest = store.num_rows
            extend(store, 5)
            sampler.update(np.arange(newest - 1), 1e-9)
            sampler.update(np.arange(newest, newest + 4), 1.0)
        # Most draws are of the newest rows, which were appended after the worker had begun. The
        # last batch was drawn one batch before.
        assert batch["_row"].max() >= newest - 10


@pytest.mark.parametrize(("workers", "factor"), [(0, None), (1, 1), (1, 3), (2, 2), (3, 1)])
def test_an_update_meets_at_most_the_batches_that_were_drawn_already(
    workers: int, factor: int | None
) -> None:
    store = filled(400)
    sampler = WindowSampler(store, 1, batch_size=4, priorities=Priorities())
    loader = loader_of(sampler, workers, prefetch_factor=factor)
    batches = iter(loader)
    next(batches)
    next(batches)
    sampler.update(np.arange(399), 0.0)  # only the last row is left
    drawn_already = workers * (factor or 0)
    for number in range(drawn_already + 3):
        rows = set(next(batches)["_row"].ravel().tolist())
        if number < drawn_already:
            assert rows != {399}, "this batch was drawn before the update"
        else:
            assert rows == {399}


def test_update_takes_tensors() -> None:
    store = filled(30)
    sampler = WindowSampler(store, 2, batch_size=4, priorities=Priorities(alpha=1.0, eps=0.0))
    index = torch.tensor([3, 4, 5, 6])
    for error in (
        torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True),
        torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.bfloat16),
        torch.tensor([1, 2, 3, 4]),
        torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)[:, None][:, 0],
    ):
        sampler.update(np.arange(29), 0)
        assert sampler.update(index, error) == 0
        batch = sampler.sample()
        chances = dict(zip(batch["_index"].tolist(), batch["_probability"].tolist(), strict=True))
        for number, chance in chances.items():
            assert chance == pytest.approx((number - 2) / 10)
    assert sampler.read(index)["_index"].tolist() == [3, 4, 5, 6]
    with pytest.raises(ValueError, match="priority must have the shape of index"):
        sampler.update(index, torch.ones(4, 1))
    with pytest.raises(ValueError, match="index must be ints"):
        sampler.update(index.float(), torch.ones(4))


class OnDevice:
    """As a tensor of a device that NumPy cannot read."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def detach(self) -> OnDevice:
        return self

    def cpu(self) -> Any:
        return self._tensor

    def is_floating_point(self) -> bool:
        return bool(self._tensor.is_floating_point())

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def test_update_copies_tensors_of_another_device() -> None:
    sampler = WindowSampler(filled(30), 2, batch_size=4, priorities=Priorities())
    index, error = OnDevice(torch.tensor([8, 9])), OnDevice(torch.tensor([3.0, 4.0]))
    assert sampler.update(index, error) == 0  # type: ignore[arg-type]
    assert sampler._read_priorities()[0][1][7:11].tolist() == [1, 3, 4, 1]


@pytest.mark.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def test_update_takes_tensors_of_any_device(device: str) -> None:
    sampler = WindowSampler(filled(30), 2, batch_size=4, priorities=Priorities())
    batch = next(iter(loader_of(sampler)))
    error = torch.arange(1.0, 5.0, device=device, requires_grad=True)
    assert sampler.update(batch["_index"].to(device), error) == 0
    values = dict(zip(batch["_index"].tolist(), [1.0, 2.0, 3.0, 4.0], strict=True))
    kept = sampler._read_priorities()[0][1]
    assert {index: kept[index] for index in values} == values


def test_training_draws_what_has_the_largest_error() -> None:
    store = filled(200)
    sampler = WindowSampler(store, 1, batch_size=16, priorities=Priorities(alpha=1.0), seed=1)
    last: Any = None
    for last in loader_of(sampler, 2, num_batches=100, persistent_workers=True):
        error = 1e-3 + (last["obs"][:, 0, 0] - 150).abs().lt(3).float().requires_grad_()
        assert last["_weight"].max() == 1
        assert sampler.update(last["_index"], error) == 0
    assert ((last["_row"] - 150).abs() < 3).float().mean() > 0.9


def test_windows_that_were_dropped_after_the_draw_are_left_out() -> None:
    store = filled(100)
    options: dict[str, Any] = {"offsets": {"obs": [-2, 0]}, "segment_by": "episode"}
    sampler = WindowSampler(store, **options, batch_size=64, priorities=Priorities())
    dataset = DrawnWindowDataset(sampler)
    batches = iter(WindowBatchSampler(sampler))
    draw = next(batches)
    store.drop_before(45)
    batch = dataset.__getitems__(draw).batch
    # Row 45 and 46 are retained, but two rows before them are not any more.
    kept = draw.index >= 47
    assert 0 < kept.sum() < 64
    assert batch["_index"].tolist() == draw.index[kept].tolist()
    assert batch["_weight"].tolist() == draw.weight[kept].tolist()
    assert batch["_probability"].tolist() == draw.probability[kept].tolist()
    assert batch["obs"][:, 0, 0].tolist() == (draw.index[kept] - 2).tolist()
    store.drop_before(99)
    with pytest.raises(DroppedError, match="index number 0"):
        dataset.__getitems__(draw)


def test_a_loader_goes_on_while_rows_are_dropped() -> None:
    store = filled(200)
    sampler = WindowSampler(store, 3, batch_size=32, priorities=Priorities())
    sizes = []
    for batch in loader_of(sampler, 2, num_batches=30, prefetch_factor=2):
        extend(store, 40)
        store.drop_before(store.num_rows - 200)
        for name in ("_weight", "_probability", "obs", "_segment"):
            assert len(batch[name]) == len(batch["_index"])
        assert batch["obs"][:, :, 0].tolist() == batch["_row"].tolist()
        dropped = sampler.update(batch["_index"], torch.rand(len(batch["_index"])) + 0.1)
        assert dropped == (batch["_index"] < store.first_row).sum()
        sizes.append(len(batch["_index"]))
    assert min(sizes) < 32 == max(sizes)


def test_rows_counted_from_the_end_may_move_after_a_draw() -> None:
    store = filled(30)
    sampler = WindowSampler(store, 2, rows=(-10, None), batch_size=8, priorities=Priorities())
    loader = loader_of(sampler, 1, prefetch_factor=4)
    batches = iter(loader)
    for _ in range(6):
        extend(store, 50)
        batch = next(batches)
        assert len(batch["_index"]) == 8


def test_ranks_draw_from_disjoint_shares() -> None:
    stores = [filled(90), filled(60)]
    seen = []
    for rank in range(3):
        sampler = WindowSampler(
            stores,
            2,
            segment_by="episode",
            batch_size=32,
            priorities=Priorities(),
            rank=rank,
            world_size=3,
        )
        found: set[int] = set()
        for batch in loader_of(sampler, rank, num_batches=40):
            found |= set(batch["_index"].tolist())
            sampler.update(batch["_index"], torch.rand(32) + 0.1)
        assert len(found) == sampler.num_starts
        seen.append(found)
    everything = WindowSampler(stores, 2, unit="row", segment_by="episode").num_starts
    assert sum(map(len, seen)) == len(set().union(*seen)) == everything
    with pytest.raises(ValueError, match="which is not the anchor of a window of this sampler"):
        sampler.update([min(seen[0])], 1.0)


def test_the_state_counts_the_batches_that_were_drawn() -> None:
    store = filled(60)
    sampler = WindowSampler(store, 2, batch_size=4, priorities=Priorities(), seed=6)
    batches = iter(loader_of(sampler, 1, prefetch_factor=2))
    next(batches)
    resumed = WindowSampler(store, 2, batch_size=4, priorities=Priorities())
    resumed.load_state_dict(sampler.state_dict())
    for _ in range(2):  # drawn ahead
        next(batches)
    for _, batch in zip(range(2), loader_of(resumed), strict=False):
        assert batch["_index"].tolist() == next(batches)["_index"].tolist()


def test_a_prefetch_and_a_loader_take_the_batches_in_turn() -> None:
    store = filled(60)
    options: dict[str, Any] = {"batch_size": 4, "priorities": Priorities(), "seed": 6}
    plain = WindowSampler(store, 2, **options)
    sampler = WindowSampler(store, 2, **options)
    batches = iter(loader_of(sampler))
    with sampler.prefetch(3) as ahead:
        for _ in range(5):
            assert next(ahead)["_index"].tolist() == plain.sample()["_index"].tolist()
            assert next(batches)["_index"].tolist() == plain.sample()["_index"].tolist()


def test_a_sampler_without_priorities_draws_in_the_main_process_too() -> None:
    sampler, twin = (WindowSampler(filled(50), 2, unit="row", batch_size=5) for _ in range(2))
    for batch in loader_of(sampler, 1, num_batches=4):
        assert_same(batch, twin.sample())


def test_a_drawn_dataset_reads_single_windows_and_is_copied_as_a_path(tmp_path: Path) -> None:
    store = filled(5000, tmp_path / "store")
    sampler = WindowSampler(store, 3, batch_size=4, priorities=Priorities())
    sampler.sample()
    dataset = DrawnWindowDataset(sampler)
    data = pickle.dumps(dataset)
    assert len(data) < 5000
    for one in (dataset, pickle.loads(data)):
        assert one[7]["obs"][:, 0].tolist() == [7, 8, 9]
        assert [sample["_row"].tolist() for sample in one.__getitems__([5, 9])] == [
            [5, 6, 7],
            [9, 10, 11],
        ]
        with pytest.raises(IndexError, match="row 4998"):
            one[4998]
        with pytest.raises(TypeError, match=re.escape("not 'a' (str)")):
            one["a"]


def test_batch_samplers_refuse_other_samplers() -> None:
    store = filled(20)
    with pytest.raises(ValueError, match="expected a sampler with replacement"):
        WindowBatchSampler(WindowSampler(store, 2, unit="row", replacement=False))
    with pytest.raises(TypeError, match="must be a WindowSampler"):
        WindowBatchSampler(WindowDataset(store, 2, unit="row"))  # type: ignore[arg-type]
    for kind in (WindowBatchSampler, DrawnWindowDataset):
        with pytest.raises(ValueError, match="unit='row'"):
            kind(WindowSampler(store, 2, unit="value"))
    sampler = WindowSampler(store, 2, unit="row")
    for wrong in (0, -1, 1.5):
        with pytest.raises((ValueError, TypeError), match="num_batches"):
            WindowBatchSampler(sampler, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="endless"):
        len(WindowBatchSampler(sampler))
    assert WindowBatchSampler(sampler)


# --- WindowIterableDataset ---


def test_an_iterable_dataset_draws_by_priority_without_workers(tmp_path: Path) -> None:
    store = filled(60, tmp_path / "store")
    options: dict[str, Any] = {"batch_size": 5, "priorities": Priorities(alpha=1.0), "seed": 2}
    dataset = WindowIterableDataset(store, 2, **options)
    twin = WindowSampler(store, 2, **options)
    batches = iter(DataLoader(dataset, batch_size=None))
    for _ in range(5):
        batch, expected = next(batches), twin.sample()
        assert_same(batch, expected)
        error = batch["obs"][:, 0, 0].requires_grad_()
        assert dataset.update(batch["_index"], error) == 0
        twin.update(expected["_index"], expected["obs"][:, 0, 0])
    dataset.sampler.beta = 0.9
    twin.beta = 0.9
    assert_same(next(batches), twin.sample())
    twin.set_epoch(1)  # the copies begin the next one
    for other in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert_same(next(iter(other)), copy.deepcopy(twin).sample())


@pytest.mark.parametrize("method", METHODS)
def test_an_iterable_dataset_with_priorities_refuses_workers(method: str) -> None:
    dataset = WindowIterableDataset(filled(60), 2, batch_size=5, priorities=Priorities())
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=method)
    with pytest.raises(RuntimeError, match="use DataLoader") as raised:
        next(iter(loader))
    assert "batch_sampler=WindowBatchSampler(sampler)" in str(raised.value)


def test_an_iterable_dataset_without_priorities_cannot_be_updated() -> None:
    dataset = WindowIterableDataset(filled(20), 2, unit="row")
    with pytest.raises(ValueError, match="for a sampler with priorities"):
        dataset.update([0], 1.0)
