"""Episodes of a store of several environments, whose rows are interleaved.

`RecordVectorToStore` writes such a store: the rows of one environment, a lane, have the same number
in the field `env`. A lane is cut into episodes on its own, as `lane_by` and `segment_by` of a
sampler do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._fields import declared_fields
from stream_store._segment_cuts import CutState, find_cuts, find_interleaved, interleaved_text
from stream_store._store_life import StoreLife
from stream_store.features.names import batch_key

from .residency import row_parts

#: The field in which `RecordVectorToStore` writes the number of the environment.
ENV = "env"

_BLOCK_ROWS = 1 << 15


def lane_fields(
    view: StoreLife, lane_by: str | Sequence[str] | None, by: Sequence[str], operation: str
) -> list[str]:
    """The fields that name the lane of a row; none if all rows are one lane.

    Args:
        view: a snapshot.
        lane_by: the argument; None takes the field `env`, if the store has such an int field.
        by: the fields that cut episodes.
        operation: for messages.

    Raises:
        ValueError: a field is unknown, or it is not an int field.
    """
    ints = [
        spec.name
        for spec in declared_fields(view).specs
        if not spec.hidden and not spec.shape and spec.info.kind in ("int", "uint")
    ]
    if lane_by is None:
        return [ENV] if ENV in ints and ENV not in by and by else []
    names = [lane_by] if isinstance(lane_by, str) else list(lane_by)
    for name in names:
        if name not in ints:
            raise ValueError(
                f"{operation}: lane_by={name!r}: expected an int field that has the number of the "
                f"environment; the int fields are {', '.join(map(repr, ints)) or 'none'}"
            )
    return names


def episodes_by_lane(
    view: StoreLife, by: Sequence[str], lanes: Sequence[str]
) -> list[tuple[int, NDArray[np.int64]]]:
    """The number of the lane and the rows of each episode, in the order of their first rows.

    Memory: about 40 bytes for each row, while the episodes are looked for, and then 8 bytes.
    """
    read = _columns(view, [*dict.fromkeys([*lanes, *by])])
    lane = _lane_numbers([read[name] for name in lanes])
    order = np.argsort(lane, kind="stable")
    starts = np.flatnonzero(np.diff(lane[order], prepend=-1))
    found: list[tuple[int, NDArray[np.int64]]] = []
    for number, rows in enumerate(np.split(order, starts[1:])):
        begins: list[int] = []
        if by:
            cutting = [(read[name][0][rows], read[name][1][rows]) for name in by]
            begins = find_cuts(cutting, CutState())[0].tolist()
        found += [(number, part) for part in np.split(rows + view.first_row, begins)]
    return sorted(found, key=lambda one: int(one[1][0]))


def require_whole(view: StoreLife, by: Sequence[str], starts: Sequence[int], where: str) -> None:
    """Refuse segments of interleaved episodes, which are not episodes.

    Raises:
        ValueError: see `find_interleaved`.
    """
    twice = find_interleaved(view, by[0], starts) if len(by) == 1 else None
    if twice is not None:
        raise ValueError(
            f"{where}: {interleaved_text(view, by[0], twice)}. Pass lane_by= (the command: -o "
            "lane_by=FIELD), the int field with the number of the environment; lane_by=() takes "
            "each change of the value as a new episode"
        )


def _columns(
    view: StoreLife, names: Sequence[str]
) -> dict[str, tuple[NDArray[Any], NDArray[np.bool_]]]:
    """The values of fields in all rows, and where they are present."""
    values: dict[str, list[Any]] = {name: [] for name in names}
    masks: dict[str, list[Any]] = {name: [] for name in names}
    for rows in row_parts(view, _BLOCK_ROWS):
        batch = view.read_rows(rows, fields=names)
        for name in names:
            values[name].append(batch[batch_key(name)])
            masks[name].append(batch["_mask"][batch_key(name)])
    return {name: (np.concatenate(values[name]), np.concatenate(masks[name])) for name in names}


def _lane_numbers(
    columns: Sequence[tuple[NDArray[Any], NDArray[np.bool_]]],
) -> NDArray[np.int64]:
    """A number from 0 for each combination of values; a missing value is one of them."""
    lane = np.zeros(len(columns[0][0]), np.int64)
    for values, mask in columns:
        for part in (np.where(mask, values, values.dtype.type(0)), mask):
            _, inverse = np.unique(part, return_inverse=True)
            lane = np.unique(lane * (int(inverse.max()) + 1) + inverse, return_inverse=True)[1]
    return lane
