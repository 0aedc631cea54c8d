"""Spaces of Gymnasium as Minari writes them to JSON, without Gymnasium."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LEAST_IMAGE = 32  # smaller images are not compressed


@dataclass(frozen=True)
class Space:
    """A space.

    Attributes:
        kind: "Box", "Discrete", "MultiDiscrete", "MultiBinary", "Text", "Dict" or "Tuple".
        shape: of a sample.
        dtype: of a sample; empty for others than numbers.
        is_image: whether Minari compresses its samples as JPEG, if that is on.
        parts: of a Dict or a Tuple, whose parts are called "0", "1", and so on.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    is_image: bool = False
    parts: Mapping[str, Space] = field(default_factory=dict)


def parse_space(text: Any, where: str) -> Space:
    """Parse a space.

    Raises:
        ValueError: Minari does not write it.

    Examples:
        >>> from stream_store._convert.minari.spaces import parse_space
        >>> parse_space('{"type": "Discrete", "start": 0, "n": 2}', "here").dtype
        'int64'
    """
    try:
        return _space(json.loads(text) if isinstance(text, str) else text)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: expected a space of Gymnasium as JSON: {error!r}") from None


def _space(described: Mapping[str, Any]) -> Space:
    kind = described["type"]
    if kind == "Box":
        shape = tuple(described["shape"])
        return Space(kind, shape, described["dtype"], _is_image(described, shape))
    if kind == "Discrete":
        return Space(kind, (), "int64")
    if kind == "MultiDiscrete":
        return Space(kind, np.shape(described["nvec"]), described["dtype"])
    if kind == "MultiBinary":
        size = described["n"]
        return Space(kind, (size,) if isinstance(size, int) else tuple(size), "int8")
    if kind == "Text":
        return Space(kind)
    if kind == "Dict":
        parts = {name: _space(one) for name, one in described["subspaces"].items()}
        return Space(kind, parts=parts)
    if kind == "Tuple":
        return Space(
            kind, parts={str(i): _space(one) for i, one in enumerate(described["subspaces"])}
        )
    raise ValueError(f"the type {kind!r}")


def _is_image(described: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    return (
        len(shape) in (2, 3)
        and min(shape[:2]) >= _LEAST_IMAGE
        and described["dtype"] == "uint8"
        and bool(np.all(np.asarray(described["low"]) == 0))
        and bool(np.all(np.asarray(described["high"]) == 255))
    )


def box(dtype: np.dtype[Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """The JSON of a space of all values of a dtype: a Box, for bools another one."""
    if dtype.kind == "b" and not shape:
        return {"type": "Discrete", "dtype": "int64", "start": 0, "n": 2}
    if dtype.kind == "b":
        return {"type": "MultiBinary", "n": shape[0] if len(shape) == 1 else list(shape)}
    low: Any = -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)
    high: Any = np.inf if dtype.kind == "f" else int(np.iinfo(dtype).max)
    return {
        "type": "Box",
        "dtype": dtype.name,
        "shape": list(shape),
        "low": np.full(shape, low, dtype).tolist(),
        "high": np.full(shape, high, dtype).tolist(),
    }


def space_json(space: Any) -> Any:
    """A space as JSON: a space of Gymnasium, or JSON already.

    Raises:
        ValueError: Minari has no form for it, or a text is not JSON.
    """
    if isinstance(space, str):
        try:
            return json.loads(space)
        except ValueError:
            raise ValueError(
                f"expected a space of Gymnasium or its JSON, found {space!r:.100}"
            ) from None
    if isinstance(space, dict):  # a Dict space is a Mapping, too
        return space
    kind = type(space).__name__
    if kind == "Box":
        return {
            "type": kind,
            "dtype": str(space.dtype),
            "shape": list(space.shape),
            "low": space.low.tolist(),
            "high": space.high.tolist(),
        }
    if kind == "Discrete":
        return {"type": kind, "dtype": "int64", "start": int(space.start), "n": int(space.n)}
    if kind == "MultiDiscrete":
        return {
            "type": kind,
            "dtype": str(space.dtype),
            "nvec": space.nvec.tolist(),
            "start": space.start.tolist(),
        }
    if kind == "MultiBinary":
        return {"type": kind, "n": space.n if isinstance(space.n, int) else list(space.n)}
    if kind == "Text":
        return {
            "type": kind,
            "max_length": space.max_length,
            "min_length": space.min_length,
            "charset": space.characters,
        }
    if kind == "Dict":
        return {"type": kind, "subspaces": {name: space_json(one) for name, one in space.items()}}
    if kind == "Tuple":
        return {"type": kind, "subspaces": [space_json(one) for one in space]}
    raise ValueError(f"expected a space that Minari can store, found {space!r:.100}")
