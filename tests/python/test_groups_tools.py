"""Groups in the command line, as datasets, in verify and in torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_helpers import cli_output
from group_model import FIELDS, LENGTH, check, fill, new_group, starts_of, write
from store_helpers import data_file, flip
from stream_store import Priorities, StoreGroup, WindowSampler


@pytest.fixture
def place(tmp_path: Path) -> Path:
    group = new_group(tmp_path)
    for who in range(3):
        write(group, who, 10 * (who + 1))
    return tmp_path / "group"


# --- the command line ---


def test_info_lists_the_stores_of_a_group(place: Path) -> None:
    with StoreGroup(place).writer("writer001") as store:
        store.drop_before(5)
        facts = json.loads(cli_output("info", place, "--json")[0])
        text = cli_output("info", place)[0]
    assert facts["fields"] == list(FIELDS)
    assert facts["kept_rows"] == 55
    found = {one["name"]: (one["state"], one["rows"], one["first_row"]) for one in facts["stores"]}
    assert found == {
        "writer000": ("closed", 10, 0),
        "writer001": ("live", 20, 5),
        "writer002": ("closed", 30, 0),
    }
    assert "a group of 3 stores, 1 with a writer; 55 rows" in text
    assert "writer002" in text
    _, error = cli_output("info", place, "--by", "done", code=2)
    assert "--by is for a store" in error


def test_info_names_a_store_that_is_left_out(place: Path) -> None:
    (place / "writer001" / "schema").write_bytes(b"")
    out, error = cli_output("info", place)
    assert "a group of 2 stores" in out
    assert "writer001 is left out" in error


def test_follow_shows_the_rows_of_all_stores(place: Path) -> None:
    out, _ = cli_output("follow", place, "--rows", 2, "--idle", 0, "--json", "-f", "n")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["store"], row["row"]) for row in rows] == [
        (f"writer00{who}", number) for who in range(3) for number in (10 * who + 8, 10 * who + 9)
    ]
    assert rows[0]["values"] == {"n": 8}
    out, _ = cli_output("follow", place, "--rows", 1, "--idle", 0)
    assert out.splitlines()[0].startswith("writer000 9 (step 9): who=0, n=9")
    _, error = cli_output("follow", place, "--idle", 0, "-f", "other", code=2)
    assert "Unknown field 'other'" in error


def test_verify_checks_each_store(place: Path) -> None:
    out, _ = cli_output("verify", place)
    assert out.splitlines() == [
        f"writer00{who}: no damage; {10 * (who + 1)} of {10 * (who + 1)} rows are good"
        for who in range(3)
    ]
    flip(place / "writer001", "values", 17)
    out, _ = cli_output("verify", place, code=1)
    assert "writer000: no damage" in out
    assert "writer001: 1 findings of damage" in out
    reports = StoreGroup(place).verify()
    assert {name: report.ok for name, report in reports.items()} == {
        "writer000": True,
        "writer001": False,
        "writer002": True,
    }
    assert set(json.loads(cli_output("verify", place, "--json", code=1)[0])) == set(reports)
    data_file(place / "writer002", "records").unlink()
    with pytest.warns(RuntimeWarning, match="writer002"):
        group = StoreGroup(place)
    assert not group.verify()["writer002"].ok


# --- datasets ---


def test_a_dataset_has_the_rows_of_all_stores(place: Path) -> None:
    pytest.importorskip("datasets")
    group = StoreGroup(place)
    with group.writer("writer001") as store:
        store.add_fields({"more": "int8"})
    dataset = group.to_dataset("train", step_column="step", store_column="store")
    assert dataset.column_names == ["step", *FIELDS, "store"]
    assert str(dataset.split) == "train"
    expected = [(who, n) for who in range(3) for n in range(10 * (who + 1))]
    assert list(zip(dataset["who"], dataset["n"], strict=True)) == expected
    assert dataset["store"] == [f"writer00{who}" for who, _ in expected]
    assert list(dataset["step"]) == [n for _, n in expected]
    with pytest.raises(ValueError, match="store_column 'n'"):
        group.to_dataset(store_column="n")


def test_the_dataset_of_a_group_without_stores_has_its_features(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    dataset = new_group(tmp_path).to_dataset(store_column="store")
    assert (dataset.num_rows, dataset.column_names) == (0, [*FIELDS, "store"])


# --- torch ---


def test_torch_datasets_take_a_group(place: Path) -> None:
    pytest.importorskip("torch")
    from stream_store.torch import WindowDataset, WindowIterableDataset

    group = StoreGroup(place)
    windows = WindowDataset(group, LENGTH, unit="row", segment_by="done")
    total = sum(starts_of(10 * (who + 1)) for who in range(3))
    assert len(windows) == total
    found = sorted(
        (int(one["who"][0]), int(one["n"][0])) for one in map(windows.__getitem__, range(total))
    )
    assert found == [
        (who, n) for who in range(3) for n in range(10 * (who + 1)) if n % 10 <= 10 - LENGTH
    ]
    write(group, 3, 10)
    assert len(windows) == total
    assert windows.refresh() == total + starts_of(10)
    epoch = WindowIterableDataset(
        group, LENGTH, unit="row", segment_by="done", batch_size=8, replacement=False
    )
    assert sum(len(batch["who"]) for batch in epoch) == total + starts_of(10)


def test_workers_read_windows_of_stores_that_came_later(place: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    from stream_store.torch import DrawnWindowDataset, WindowBatchSampler

    group = StoreGroup(place)
    sampler = WindowSampler(
        group, LENGTH, batch_size=16, segment_by="done", priorities=Priorities(), seed=1
    )
    dataset = DrawnWindowDataset(sampler)
    batches = WindowBatchSampler(sampler, num_batches=12)
    loader = DataLoader(
        dataset, batch_sampler=batches, num_workers=2, multiprocessing_context="fork"
    )
    writers: set[int] = set()
    for who in (3, 4):
        for number, batch in enumerate(loader):
            plain: dict[str, Any] = {
                name: np.asarray(value) for name, value in batch.items() if torch.is_tensor(value)
            }
            check(plain)
            assert (plain["_index"] >> 48 == plain["_store"]).all()
            # Equal numbers mean the same store in this process.
            assert (sampler.read(plain["_index"])["who"] == plain["who"]).all()
            sampler.update(plain["_index"], np.ones(16))
            writers |= set(plain["who"][:, 0].tolist())
            if number == 3:
                # Sorts before the others, so that a new sampler would give it another number.
                with group.writer(f"a{who}") as store:
                    fill(store, who, 100)
    assert writers >= {0, 1, 2, 3}
    one = dataset[int(sampler.sample()["_index"][0])]
    assert one["who"].shape == (LENGTH,)
