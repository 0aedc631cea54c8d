"""Type aliases that several modules share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: A batch of windows or rows: name -> array; see `WindowSampler` for the names.
Batch: TypeAlias = dict[str, Any]
#: A declaration of fields: names, or name -> feature.
Fields: TypeAlias = Sequence[str] | Mapping[str, Any]
#: One int.
Int: TypeAlias = int | np.integer[Any]
#: Many ints: a list (of lists …) of ints, a range, an int array or a tensor.
IntArray: TypeAlias = Sequence[Any] | NDArray[np.integer[Any]] | range
#: Ints of any shape.
Ints: TypeAlias = SupportsIndex | IntArray
#: Which row `row_at` finds.
Side: TypeAlias = Literal["left", "right", "backward", "nearest"]
#: A path in any form that the operating system takes.
AnyPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
#: Called with (bytes done, bytes in all) while a long call runs.
Progress: TypeAlias = Callable[[int, int], object]
