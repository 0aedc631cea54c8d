"""Gymnasium spaces as features: structs, lists of varying length, and refused spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore
from stream_store.features import parse_fields

spaces = pytest.importorskip("gymnasium").spaces


class OwnSpace(spaces.Space):
    """A space that Gymnasium does not have."""


class OwnSequence(spaces.Sequence):
    """A subclass of a space."""


def texts(space: Any) -> dict[str, str]:
    return {spec.name: spec.text for spec in parse_fields({"x": space})}


def refusal(space: Any) -> str:
    with pytest.raises(ValueError, match="field 'x': ") as caught:
        parse_fields({"x": space})
    return str(caught.value)


def test_the_error_lists_the_supported_spaces() -> None:
    supported = "Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Text or Tuple"
    one_of = spaces.OneOf([spaces.Discrete(2), spaces.Text(3)])
    assert f"the Gymnasium space OneOf; expected {supported}" in refusal(one_of)


def test_a_users_own_space_has_the_name_of_its_class() -> None:
    assert "the Gymnasium space OwnSpace; expected" in refusal(OwnSpace())
    assert texts(OwnSequence(spaces.Discrete(4))) == {"x": "int64[]"}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (spaces.Box(-1, 1, ()), "float32[]"),
        (spaces.Box(-1, 1, (3,)), "float32[None,3]"),
        (spaces.Discrete(4), "int64[]"),
        (spaces.MultiBinary(2), "int8[None,2]"),
        (spaces.Box(0, 255, (2, 2), np.uint8), "uint8[None,2,2]"),
        (spaces.Text(4), "nested list<string>"),
        (spaces.Sequence(spaces.Discrete(4)), "nested list<list<int64>>"),
        (spaces.Dict({"a": spaces.Discrete(4)}), "nested list<struct<a: int64>>"),
        (
            spaces.Tuple([spaces.Discrete(4), spaces.Text(2)]),
            "nested list<struct<0: int64, 1: string>>",
        ),
    ],
)
def test_a_sequence_is_a_list_of_varying_length(item: Any, text: str) -> None:
    assert texts(spaces.Sequence(item)) == {"x": text}


def test_a_tuple_is_a_struct_of_numbered_fields() -> None:
    space = spaces.Tuple([spaces.Discrete(2), spaces.Tuple([spaces.Box(-1, 1, (2,))])])
    assert texts(space) == {"x.0": "int64", "x.1.0": "float32[2]", "x": "struct", "x.1": "struct"}


def test_a_graph_is_a_struct_of_its_arrays() -> None:
    nodes, edges = spaces.Box(-1, 1, (3,)), spaces.Discrete(4)
    assert texts(spaces.Graph(nodes, edges)) == {
        "x.nodes": "float32[None,3]",
        "x.edges": "int64[]",
        "x.edge_links": "int64[None,2]",
        "x": "struct",
    }
    assert "x.edges" not in texts(spaces.Graph(nodes, None))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Tuple([spaces.Discrete(3), spaces.Dict({"a": spaces.Box(-1, 1, (2,))})]),
        spaces.Tuple([spaces.Tuple([spaces.Discrete(3)]), spaces.Text(3)]),
        spaces.Graph(spaces.Box(-1, 1, (3,)), spaces.Discrete(4)),
        spaces.Graph(spaces.Discrete(3), None),
        spaces.Sequence(spaces.Dict({"a": spaces.Text(3)})),
        spaces.Sequence(spaces.Box(-1, 1, (2,))),
        spaces.Dict({"image": spaces.Box(0, 255, (4, 4), np.uint8), "n": spaces.MultiBinary(3)}),
    ],
    ids=str,
)
def test_samples_of_a_space_are_appended_and_read(space: Any) -> None:
    store = StreamStore(fields={"x": space})
    space.seed(0)
    samples = [space.sample() for _ in range(10)]
    for sample in samples:
        store.append_step({"x": sample})
    for row, sample in enumerate(samples):
        assert plain(store.row(row)["x"]) == plain(sample)


def plain(value: Any) -> Any:
    """A sample, or its stored form, as dicts, lists and numbers; missing parts are left out."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif isinstance(value, tuple) and not all(np.ndim(item) for item in value):
        value = list(value)
    if isinstance(value, dict):
        parts = {name: plain(item) for name, item in value.items() if item is not None}
        return list(parts.values()) if list(parts) == [str(i) for i in range(len(parts))] else parts
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return np.asarray(value).tolist()
