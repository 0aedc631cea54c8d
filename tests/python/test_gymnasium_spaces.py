"""Refused Gymnasium spaces: the error names the space and says how to declare it."""

from __future__ import annotations

from typing import Any

import pytest

from stream_store.features import parse_fields

spaces = pytest.importorskip("gymnasium").spaces


class OwnSpace(spaces.Space):
    """A space that Gymnasium does not have."""


class OwnSequence(spaces.Sequence):
    """A subclass of a space that is refused."""


def refusal(space: Any) -> str:
    with pytest.raises(ValueError, match="field 'x': ") as caught:
        parse_fields({"x": space})
    return str(caught.value)


def test_the_error_lists_the_supported_spaces() -> None:
    supported = "expected Box, Dict, Discrete, MultiBinary, MultiDiscrete or Text"
    assert f"the Gymnasium space Tuple; {supported}" in refusal(spaces.Tuple([spaces.Discrete(2)]))


def test_a_users_own_space_has_the_name_of_its_class() -> None:
    assert "the Gymnasium space OwnSpace; expected" in refusal(OwnSpace())
    assert "the Gymnasium space OwnSequence; expected" in refusal(OwnSequence(spaces.Discrete(4)))


@pytest.mark.parametrize(
    ("item", "declaration"),
    [
        (spaces.Box(-1, 1, ()), "float32[]"),
        (spaces.Box(-1, 1, (3,)), "float32[None,3]"),
        (spaces.Discrete(4), "int64[]"),
        (spaces.MultiBinary(2), "int8[None,2]"),
        (spaces.Text(4), "float32[]"),  # a list of texts cannot be stored: an example
    ],
)
def test_a_sequence_is_a_list_of_varying_length(item: Any, declaration: str) -> None:
    assert refusal(spaces.Sequence(item)).endswith(f"such as {declaration!r}")
    parse_fields({"x": declaration})
