"""Bad input of samplers with priorities: a message, and nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_store import Priorities
from test_priorities import make_sampler, make_store


@pytest.mark.parametrize(
    ("index", "priority", "message"),
    [
        ([1, 2], [1, -1], "finite priorities p of at least 0, .* but number 1 is -1"),
        ([1, 2], [1, np.nan], "number 1 is nan"),
        ([1, 2], [1, np.inf], "number 1 is inf"),
        ([1], 1e300, r"number 0 is 1e\+300"),
        ([1, 1 << 48], 1, "expected indices of 1 store but number 1, .* is of store 1"),
        ([1, -1], 1, "number 1, -1"),
        ([1, 99], 1, "row 99 of store 0, which is not the anchor of a window of this sampler"),
        ([1, 100], 1, "row 100"),
        ([1.0, 2.0], 1, "index must be ints, not float64"),
        (["a"], 1, "index must be ints"),
        ([True], 1, "index must be ints, not bool"),
        ([1, 2], [1, 2, 3], r"must have the shape of index, \(2,\), or be one number, found"),
        ([[1, 2]], [1, 2], r"must have the shape of index, \(1, 2\)"),
        ([1], ["a"], "priority must be numbers"),
        ([1], [1j], "priority must be numbers"),
        ([1], [None], "priority must be numbers"),
    ],
)
def test_a_bad_update_changes_nothing(index: Any, priority: Any, message: str) -> None:
    sampler = make_sampler(make_store(), 2, seed=1)
    same = make_sampler(make_store(), 2, seed=1)
    with pytest.raises(ValueError, match=message):
        sampler.update(index, priority)
    expected, found = same.sample(), sampler.sample()
    assert (found["_index"] == expected["_index"]).all()
    assert (found["_probability"] == expected["_probability"]).all()


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": -0.1},
        {"alpha": float("nan")},
        {"alpha": 101},
        {"alpha": 10**400},
        {"alpha": "1"},
        {"alpha": True},
        {"beta": -1},
        {"beta": float("inf")},
        {"eps": -1e-9},
        {"new": "min"},
        {"new": -1},
        {"new": float("inf")},
        {"normalize": "all"},
        {"stratified": 1},
        {"mix": 1.1},
        {"mix": -0.1},
    ],
)
def test_priorities_refuse(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Priorities(**options)


def test_priorities_are_compared_and_shown_by_value() -> None:
    single: Any = np.float32(2)
    assert Priorities(alpha=1, new=single) == Priorities(alpha=1.0, new=2)
    assert repr(Priorities(alpha=np.float64(1))).startswith("Priorities(alpha=1.0, beta=0.4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priorities": 3}, "priorities must be a Priorities or None, not 3"),
        ({"priorities": {}}, "priorities must be a Priorities"),
        ({"replacement": False}, "replacement"),
        ({"unit": "value"}, "priorities is for unit='row'"),
        ({"priorities": Priorities(alpha=100, new=1e50)}, "with eps 1e-06 and alpha 100"),
    ],
)
def test_a_sampler_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_sampler(make_store(), **options)


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("value", [-1, float("nan"), 101, "1", None])
def test_a_bad_power_changes_nothing(name: str, value: Any) -> None:
    sampler = make_sampler(make_store())
    with pytest.raises(ValueError, match=f"{name} must be a number from 0 to 100"):
        setattr(sampler, name, value)
    assert sampler.priorities == Priorities(alpha=1.0)


def test_an_alpha_that_makes_a_weight_infinite_is_refused() -> None:
    sampler = make_sampler(make_store())
    sampler.update([1], 1e100)
    with pytest.raises(ValueError, match=r"the largest priority, 1e\+100, has a weight"):
        sampler.alpha = 3
    assert sampler.alpha == 1
    sampler.alpha = 2
    assert (sampler.sample()["_index"] == 1).all()


def test_a_sampler_without_priorities_refuses_what_is_for_them() -> None:
    sampler = make_sampler(make_store(), priorities=None)
    assert sampler.priorities is None
    assert not {"_weight", "_probability"} & set(sampler.sample())
    for call in (
        lambda: sampler.update([1], 1),
        lambda: sampler.alpha,
        lambda: setattr(sampler, "beta", 1.0),
        lambda: sampler.save_priorities("file"),
        lambda: sampler.load_priorities("file"),
    ):
        with pytest.raises(ValueError, match="is for a sampler with priorities"):
            call()
