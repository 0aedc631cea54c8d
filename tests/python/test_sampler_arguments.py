"""WindowSampler refuses invalid arguments by name."""

from __future__ import annotations

from typing import Any

import pytest

from sampler_model import (
    filled,
)
from stream_store import StreamStore, WindowSampler

# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"length": 0}, "length must be an int, 1 or more"),
        ({"length": 1.5}, "length"),
        ({"length": True}, "length"),
        ({"length": "3"}, "length"),
        ({"unit": "rows"}, "unit must be 'value' or 'row'"),
        ({"unit": 1}, "unit"),
        ({"align": "step"}, "align must be 'any' or 'row'"),
        ({"pad": "both"}, "pad must be None or 'right' or 'left'"),
        ({"pad": True}, "pad"),
        ({"batch_size": 0}, "batch_size"),
        ({"lanes": 0}, "lanes"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, r"seed must be an int, in \[0, 9223372036854775808\)"),
        ({"replacement": "no"}, "replacement must be True or False"),
        ({"drop_last": 1}, "drop_last"),
        ({"rank": 2, "world_size": 2}, r"rank must be an int, in \[0, 2\)"),
        ({"world_size": 0}, "world_size"),
        ({"rows": 5}, r"rows must be \(start, stop\)"),
        ({"rows": (1, 2, 3)}, "rows"),
        ({"rows": (1.5, None)}, "rows"),
        ({"rows": (2**70, None)}, "rows"),
        ({"segment_by": "nope"}, "Unknown field 'nope'; the fields are episode"),
        ({"segment_by": "obs"}, "segments: .*'obs' is float32"),
        ({"segment_by": ["episode", "done"]}, "segments"),
        ({"segment_by": []}, "segment_by must name at least one"),
        ({"segment_by": 5}, "segment_by"),
        ({"fields": ["nope"]}, "Unknown field 'nope'"),
        ({"fields": "obs"}, "fields must be a list of names"),
        ({"columns": ["values"]}, "columns is for unit='value'"),
        ({"max_length": {"nope": 3}}, "max_length.*nope"),
        ({"max_length": {"obs": 3}}, "max_length.*obs"),
        ({"max_length": {"items": -1}}, "max_length"),
        ({"max_length": 3}, "max_length"),
        ({"unit": "value", "pad": "right"}, "pad is for unit='row'"),
        ({"unit": "value", "lanes": 2}, "lanes is for unit='row'"),
        ({"unit": "value", "fields": ["obs"]}, "fields is for unit='row'"),
        ({"unit": "value", "lane_by": "episode"}, "lane_by is for unit='row'"),
        ({"unit": "value", "exclude": [[0, 1]]}, "exclude is for unit='row'"),
        ({"lane_by": "obs"}, "lane_by: expected int fields of one value each, .*'obs' is float32"),
        ({"lane_by": "nope"}, "Unknown field 'nope'"),
        ({"lane_by": ["episode", "episode"]}, "lane_by: expected different fields"),
        ({"lane_by": []}, "lane_by must name at least one"),
        ({"lane_by": "episode", "lanes": 2}, "expected lane_by or lanes, but both were given"),
        ({"where": "episode"}, "where: expected a bool field of one value, .*'episode' is int32"),
        ({"where": ["done"]}, "where must be the name of a field"),
        ({"exclude": [[5, 3]]}, r"exclude: expected rising ranges .* range 0 is \[5, 3\)"),
        ({"exclude": [[0, 4], [3, 6]]}, r"range 1 is \[3, 6\) after one that ends at 4"),
        ({"exclude": [[4, 6], [0, 2]]}, r"range 1 is \[0, 2\) after one that ends at 6"),
        ({"exclude": [[-2, 2]]}, "exclude: expected rising ranges"),
        ({"exclude": [1, 2]}, r"exclude must be an array of ints of shape \(n, 2\)"),
        ({"exclude": [[1.0, 2.0]]}, "exclude must be an array of ints"),
        ({"exclude": "rows"}, "exclude must be an array of ints"),
        ({"require": "nope"}, "nope"),
        ({"require": 3}, "require must be a name or a list of names"),
        ({"offsets": {"obs": [0]}}, "length must be left out if offsets are given"),
        ({"length": None}, "length is missing"),
        ({"length": None, "offsets": {}}, "offsets must be a mapping of fields"),
        ({"length": None, "offsets": {"obs": []}}, "offsets of field 'obs' must be at least one"),
        ({"length": None, "offsets": {"obs": [0.5]}}, "offsets of field 'obs' must be an int"),
        (
            {"length": None, "offsets": {"obs": [2**31]}},
            "offsets of field 'obs' must be an int, in",
        ),
        ({"length": None, "offsets": {"obs": 3}}, "offsets of field 'obs' must be a list of ints"),
        ({"length": None, "offsets": {"nope": [0]}}, "nope"),
        ({"length": None, "offsets": {"obs": [0]}, "pad": "left"}, "expected offsets or pad"),
        ({"length": None, "offsets": {"obs": [0]}, "fields": ["obs"]}, "fields must be left out"),
        ({"length": None, "offsets": {"obs": [0]}, "outside": "wrap"}, "outside must be 'skip'"),
        ({"outside": "edge"}, "outside: expected offsets"),
        ({"whole_segments": True}, "whole_segments: expected segment_by"),
        ({"whole_segments": True, "segment_by": "done", "pad": "left"}, "pad or whole_segments"),
        ({"whole_segments": 1}, "whole_segments must be True or False"),
        ({"unit": "value", "columns": ["nope"]}, "unknown column 'nope'; the columns are 'values'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], match: str) -> None:
    store, _ = filled()
    with pytest.raises(ValueError, match=match):
        WindowSampler(store, **{"length": 3, "unit": "row", **arguments})


def test_what_is_no_store_is_refused() -> None:
    for wrong in (None, 5, "path", [1], {"a": 1}):
        with pytest.raises(TypeError, match="StreamStore"):
            WindowSampler(wrong, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one"):
        WindowSampler([], 3)
    with pytest.raises(ValueError, match="define_fields"):
        WindowSampler(StreamStore(), 3)


def test_calls_that_do_not_fit_are_refused() -> None:
    store, _ = filled()
    with pytest.raises(ValueError, match="with replacement"):
        WindowSampler(store, 3, replacement=False).sample()
    with pytest.raises(ValueError, match=r"ahead must be an int, in \[1, 65537\)"):
        WindowSampler(store, 3).prefetch(2**40)  # would draw until memory is exhausted
    with pytest.raises(ValueError, match="ahead"):
        WindowSampler(store, 3).prefetch(0)
    with pytest.raises(ValueError, match="timeout"):
        WindowSampler(store, 3).wait(-1)
    with pytest.raises(ValueError, match="timeout must be seconds, 0 or more, or None, not 'a'"):
        WindowSampler(store, 3).wait("a")  # type: ignore[arg-type]
    tooshort = WindowSampler(store, 100, unit="row", segment_by="episode")
    for call in (tooshort.sample, lambda: next(iter(tooshort))):
        with pytest.raises(ValueError, match="60 rows"):
            call()
