"""WindowSampler over several stores whose fields differ, because a field was added to some only."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from stream_store import StreamStore, WindowSampler

FIELDS = {"x": "int64", "arm": {"pos": "float32[2]"}}


def new_stores(folder: Path, count: int = 3) -> list[StreamStore]:
    stores = [StreamStore(folder / f"actor{i}", fields=FIELDS) for i in range(count)]
    for i, store in enumerate(stores):
        store.extend({"x": range(10 * i, 10 * i + 10)})
    return stores


def test_an_error_names_the_stores_and_the_fields_that_only_some_have(tmp_path: Path) -> None:
    stores = new_stores(tmp_path)
    stores[1].add_fields({"reward": "float32", "leg": {"bent": "bool"}})
    for order, lacks in (((0, 1, 2), 0), ((1, 0, 2), 0), ((2, 1), 2)):
        given = [stores[i] for i in order]
        text = re.escape(
            f"WindowSampler: expected stores with equal fields, but store {order.index(lacks)} "
            f"({tmp_path / f'actor{lacks}'}) has no field 'reward' and no field 'leg', which store "
            f"{order.index(1)} ({tmp_path / 'actor1'}) has; its writer can add it with add_fields()"
        )
        for arguments in ({}, {"unit": "row"}, {"unit": "row", "fields": ["x"]}):
            with pytest.raises(ValueError, match=text):
                WindowSampler(given, 2, **arguments)  # type: ignore[arg-type]
    for i in (0, 2):
        stores[i].add_fields({"reward": "float32", "leg": {"bent": "bool"}})
        stores[i].extend({"reward": [i], "leg": [{"bent": True}]})
    batch = WindowSampler(stores, 1, unit="row", batch_size=32, replacement=False)
    (found,) = batch
    assert found["_mask"]["reward"].sum() == found["leg"]["bent"].sum() == 2


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"x": "float32", "arm": FIELDS["arm"]}, "field 'x': float32, not int64"),
        ({"x": "int64", "arm": {"pos": "float32[3]"}}, r"field 'arm\.pos': float32\[3\], not"),
        ({"arm": FIELDS["arm"], "x": "int64"}, r"field 'arm\.pos', not 'x'"),
        ({"y": "int64", "arm": FIELDS["arm"]}, "'y'"),
        ({"x": "float32", **{name: "int8" for name in "abc"}}, "field 'x'"),
    ],
)
def test_an_error_names_the_first_field_that_differs(
    tmp_path: Path, other: dict[str, Any], text: str
) -> None:
    stores = [*new_stores(tmp_path, 2), StreamStore(fields=other)]
    for given in (stores, stores[::-1]):
        with pytest.raises(ValueError, match=r"store [02] \(temporary\)") as caught:
            WindowSampler(given, 2)
        assert "equal fields" in str(caught.value)
    with pytest.raises(ValueError, match=text):
        WindowSampler(stores[1:], 2)


def test_a_sampler_goes_on_while_one_store_after_the_other_gets_a_field(tmp_path: Path) -> None:
    stores = new_stores(tmp_path)
    sampler = WindowSampler(stores, 1, unit="row", batch_size=200)
    epochs = WindowSampler(stores, 1, unit="row", batch_size=8, replacement=False)
    for i in (2, 0, 1):
        stores[i].add_fields({"reward": "float32"})
        stores[i].extend({"x": [100 + i], "reward": [1.0]})
        batch = sampler.sample()
        assert {name for name in batch if name[0] != "_"} == {"x", "arm"}
        assert 100 + i in batch["x"]
        assert sum(len(part["x"]) for part in epochs) == sampler.num_starts
        if i != 1:  # a copy of a sampler is a new one
            with pytest.raises(ValueError, match="has no field 'reward', which"):
                pickle.loads(pickle.dumps(sampler))
    copy = pickle.loads(pickle.dumps(sampler))
    assert {name for name in copy.sample() if name[0] != "_"} == {"x", "arm"}


def test_stores_without_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="store 2 has no fields yet"):
        WindowSampler([*new_stores(tmp_path, 2), StreamStore()], 2)
