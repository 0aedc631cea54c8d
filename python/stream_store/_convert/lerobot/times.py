"""Times of rows: a check that they are regular, and frames of the latest rows at regular times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife

_OPERATION = "to_lerobot"
STEP = "_step"  # the name that batches use for the step


@dataclass(frozen=True)
class Clock:
    """How the time of a row is read.

    Attributes:
        field: a field, or "_step" for the step.
        unit: seconds per unit.
    """

    field: str
    unit: float

    def read(self, view: StoreLife, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The raw times of rows: int64, or float64.

        Raises:
            ValueError: a row has none, or one that is not finite.
        """
        if self.field == STEP:
            return np.asarray(view.read_rows(rows, fields=())["_step"])
        read = view.read_rows(rows, fields=[self.field])
        missing = ~read["_mask"][self.field]
        values = read[self.field]
        if missing.any():
            raise ValueError(
                f"{_OPERATION}: time_field={self.field!r}: row {rows[np.argmax(missing)]} "
                "has no time"
            )
        if values.dtype.kind == "f":
            odd = ~np.isfinite(values)
            if odd.any():
                at = int(np.argmax(odd))
                raise ValueError(
                    f"{_OPERATION}: time_field={self.field!r}: row {rows[at]} has the time "
                    f"{values[at]}; expected a finite number of seconds"
                )
            return np.asarray(values, np.float64)
        return np.asarray(values.astype(np.int64) if values.dtype.kind in "Mm" else values)

    def seconds(self, times: NDArray[Any], origin: Any) -> NDArray[np.float64]:
        """Seconds since an origin, exact for int times: the difference is taken first."""
        return np.asarray((times - origin).astype(np.float64) * self.unit)


def make_clock(view: StoreLife, field: str | None, unit: float) -> Clock | None:
    """The clock of a field.

    Raises:
        ValueError: the field is unknown, or does not hold times.
    """
    if field is None:
        return None
    if not unit > 0:
        raise ValueError(f"{_OPERATION}: time_unit={unit!r}: expected seconds per unit")
    if field == STEP:
        return Clock(STEP, float(unit))
    specs = {spec.name: spec for spec in declared_fields(view).specs if not spec.hidden}
    if field not in specs:
        raise ValueError(
            f"{_OPERATION}: time_field={field!r}: expected a field, or '_step' for the step; the "
            f"fields are {', '.join(specs)}"
        )
    spec = specs[field]
    scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    if not spec.shape and not spec.nested:
        if spec.info.kind == "float":
            return Clock(field, 1.0)
        if spec.info.kind in ("int", "uint"):
            return Clock(field, float(unit))
        if spec.info.kind in ("timestamp", "time", "duration"):
            return Clock(field, scale[spec.unit or "ns"])
    raise ValueError(
        f"{_OPERATION}: time_field={field!r}: expected a float field in seconds, an int field or "
        f"one of times, but it is {spec.text}"
    )


def require_regular(
    seconds: NDArray[np.float64],
    first_frame: int,
    rows: NDArray[np.int64],
    fps: int,
    tolerance: float,
) -> None:
    """Refuse times that differ from frame / fps.

    Args:
        seconds: times of rows since the episode began.
        first_frame: frame of the first of them.
        rows: their numbers, for the message.
        fps: frames per second.
        tolerance: in seconds.
    """
    expected = (first_frame + np.arange(len(seconds))) / fps
    wrong = np.flatnonzero(~(np.abs(seconds - expected) <= tolerance))
    if len(wrong):
        shown = ", ".join(
            f"row {rows[i]} at {seconds[i]:.6f} s instead of {expected[i]:.6f} s" for i in wrong[:3]
        )
        raise ValueError(
            f"{_OPERATION}: the times are not regular at fps={fps}: {shown} since the episode "
            "began. Give the right fps or a greater tolerance, or resample='latest'"
        )
