"""Gymnasium spaces as features. Spaces are recognised by name, so Gymnasium is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .nodes import RAGGED, Json, shaped_json, value_json
from .numpy_dtypes import value_of_dtype


def space_struct(name: str, space: Any) -> Mapping[str, Any] | None:
    """The fields of a space that is a struct, with spaces or strings as features; else None.

    A Tuple has the fields "0", "1" and so on, a Graph those of a `GraphInstance`.
    """
    if name == "Dict":
        spaces: Mapping[str, Any] = space.spaces
        return spaces
    if name == "Tuple":
        return {str(place): item for place, item in enumerate(space.spaces)}
    if name == "Graph":
        nodes = {"nodes": Rows(space.node_space)}
        edges = {} if space.edge_space is None else {"edges": Rows(space.edge_space)}
        return {**nodes, **edges, "edge_links": "int64[None,2]"}
    return None


class Rows:
    """Any number of elements of a space, stacked: the nodes of a graph."""

    def __init__(self, space: Any) -> None:
        self.space = space


def space_json(name: str, space: Any) -> Json | None:
    """A space of fixed shape as an array feature; None for a space that is not one."""
    if name == "Discrete":
        return value_json("int64")
    if name == "MultiDiscrete":
        return shaped_json("int64", tuple(space.shape))
    if name == "MultiBinary":
        return shaped_json("int8", tuple(space.shape))
    if name == "Box":
        return shaped_json(value_of_dtype(space.dtype), tuple(space.shape))
    if name == "Text":
        return value_json("string")
    return None


def rows_json(space: Any) -> Json:
    """Any number of elements of a Box or Discrete space, stacked along a new first dimension."""
    if hasattr(space, "n"):
        return shaped_json("int64", (RAGGED,))
    return shaped_json(value_of_dtype(space.dtype), (RAGGED, *space.shape))


def is_image(name: str, space: Any) -> bool:
    """Whether a space is packed unless declared otherwise: bytes of two or more dimensions."""
    return name == "Box" and space.dtype == np.uint8 and len(space.shape) >= 2


def refused_space(space: Any) -> ValueError:
    return ValueError(
        f"the Gymnasium space {type(space).__name__}; expected Box, Dict, Discrete, Graph, "
        "MultiBinary, MultiDiscrete, Sequence, Text or Tuple. "
        "Declare its parts as fields, or as a dict (a struct)"
    )
