"""Files of priorities, for WindowSampler.save_priorities() and load_priorities()."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._file_errors import naming

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

#: Version of the file. Other versions are refused.
_VERSION = 1

#: The id of the parent of a store that is not a copy.
_NO_ID = "0" * 32


def write_priorities(
    path: Path, ids: Sequence[str], parts: Sequence[tuple[int, npt.NDArray[np.float64]]]
) -> None:
    """Write the first row and the priorities of each store.

    A crash leaves the old file or the new one.
    """
    import tempfile  # here, because they import many others
    from pathlib import Path

    from ._outside import require_outside

    require_outside(path, "save_priorities")
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "version": np.array(_VERSION),
        "stores": np.array(list(ids)),
        "first_rows": np.array([first for first, _ in parts], np.int64),
    }
    arrays |= {f"priorities_{i}": numbers for i, (_, numbers) in enumerate(parts)}
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with naming(path, "save_priorities"), os.fdopen(descriptor, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_priorities(
    path: Path, expected: Sequence[set[str]], *, of_group: bool = False
) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """Read such a file. `expected` has the ids that each store may have in it.

    With `of_group`, the file may have its stores in another order, other ones that are ignored, and
    lack some, whose priorities are then empty. It must have at least one of them.

    Raises:
        ValueError: it is not such a file, or it is of other stores.
    """
    from zipfile import BadZipFile

    wrong = f"load_priorities: {path}: expected a file of save_priorities()"
    ids: list[str] = []
    first_rows: list[int] = []
    parts: list[npt.NDArray[np.float64]] = []
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            version = int(file["version"])
            if version == _VERSION:
                ids = [str(one) for one in file["stores"]]
                first_rows = [int(row) for row in file["first_rows"]]
                parts = [file[f"priorities_{i}"] for i in range(len(ids))]
    except (KeyError, TypeError, ValueError, AttributeError, EOFError, BadZipFile) as error:
        raise ValueError(f"{wrong}, but it is another file or damaged: {error}") from error
    if version != _VERSION:
        raise ValueError(f"{wrong} of version {_VERSION}, found version {version}")
    if len(ids) != len(expected) and not of_group:
        raise ValueError(
            f"load_priorities: {path}: expected the priorities of {len(expected)} stores, found "
            f"{len(ids)}"
        )
    for i, (one, some) in enumerate(zip(ids, expected, strict=not of_group)):
        accepted = some - {_NO_ID}
        if one not in accepted and not of_group:
            raise ValueError(
                f"load_priorities: {path}: the priorities are of another store: expected id "
                f"{' or '.join(sorted(accepted))} for store {i}, found {one}"
            )
    good = len(first_rows) == len(parts) and all(
        part.dtype == np.float64
        and part.ndim == 1
        and not (part < 0).any()
        and not np.isinf(part).any()
        and first >= 0
        for first, part in zip(first_rows, parts, strict=False)
    )
    if not good:
        raise ValueError(f"{wrong}, but its arrays are not priorities")
    found = [
        (first, np.ascontiguousarray(part)) for first, part in zip(first_rows, parts, strict=True)
    ]
    if not of_group:
        return found
    by_id = dict(zip(ids, found, strict=True))
    if ids and not any(by_id.keys() & some for some in expected):
        raise ValueError(
            f"load_priorities: {path}: the priorities are of other stores: none of the "
            f"{len(expected)} stores of the group is among the {len(ids)} of the file"
        )
    return [
        next((by_id[one] for one in some - {_NO_ID} if one in by_id), (0, np.empty(0)))
        for some in expected
    ]
