"""Stores with numbers that no test could reach by appending, and with chunks in disorder.

An encoder that follows docs/format.md writes them. The reader of the page and the library read
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from format_page import page_reader
from store_encoder import Begin, Encoder, Row, encode_store
from store_helpers import KINDS, chunk_name
from stream_store import CorruptStoreError, StoreFullError, StreamStore

FIELDS = {"n": "int64", "many": "int64[]", "tail": "int16"}
CHUNK = 1 << 20
#: Every kind is next to the border of a chunk, and every number is large.
FAR = Begin(
    records=(1 << 47) - 3,
    values=(1 << 47) - 11,
    rows=(1 << 47) - 5,
    layout_words=(1 << 32) - 9,
    field_writes=7 << 40,
)
BEGINS = {
    "none": Begin(),
    "rows lag": Begin(1 << 47, 1 << 48, 1 << 46, 1 << 33, 1 << 49),
    "far": FAR,
    "on borders": Begin(1 << 40, 1 << 41, 1 << 40, 1 << 33, 1 << 42),
    "in a chunk": Begin(records=100, values=1000, rows=90, layout_words=50, field_writes=300),
}


def rows_of(count: int) -> list[Row]:
    """Rows of different shapes; every seventh has no field."""
    rows: list[Row] = []
    for i in range(count):
        many = list(range(i, i + i % 5))
        rows.append((10 + i, {} if i % 7 == 6 else {0: [i], 1: many, 2: [-i]}))
    return rows


@pytest.fixture
def template(tmp_path: Path) -> Path:
    with StreamStore(tmp_path / "template", fields=FIELDS):
        pass
    return tmp_path / "template"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def checked(store: StreamStore, begin: Begin, expected: list[Row]) -> None:
    """The store has these rows, by every way of reading."""
    assert store.num_rows == begin.rows + len(expected)
    numbers = np.arange(begin.rows, store.num_rows)
    for number, (step, writes) in zip(numbers.tolist(), expected, strict=True):
        row = store.row(number)
        found = [None if row[name] is None else np.ravel(row[name]).tolist() for name in FIELDS]
        assert found == [writes.get(type_id) for type_id in range(3)]
        assert store.row_at(step) == number
    words = [word for _, writes in expected for part in writes.values() for word in part]
    positions = np.arange(begin.values, len(store))
    assert store[positions]["values"].tolist() == words
    if len(words) > 20:
        read = store.windows(positions[:-20:3], 20, columns=("values", "row", "types"))
        assert (
            read["values"]
            == np.array(words)[positions[:-20:3, None] - begin.values + np.arange(20)]
        ).all()
        assert read["row"].min() == begin.rows
    full = [i for i, (_, writes) in enumerate(expected) if writes]
    read_rows = store.read_rows(numbers[full])
    assert read_rows["n"].tolist() == [expected[i][1][0][0] for i in full]
    assert [row["n"] for row in store.rows(begin.rows)] == [
        writes[0][0] if writes else None for _, writes in expected
    ]


def page_rows(path: Path) -> list[Any]:
    _, rows = page_reader()["read_store"](path)
    return [(step, {name: words.tolist() for name, words in row.items()}) for step, row in rows]


def named(rows: list[Row]) -> list[Any]:
    names = list(FIELDS)
    return [(step, {names[i]: words for i, words in writes.items()}) for step, writes in rows]


@pytest.mark.parametrize("begin", BEGINS.values(), ids=BEGINS)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_rows_are_read_wherever_their_numbers_begin(
    path: Path, template: Path, begin: Begin, mode: Any
) -> None:
    rows = rows_of(60)
    encode_store(path, template, rows, begin, CHUNK)
    assert page_rows(path) == named(rows)
    with StreamStore(path, mode) as store:
        checked(store, begin, rows)
        assert store.verify().findings == ()
    assert stream_store.verify(path).findings == ()


@pytest.mark.parametrize("begin", BEGINS.values(), ids=BEGINS)
def test_appends_continue_the_numbers(path: Path, template: Path, begin: Begin) -> None:
    rows = rows_of(60)
    encode_store(path, template, rows[:2], begin, CHUNK)
    with StreamStore(path) as store, StreamStore(path, "r") as reader:
        for step, writes in rows[2:]:
            row = {name: writes[i] for i, name in enumerate(FIELDS) if i in writes}
            store.append_step(
                {name: words if name == "many" else words[0] for name, words in row.items()}, step
            )
        checked(store, begin, rows)
        checked(reader, begin, rows)
    assert page_rows(path) == named(rows)
    assert stream_store.verify(path).findings == ()
    with StreamStore(path, "r") as reader:
        checked(reader, begin, rows)


def test_a_store_is_full_when_the_positions_end(path: Path, template: Path) -> None:
    last = Begin(values=2**56 - 250, records=1 << 40, rows=1 << 40)
    rows = rows_of(60)
    encode_store(path, template, rows, last, CHUNK)
    with StreamStore(path) as store:
        store.append_step({"n": 1})
        with pytest.raises(StoreFullError, match="a store numbers at most 72057594037927936"):
            store.append_step({"many": range(250)})
        assert store.num_rows == last.rows + 61
        checked(store.snapshot(store.num_rows - 1), last, rows)


def test_a_copy_keeps_the_numbers(path: Path, template: Path) -> None:
    rows = rows_of(60)
    encode_store(path, template, rows, FAR, CHUNK)
    with StreamStore(path, "r") as store:
        store.checkpoint(path.with_name("copy"))
    assert page_rows(path.with_name("copy")) == named(rows)
    with StreamStore(path.with_name("copy")) as copy:
        checked(copy, FAR, rows)


def chunks_of(path: Path, kind: str) -> list[Path]:
    return sorted(path.glob(f"{kind}.*"))


def two_chunks(path: Path, template: Path) -> Encoder:
    """A store whose kinds have at least two chunks each, except the hints."""
    return encode_store(path, template, rows_of(60), FAR, CHUNK)


@pytest.mark.parametrize("kind", ["values", "records", "layouts"])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_missing_chunk_is_named(
    path: Path, template: Path, kind: str, place: int, mode: Any
) -> None:
    two_chunks(path, template)
    chunks = chunks_of(path, kind)
    assert len(chunks) == 2
    chunks[place].unlink()
    with pytest.raises(CorruptStoreError, match=kind):
        StreamStore(path, mode)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_chunk_longer_than_its_size_is_damage(
    path: Path, template: Path, kind: str, mode: Any
) -> None:
    two_chunks(path, template)
    chunk = chunks_of(path, kind)[0]
    with chunk.open("ab") as file:
        file.truncate(CHUNK + 1)
    with pytest.raises(CorruptStoreError, match=chunk.name):
        StreamStore(path, mode)


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_that_do_not_count_are_ignored_and_removed_by_a_writer(
    path: Path, template: Path, kind: str
) -> None:
    two_chunks(path, template)
    chunks = chunks_of(path, kind)
    first, last = (int(chunks[i].suffix[1:]) for i in (0, -1))
    leftovers = [path / chunk_name(kind, number) for number in (first - 1, last + 1)]
    for leftover in leftovers:
        leftover.write_bytes(b"x" * CHUNK)
    with StreamStore(path, "r") as store:
        checked(store, FAR, rows_of(60))
    assert all(leftover.exists() for leftover in leftovers)
    with StreamStore(path) as store:
        assert not any(leftover.exists() for leftover in leftovers)
        checked(store, FAR, rows_of(60))


def test_names_that_are_not_of_chunks_are_left_alone(path: Path, template: Path) -> None:
    two_chunks(path, template)
    others = [path / name for name in ("values.1", "values.00000000001", "values.old", "notes")]
    for other in others:
        other.write_text("mine")
    with StreamStore(path) as store:
        checked(store, FAR, rows_of(60))
    assert [other.read_text() for other in others] == ["mine"] * 4
