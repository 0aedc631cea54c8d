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
        ({"unit": None}, "unit"),
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
