"""stream_store.torch: datasets in all kinds of DataLoader."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import (  # noqa: E402
    DataLoader,
    DistributedSampler,
    Subset,
    get_worker_info,
)

from model_process import PATIENCE  # noqa: E402
from sampler_model import FIELDS, append, filled, make_rows, row_windows  # noqa: E402
from stream_store import StreamStore, WindowSampler  # noqa: E402
from stream_store.torch import WindowDataset, WindowIterableDataset  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:'pin_memory' argument is set as true but no accelerator:UserWarning"
)
# Start method of the workers, and kind of store. Not all pairs: spawned workers import torch again.
PAIRS = [
    (None, "path"),
    ("fork", "path"),
    ("fork", "temporary"),
    ("spawn", "path"),
    ("spawn", "temporary"),
    ("forkserver", "temporary"),
]


def windows_of(batch: dict[str, Any]) -> list[tuple[int | None, ...]]:
    pairs = zip(batch["_step"].tolist(), batch["_valid"].tolist(), strict=True)
    return [
        tuple(s if v else None for s, v in zip(steps, valids, strict=True))
        for steps, valids in pairs
    ]


def all_windows(loader: Any) -> list[tuple[int | None, ...]]:
    return [window for batch in loader for window in windows_of(batch)]


def loader_of(dataset: Any, workers: int, method: str | None = None, **arguments: Any) -> Any:
    if workers:
        arguments["multiprocessing_context"] = method
    return DataLoader(dataset, num_workers=workers, **arguments)


def stored(kind: str, path: Path) -> tuple[StreamStore, list[dict[str, Any]]]:
    """A store of 60 rows, on disk or temporary, and the rows."""
    rows = make_rows(np.random.default_rng(0), 60)
    store = StreamStore(path / "s" if kind == "path" else None, fields=FIELDS)
    append(store, rows)
    return store, rows


# --- map style ---


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_epochs_cover_every_window_and_follow_a_live_store(
    tmp_path: Path, method: str | None, kind: str
) -> None:
    store, rows = stored(kind, tmp_path)
    dataset = WindowDataset(store, 3, unit="row", segment_by="episode", pad="right")
    workers = 0 if method is None else 2
    loader = loader_of(
        dataset,
        workers,
        method,
        batch_size=7,
        shuffle=True,
        pin_memory=True,
        persistent_workers=workers > 0,
    )
    first, second = all_windows(loader), all_windows(loader)
    expected = row_windows(rows, 3, "episode", "right")
    assert len(dataset) == len(expected)
    assert sorted(first, key=str) == sorted(second, key=str) == expected
    assert first != second
    more = make_rows(np.random.default_rng(1), 40, first=60)
    append(store, more)
    expected = row_windows(rows + more, 3, "episode", "right")
    assert sorted(all_windows(loader), key=str) == expected


def test_items_and_batches_are_tensors_of_the_right_dtype() -> None:
    fields = {
        "f": "float32[2]",
        "h": "float16",
        "i": "int16",
        "u": "uint8",
        "b": "bool",
        "ragged": "float64[]",
        "frame": "packed uint8[4,4]",
        "at": "timestamp[us]",
        "text": "string",
    }
    store = StreamStore(fields=fields)
    for i in range(20):
        store.append_step(
            {
                "f": [i, -i],
                "h": i,
                "i": i,
                "u": i,
                "b": i % 2,
                "ragged": [float(i)] * (i % 4),
                "frame": np.full((4, 4), i, np.uint8),
                "at": np.datetime64(i, "us"),
                "text": f"row {i}",
            }
        )
    dataset = WindowDataset(store, 3, unit="row")
    item = dataset[4]
    assert item["f"].dtype == torch.float32
    assert item["f"].tolist() == [[4, -4], [5, -5], [6, -6]]
    assert item["h"].dtype == torch.float16
    assert item["u"].dtype == torch.uint8
    assert item["b"].dtype == torch.bool
    assert item["frame"].shape == (3, 4, 4)
    assert item["at"].tolist() == [4, 5, 6]
    assert item["text"] == ["row 4", "row 5", "row 6"]
    assert item["_mask"]["i"].shape == (3,)
    assert dataset[-1]["i"].tolist() == [17, 18, 19]
    assert dataset.__getitems__([-1, 0]).batch["i"].tolist() == [[17, 18, 19], [0, 1, 2]]
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert batch["i"].tolist() == [[i, i + 1, i + 2] for i in range(4)]
    assert batch["ragged"].shape == (4, 3, 3)
    assert batch["_length"]["ragged"].tolist() == [
        [i % 4 for i in range(k, k + 3)] for k in range(4)
    ]
    assert batch["text"][1] == ["row 1", "row 2", "row 3"]
    values = next(iter(DataLoader(WindowDataset(store, 16, columns=["number"]), batch_size=4)))
    assert values["number"].dtype == torch.float32
    assert values["number"].shape == (4, 16)


def test_a_batch_is_read_in_one_call_and_collates_as_samples_would() -> None:
    store, _ = filled(40)
    dataset = WindowDataset(store, 3, unit="row")
    samples = dataset.__getitems__([3, 1, 4])
    assert len(samples) == 3
    whole = torch.utils.data.default_collate(samples)
    assert whole is samples.batch
    one_by_one = torch.utils.data.default_collate([dataset[i] for i in (3, 1, 4)])
    assert set(one_by_one) == set(whole)
    for name in ("obs", "episode", "items", "_step", "_valid"):
        assert torch.equal(one_by_one[name], whole[name]), name
    assert torch.equal(one_by_one["_mask"]["obs"], whole["_mask"]["obs"])
    own = DataLoader(dataset, batch_size=5, collate_fn=lambda items: [i["_step"][0] for i in items])
    assert [int(step) for step in next(iter(own))] == [0, 1, 2, 3, 4]
    subset = DataLoader(Subset(dataset, [7, 9]), batch_size=2)
    assert windows_of(next(iter(subset))) == [(7, 8, 9), (9, 10, 11)]


def test_windows_that_are_not_there_are_refused_alike_alone_and_in_batches() -> None:
    store, _ = filled(20)
    dataset = WindowDataset(store, 3, unit="row")
    for wrong in (18, -19):
        for read in (lambda i: dataset[i], lambda i: dataset.__getitems__([17, -18, i])):
            with pytest.raises(IndexError, match=rf"^window {wrong} is outside \[-18, 18\)$"):
                read(wrong)
    for what in (slice(1, 3), 1.5, "a"):
        with pytest.raises(TypeError, match=rf"must be an int, not {re.escape(repr(what))} \("):
            dataset[what]  # type: ignore[index]


def test_ranks_share_the_windows_through_a_distributed_sampler() -> None:
    store, rows = filled(41)
    dataset = WindowDataset(store, 2, unit="row")
    found: list[Any] = []
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, seed=3)
        sampler.set_epoch(5)
        found += all_windows(DataLoader(dataset, batch_size=4, sampler=sampler))
    assert sorted(found, key=str) == row_windows(rows, 2)


def test_windows_whose_numbers_would_move_are_fixed_until_refreshed() -> None:
    store, _ = filled(50)
    for arguments in ({"rows": (-20, None)}, {"lanes": 2, "segment_by": "episode"}):
        dataset = WindowDataset(store, 2, unit="row", **arguments)  # type: ignore[arg-type]
        length, item = len(dataset), dataset[3]["_step"].tolist()
        append(store, make_rows(np.random.default_rng(1), 5, first=store.num_rows))
        assert len(dataset) == length
        assert dataset[3]["_step"].tolist() == item
        dataset.refresh()
        assert len(dataset) != length or dataset[3]["_step"].tolist() != item


# --- iterable style ---


@pytest.mark.parametrize(
    ("method", "kind", "persistent"),
    [
        (None, "path", False),
        ("fork", "path", False),
        ("fork", "temporary", True),
        ("spawn", "temporary", False),
        ("forkserver", "path", True),
    ],
)
def test_workers_share_each_epoch(
    tmp_path: Path, method: str | None, kind: str, persistent: bool
) -> None:
    store, rows = stored(kind, tmp_path)
    dataset = WindowIterableDataset(
        store, 3, unit="row", batch_size=4, replacement=False, segment_by="done", seed=2
    )
    workers = 0 if method is None else 2
    loader = loader_of(
        dataset, workers, method, batch_size=None, pin_memory=True, persistent_workers=persistent
    )
    epochs = [all_windows(loader) for _ in range(2)]
    for windows in epochs:
        assert sorted(windows, key=str) == row_windows(rows, 3, "done")
    assert epochs[0] != epochs[1], "each epoch has an order of its own"
    if method == "spawn":
        return
    dataset.set_epoch(0)
    assert all_windows(loader) == epochs[0]


def test_streams_with_replacement_differ_between_workers_and_epochs() -> None:
    store, _ = filled(60)
    dataset = WindowIterableDataset(store, 3, unit="row", batch_size=16)
    loader = loader_of(dataset, 2, "fork", batch_size=None)
    seen = []
    for _ in range(2):
        seen += [windows_of(batch) for batch, _ in zip(loader, range(4), strict=False)]
    assert len({tuple(windows) for windows in seen}) == 8


def test_an_iterable_dataset_resumes() -> None:
    store, _ = filled(60)
    arguments: dict[str, Any] = {"unit": "row", "batch_size": 5, "replacement": False}
    dataset = WindowIterableDataset(store, 3, **arguments)
    all_windows(DataLoader(dataset, batch_size=None))
    batches = iter(dataset)
    next(batches)
    state = dataset.state_dict()
    expected = [windows_of(batch) for batch in batches]
    resumed = WindowIterableDataset(store, 3, **arguments)
    resumed.load_state_dict(state)
    assert [windows_of(batch) for batch in resumed] == expected


@pytest.mark.parametrize("method", [None, "fork", "spawn"])
def test_a_resumed_dataset_goes_on_with_the_epoch_after(method: str | None) -> None:
    store, _ = filled(60)
    arguments: dict[str, Any] = {"unit": "row", "batch_size": 5, "replacement": False}
    dataset = WindowIterableDataset(store, 3, **arguments)
    all_windows(dataset)
    batches = iter(dataset)
    next(batches)
    state = dataset.state_dict()
    rest, after = all_windows(batches), all_windows(dataset)
    resumed = WindowIterableDataset(store, 3, **arguments)
    resumed.load_state_dict(state)
    loader = loader_of(resumed, 0 if method is None else 1, method, batch_size=None)
    assert all_windows(loader) == rest
    assert all_windows(loader) == after


def keep_state(folder: Path, worker: int) -> None:
    (folder / f"{worker}.json").write_text(json.dumps(get_worker_info().dataset.state_dict()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_has_a_state_of_its_own_before_its_first_epoch(
    tmp_path: Path, method: str
) -> None:
    store, _ = stored("path", tmp_path)
    dataset = WindowIterableDataset(store, 3, unit="row", batch_size=4, replacement=False)
    keep = partial(keep_state, tmp_path)
    all_windows(loader_of(dataset, 2, method, batch_size=None, worker_init_fn=keep))
    for worker in range(2):
        state = json.loads((tmp_path / f"{worker}.json").read_text())
        assert (state["world_size"], state["batches"]) == (2, 0)


@pytest.mark.parametrize("replacement", [True, False])
def test_epochs_go_on_behind_the_last_that_can_be_chosen(replacement: bool) -> None:
    store, _ = filled(10)
    dataset = WindowIterableDataset(store, 3, unit="row", replacement=replacement)
    dataset.set_epoch(2**22 - 1)
    for epoch in (2**22 - 1, 2**22, 2**22 + 1):
        next(iter(dataset))
        assert dataset.state_dict()["epoch"] == epoch


def test_wrong_arguments_are_named_at_once() -> None:
    store, _ = filled(10)
    for kind in (WindowDataset, WindowIterableDataset):
        with pytest.raises(ValueError, match="unit must be"):
            kind(store, 3, unit="rows")  # type: ignore[operator]
        with pytest.raises(ValueError, match="Unknown field 'nope'"):
            kind(store, 3, unit="row", segment_by="nope")  # type: ignore[operator]
    with pytest.raises(ValueError, match="both rank and world_size"):
        WindowIterableDataset(store, 3, rank=1)
    with pytest.raises(ValueError, match="epoch"):
        WindowIterableDataset(store, 3).set_epoch(-1)


# --- processes ---


def test_importing_stream_store_imports_no_torch() -> None:
    script = "import sys, stream_store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


DISTRIBUTED = """
import json, sys
import torch.distributed as dist
from torch.utils.data import DataLoader
from stream_store import StreamStore
from stream_store.torch import WindowIterableDataset

rank, path, port = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if __name__ == "__main__":
    dist.init_process_group("gloo", init_method=f"file://{port}", rank=rank, world_size=2)
    store = StreamStore(path, "r")
    dataset = WindowIterableDataset(store, 3, unit="row", batch_size=4, replacement=False, seed=1)
    loader = DataLoader(dataset, batch_size=None)
    epochs = [[b["_step"][:, 0].tolist() for b in loader] for _ in range(2)]
    everybody = [None, None]
    dist.all_gather_object(everybody, epochs)
    if rank == 0:
        print(json.dumps(everybody))
    dist.destroy_process_group()
"""


def test_two_ranks_of_a_process_group_share_epochs(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append(store, make_rows(np.random.default_rng(0), 60))
    script = tmp_path / "ranks.py"
    script.write_text(DISTRIBUTED)
    command = [sys.executable, str(script)]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "s"), str(tmp_path / "group")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [rank.communicate()[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    for epoch in zip(*json.loads(outputs[0].splitlines()[-1]), strict=True):
        starts = [start for rank in epoch for batch in rank for start in batch]
        assert sorted(starts) == list(range(58))


def test_no_descriptor_and_no_memory_is_lost_over_many_batches() -> None:
    store, _ = filled(300)
    dataset = WindowDataset(store, 3, unit="row", segment_by="episode", fields=["obs", "done"])
    sampler = WindowSampler(store, 3, unit="row", batch_size=8, segment_by="episode")
    numbers = np.arange(8)

    def work(batches: int) -> tuple[int, int]:
        for _ in range(batches):
            dataset.__getitems__(numbers)  # type: ignore[arg-type]
            sampler.sample()
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return descriptors, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = work(3000)
    after = work(30_000)
    assert after[0] == before[0]
    assert after[1] - before[1] < 4096  # KiB


def test_a_temporary_store_reaches_workers_while_its_writer_goes_on() -> None:
    store = StreamStore(fields={"x": "int64"})
    store.extend({"x": np.arange(100)})
    dataset = WindowIterableDataset(store, 1, unit="row", batch_size=512)
    loader = loader_of(dataset, 1, "spawn", batch_size=None, prefetch_factor=2)
    batches = iter(loader)
    next(batches)
    store.extend({"x": np.arange(100, 100_000)})
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if int(next(batches)["x"].max()) > 100:
            return
    pytest.fail("the worker never saw what was appended")


def test_epochs_count_batches_over_workers_exactly() -> None:
    store, _ = filled(60)
    dataset = WindowDataset(store, 4)
    loader = loader_of(dataset, 2, "fork", batch_size=6, drop_last=False)
    counts = Counter(tuple(row) for batch in loader for row in batch["step"].tolist())
    assert sum(counts.values()) == len(dataset)
