"""Helpers of the tests of StreamStore."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from stream_store import StreamStore

FIELDS = {"observation": "float64[]", "action": "int64", "reward": "float32", "done": "bool"}
NAMES = list(FIELDS)

#: The kinds of data that a store keeps in chunk files.
KINDS = ("values", "records", "layouts", "position_hints", "row_hints")


def new_store(fields: Any = None, **arguments: Any) -> StreamStore:
    """A temporary store of an agent's fields."""
    return StreamStore(fields=FIELDS if fields is None else fields, **arguments)


def append_rows(store: StreamStore, count: int, first: int = 0) -> None:
    """Append rows that hold their own number; 11 values each."""
    for step in range(first, first + count):
        observation = [float(step), 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
        store.append([step] * 4, NAMES, [observation, step, step / 2, step % 5 == 4])


def filled(count: int = 10) -> StreamStore:
    store = new_store()
    append_rows(store, count)
    return store


def bits(*numbers: float) -> list[int]:
    """The stored words of numbers of a float field."""
    return [int(word) for word in np.array(numbers, np.float64).view(np.int64)]


def facts(store: StreamStore) -> tuple[Any, ...]:
    """The facts and values that a refused call must not change."""
    return len(store), store.num_rows, store.last_step, store[:]["values"].tolist()


def stored(store: StreamStore) -> tuple[Any, Any]:
    """The words and the field-writes of a store."""
    return store[:]["values"].tolist(), store.index_table().tolist()


def plain(value: Any) -> Any:
    """A value of a row as nested lists and built-in objects; dates and times stay as they are."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return value
    return value.item() if isinstance(value, np.generic) else value


def rows_of(store: StreamStore) -> list[Any]:
    """All rows of a store as `plain` values."""
    return [plain(row) for row in store.rows()]


# --- the files of a store ---


def chunk_bytes(path: Path) -> int:
    """The size of a full chunk of the store, from its identity."""
    (size,) = struct.unpack_from("<Q", (path / "control").read_bytes(), 56)
    return int(size)


def chunk_name(kind: str, number: int = 0) -> str:
    """The name of a chunk file, such as ``values.000000000000``."""
    return f"{kind}.{number:012}"


#: The files of a store that has one chunk of each kind.
FILES = [*map(chunk_name, KINDS), "schema", "control", "lock"]


def data_file(path: Path, kind: str, byte: int = 0) -> Path:
    """The chunk file that has this byte of a kind of data. A small store has one file per kind."""
    return path / chunk_name(kind, byte // chunk_bytes(path))


def flip(path: Path, kind: str, byte: int) -> None:
    """Flip the lowest bit of a byte of a kind of data."""
    file, offset = data_file(path, kind, byte), byte % chunk_bytes(path)
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)
