"""Shared by the questions about text and chats from and to Arrow: the tables, and the two answers.

`Tables(directory, table)` of a store has `store()`, which writes the rows of an Arrow table into a
new store on disk, `export()`, which writes the rows of the last store into an Arrow file, and
`exported_table()`, which returns the contents of that file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from peers import peer_module

from . import least
from .checks import require

NEEDS = ("Tables",)
PEERS = ("stream_store", "pyarrow_tables", "hf_datasets", "lance_table")
RUNS = 5
WORDS = ("stream", "of", "steps", "from", "a", "robot", "that", "moves", "päckchen", "to", "it")


@cache
def text(row: int, words: int) -> str:
    """Text that follows from its arguments; few are different, because making them takes time."""
    return " ".join(WORDS[(row * 7 + i * i) % len(WORDS)] for i in range(words))


def texts(rows: int) -> Any:
    """Return a column of texts of 2 to 41 words, and a short one in every fifth row."""
    import pyarrow as pa

    return pa.table(
        {
            "text": pa.array([text(row % 199, 2 + row % 40) for row in range(rows)], pa.string()),
            "note": pa.array(
                [None if row % 5 else f"note {row}" for row in range(rows)], pa.string()
            ),
        }
    )


def chats(rows: int) -> Any:
    """Return chats of 2 to 5 messages: a list of structs of two strings."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    made = [
        [
            {
                "role": ("user", "assistant")[i % 2],
                "content": text(row % 199 + i, 4 + (row + i) % 30),
            }
            for i in range(2 + row % 4)
        ]
        for row in range(rows)
    ]
    return pa.table({"messages": pa.array(made, pa.list_(message))})


def ask_store(name: str, directory: Path, table: Any) -> dict[str, Any]:
    """Time writing a store of an Arrow table, per row."""
    tables = peer_module(name).Tables(directory, table)
    took = least(tables.store, RUNS, len(table))
    check(tables, table)
    return {"figure": took}


def ask_export(name: str, directory: Path, table: Any) -> dict[str, Any]:
    """Time writing an Arrow file of a store, per row."""
    tables = peer_module(name).Tables(directory, table)
    tables.store()
    check(tables, table)
    return {"figure": least(tables.export, 2 if name == "hf_datasets" else RUNS, len(table))}


def check(tables: Any, table: Any) -> None:
    tables.export()
    require(tables.exported_table().to_pylist() == table.to_pylist(), "rows of the table")
