"""Positions past 2**31 and 2**32, bytes past 4 GiB, and hundreds of stores at once.

A small store is stretched with a hole of many chunks: one of its lists grows by billions of zeros
that take no disk. The values before and after the hole are real, and are read and appended to. The
tests need 3 GB of disk for a moment, because files grow by up to 1 GiB ahead of use. They are
skipped where there is less.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from model_process import run
from store_helpers import chunk_bytes, data_file
from stream_store import StreamStore

FIELDS = {"head": "int64", "body": "int64[]", "tail": "int16"}
ROWS, LIST = 40, 1000
SLOTS = (131072, 196608)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    if shutil.disk_usage(tmp_path).free < 3 << 30:
        pytest.skip(f"{tmp_path}: less than 3 GB of disk")
    return tmp_path / "run"


def crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def insert_zeros(path: Path, position: int, more: int) -> int:
    """Insert `more` zeros before a position, as a hole of the chunks of `values`.

    Returns how many values there were before.
    """
    file, size = data_file(path, "values"), chunk_bytes(path)
    values = np.fromfile(file, "<i8")
    os.truncate(file, 8 * position)
    end = 8 * (len(values) + more)
    for begin in range(0, end, size):
        with data_file(path, "values", begin).open("ab") as chunk:
            chunk.truncate(min(size, end - begin))
    after = 8 * (position + more)
    assert after // size == (end - 1) // size, "the values after the hole are in two chunks"
    with data_file(path, "values", after).open("r+b") as chunk:
        chunk.seek(after % size)
        values[position:].tofile(chunk)
    return len(values)


def stretch(path: Path, more: int) -> None:
    """Make the list of row 0 longer by `more` zeros."""
    file = data_file(path, "records")
    records = np.fromfile(file, [("start", "<u8"), ("rest", "V24")])
    records["start"][1:] += np.uint64(more)
    records.tofile(file)
    file = data_file(path, "layouts")
    layouts = np.fromfile(file, "<u8")
    place = int(np.flatnonzero(layouts == (1 << 48 | LIST))[0])  # body, in the layout of row 0
    layouts[[place - 2, place]] += np.uint64(more)  # its total, and its length
    layouts.tofile(file)
    for kind in ("position_hints", "row_hints"):  # hints only speed up look-ups
        os.truncate(data_file(path, kind), 0)
    values = insert_zeros(path, 1 + LIST, more)
    with (path / "control").open("r+b") as control:
        for offset in SLOTS:
            control.seek(offset)
            slot = bytearray(control.read(508))
            (count,) = struct.unpack_from("<Q", slot, 48)
            if count == values:
                struct.pack_into("<Q", slot, 48, count + more)
                control.seek(offset)
                control.write(slot + struct.pack("<I", crc32c(slot)))


def large_store(path: Path, more: int) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        for row in range(ROWS):
            body = np.arange(LIST) if row == 0 else np.full(row % 4, row)
            store.append_step({"head": row, "body": body, "tail": row}, step=10 * row)
    stretch(path, more)


def check_around_the_hole(store: StreamStore, more: int) -> None:
    size = len(store)
    end = 1 + LIST + more  # of the list of row 0
    assert size > more
    assert store[end]["values"] == 0
    assert store[[0, 1, LIST, end, end + 1]]["values"].tolist() == [0, 0, LIST - 1, 0, 1]
    assert store[[end - 1, end, end + 1]]["types"].tolist() == [1, 2, 0]
    assert store[-1]["values"] == store.num_rows - 1
    assert store.row_of([0, end, end + 1, size - 1]).tolist() == [0, 0, 1, store.num_rows - 1]
    assert store.position_of([0, 1]).tolist() == [0, end + 1]
    columns = ("values", "types", "step", "row", "offset", "number")
    read = store.windows([0, 2**31 - 2, end - 2, size - 4], 4, columns=columns)
    assert read["values"][0].tolist() == [0, 0, 1, 2]
    assert read["offset"][1].tolist() == list(range(2**31 - 3, 2**31 + 1))
    assert read["types"][2].tolist() == [1, 1, 2, 0]
    assert read["values"][2].tolist() == [0, 0, 0, 1]
    assert read["row"][3].tolist() == [store.num_rows - 1] * 4
    rows = np.arange(1, store.num_rows)
    decoded = store.read_rows(rows)
    assert decoded["head"].tolist() == decoded["tail"].tolist() == rows.tolist()
    assert decoded["_length"]["body"].tolist() == (rows % 4).tolist()
    cut = store.read_rows([0], max_length={"body": 3})
    assert cut["body"].tolist() == [[0, 1, 2]]
    assert cut["_length"]["body"].tolist() == [LIST + more]
    assert store.index_table(0, 2)["start"].tolist() == [0, 1, end, end + 1, end + 2, end + 3]
    with pytest.raises(IndexError):
        store[size]


@pytest.mark.parametrize("more", [2**31, 2**32 + 5, 2**33], ids=["2**31", "2**32", "2**33"])
def test_reads_and_appends_past_32_bits(path: Path, more: int) -> None:
    large_store(path, more)
    with StreamStore(path, "r") as closed:
        check_around_the_hole(closed, more)
    with StreamStore(path) as store:
        check_around_the_hole(store, more)
        reader, begin = StreamStore(path, "r"), store.num_rows
        for row in range(begin, begin + 600):
            store.append([row + 1000] * 3, ["head", "body", "tail"], [row, [row] * (row % 4), row])
        store.sync()
        for one in (store, reader, store.snapshot()):
            check_around_the_hole(one, more)
    with StreamStore(path) as store:
        assert store.recovery.state == "clean"
        assert store.num_rows == ROWS + 600
        check_around_the_hole(store, more)


def test_a_writer_killed_past_32_bits_loses_nothing(path: Path) -> None:
    more = 2**32
    large_store(path, more)
    run(
        """
        store = StreamStore(sys.argv[1])
        store.extend({name: np.arange(40, 3000) for name in ("head", "body", "tail")})
        store.sync()
        store.extend({name: np.arange(3000, 5000) for name in ("head", "body", "tail")})
        os._exit(0)
        """,
        path,
    )
    with StreamStore(path) as store:
        assert store.recovery.state == "process_crash"
        assert store.num_rows == 5000
        assert store[-1]["values"] == 4999
        assert store.read_rows([4999])["body"].tolist() == [[4999]]
        assert store.position_of(4999) == len(store) - 3


def test_a_call_may_append_many_megabytes(path: Path) -> None:
    with StreamStore(path, fields={"blob": "binary", "frame": "packed uint8[1024,1024]"}) as store:
        blob = np.arange(3 << 22, dtype=np.uint8).tobytes()
        for _ in range(3):
            store.append_step({"blob": blob})
        store.extend({"frame": np.arange(40 << 20, dtype=np.uint8).reshape(40, 1024, 1024)})
        assert store.row(2)["blob"] == blob
        assert store.row(-1)["frame"].tobytes() == bytes(range(256)) * 4096
        assert len(store) == (9 << 22) + (40 << 17)
        assert int(store[:]["values"][-1]) == struct.unpack("<q", bytes(range(248, 256)))[0]


def test_hundreds_of_stores_can_be_open_at_once() -> None:
    """Ninety open stores once took all of the address space, and malloc failed next."""
    run("""
    stores = [StreamStore(fields={"n": "int64"}) for _ in range(300)]
    for n, store in enumerate(stores):
        store.extend({"n": [n] * 100})
    filled = np.ones(60_000_000)
    for n, store in enumerate(stores):
        store.append_step({"n": n})
        assert store[:]["values"].tolist() == [n] * 101
    """)


def test_a_store_works_in_little_address_space(tmp_path: Path) -> None:
    run("""
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    others = [StreamStore(fields={"n": "int64"}) for _ in range(50)]
    for other in others: other.append_step({"n": 1})
    store = StreamStore(sys.argv[1], fields={"n": "int64[]"}, capacity=1000)
    store.append_step({"n": [7]})
    reader, snapshot = StreamStore(sys.argv[1], "r"), store.snapshot()
    for i in range(40):
        store.append_step({"n": np.full(300_000, i)})
        assert len(reader) == len(store) == 1 + 300_000 * (i + 1)
        assert int(reader[-1]["values"]) == i
    assert snapshot[:]["values"].tolist() == [7]
    """, tmp_path / "run")  # fmt: skip
