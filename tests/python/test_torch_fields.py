"""stream_store.torch with structs, and with fields whose values are not numbers of equal number."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import ConcatDataset, DataLoader  # noqa: E402

from stream_store import StreamStore, WindowSampler  # noqa: E402
from stream_store.torch import WindowDataset, WindowIterableDataset  # noqa: E402

FIELDS = {
    "obs": {"pos": "float32[2]", "in": {"tokens": "packed int32[]", "text": "packed string"}},
    "chat": "nested list<struct<role: string, words: list<string>>>",
    "blob": "packed binary",
    "price": "decimal128(9, 2)",
    "when": "timestamp[s]",
    "n": "int64",
}


def row_of(n: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "obs": {"pos": [n, -n], "in": {"tokens": list(range(n % 4)), "text": f"text {n}"}},
        "chat": [{"role": "user", "words": ["w"] * n}],
        "blob": bytes([n]) * n,
        "price": Decimal(n) / 4,
        "when": n,
        "n": n,
    }
    if n % 3 == 2:
        row |= {"chat": None, "blob": None, "obs": {"pos": None, "in": {"text": None}}}
    return row


@pytest.fixture
def store(tmp_path: Path) -> StreamStore:
    store = StreamStore(tmp_path / "run", fields=FIELDS)
    for n in range(8):
        store.append_step(row_of(n))
    return store


def check(batch: dict[str, Any], windows: list[list[int]]) -> None:
    """Compare a batch of windows with the rows that were appended."""
    rows = [[row_of(n) for n in window] for window in windows]

    def expected(*path: str, default: Any) -> list[list[Any]]:
        def at(row: Any) -> Any:
            for name in path:
                row = row and row.get(name)
            return default if row is None else row

        return [[at(row) for row in window] for window in rows]

    obs = batch["obs"]
    assert obs["pos"].tolist() == expected("obs", "pos", default=[0, 0])
    assert obs["pos"].dtype == torch.float32
    tokens = expected("obs", "in", "tokens", default=[])
    width = obs["in"]["tokens"].shape[2]
    padded = [[row + [0] * (width - len(row)) for row in window] for window in tokens]
    assert obs["in"]["tokens"].tolist() == padded
    lengths = batch["_length"]["obs"]["in"]["tokens"]
    assert lengths.tolist() == [[len(row) for row in window] for window in tokens]
    assert obs["in"]["text"] == expected("obs", "in", "text", default="")
    assert batch["chat"] == expected("chat", default=None)
    assert batch["blob"] == expected("blob", default=b"")
    assert batch["price"] == expected("price", default=Decimal(0))
    assert batch["when"].tolist() == windows
    assert batch["n"].tolist() == windows
    masks = batch["_mask"]
    assert masks["obs"]["pos"].tolist() == [[n % 3 != 2 for n in window] for window in windows]
    assert masks["chat"].tolist() == masks["blob"].tolist() == masks["obs"]["pos"].tolist()


WINDOWS = [[n, n + 1, n + 2] for n in range(6)]


def test_a_sample_has_tensors_lists_and_dicts(store: StreamStore) -> None:
    sample = WindowDataset(store, 3, unit="row")[4]
    assert isinstance(sample["obs"]["pos"], torch.Tensor)
    assert sample["obs"]["in"]["text"] == ["text 4", "", "text 6"]
    assert sample["chat"] == [row_of(n)["chat"] for n in (4, 5, 6)]
    assert sample["_mask"]["obs"]["pos"].tolist() == [True, False, True]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_loaders_collate_every_field(store: StreamStore, workers: int, one_by_one: bool) -> None:
    dataset: Any = WindowDataset(store, 3, unit="row")
    if one_by_one:
        dataset = ConcatDataset([dataset])  # it has no __getitems__
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    first, second = loader
    check(first, WINDOWS[:4])
    check(second, WINDOWS[4:])


@pytest.mark.parametrize("workers", [0, 2])
def test_streams_have_every_field(store: StreamStore, workers: int) -> None:
    dataset = WindowIterableDataset(store, 3, unit="row", batch_size=2, replacement=False)
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    seen = []
    for batch in loader:
        windows = batch["_step"].tolist()
        check(batch, windows)
        seen += windows
    assert sorted(seen) == WINDOWS


def test_structs_and_leaves_are_chosen_by_name(store: StreamStore) -> None:
    most = {"obs": {"in": {"tokens": 2}}}
    dataset = WindowDataset(store, 3, unit="row", fields=["obs", "obs.in.text"], max_length=most)
    (batch,) = DataLoader(dataset, batch_size=6)
    keys = ["_step", "_mask", "_length", "_valid", "_row", "_index", "_segment"]
    assert list(batch) == ["obs", "obs.in.text", *keys]
    assert batch["obs"]["in"]["tokens"].shape == (6, 3, 2)
    assert batch["obs.in.text"] == batch["obs"]["in"]["text"]


@pytest.mark.parametrize("pad", ["left", "right"])
def test_samplers_pad_windows_of_every_field(store: StreamStore, pad: Any) -> None:
    sampler = WindowSampler(store, 3, unit="row", batch_size=8, replacement=False, pad=pad)
    (batch,) = sampler
    valid = batch["_valid"]
    assert valid.sum() == 3 * 8 - 3
    empty = ~valid
    assert not batch["_mask"]["chat"][empty].any()
    assert set(batch["chat"][empty]) == {None}
    assert (batch["obs"]["in"]["tokens"][empty] == 0).all()
    assert (batch["_length"]["obs"]["in"]["tokens"][empty] == 0).all()
    texts = np.array(batch["obs"]["in"]["text"], object)
    assert set(texts[empty]) == {""}
    for place, n in zip(np.argwhere(valid), batch["n"][valid], strict=True):
        assert texts[tuple(place)] == (row_of(int(n))["obs"]["in"]["text"] or "")
        assert batch["chat"][tuple(place)] == row_of(int(n))["chat"]
