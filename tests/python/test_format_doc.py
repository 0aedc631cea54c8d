"""docs/format.md is accurate: its tables, encodings, worked example and reader are compared with
stores that this build writes.

`python tests/python/test_format_doc.py` updates the worked example in the page.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from format_page import FORMS, PAGE, decoded, page_reader, python_blocks, table
from store_helpers import FILES, KINDS, chunk_bytes, chunk_name, data_file, flip

BEGIN, END = "<!-- example:begin -->\n", "<!-- example:end -->\n"
REGION = 65536


def make_example(path: Path) -> None:
    exec(python_blocks()[0], {"stream_store": stream_store, "path": path})


@pytest.fixture
def example(tmp_path: Path) -> Path:
    make_example(tmp_path / "store")
    return tmp_path / "store"


# --- byte tables ---


@pytest.mark.parametrize(
    ("title", "size"),
    [
        ("`control`: identity", 512),
        ("`control`: live words", 192),
        ("`control`: slot", 512),
        ("`records`: record", 32),
        ("`layouts`: layout", 16),
        ("`position_hints` and `row_hints`: hint", 8),
        ("`schema`: header", 48),
        ("`schema`: field", 16),
        ("pack: header", 128),
    ],
)
def test_byte_tables_have_no_gap_and_no_overlap(title: str, size: int) -> None:
    at = 0
    for line in table(title):
        assert line["offset"] == at, line
        at += line["size"]
        if line["type"] in FORMS:
            assert line["size"] == struct.calcsize(FORMS[line["type"]]), line
    assert at == size


def test_identity_is_as_its_table_says(example: Path) -> None:
    block = (example / "control").read_bytes()[:REGION]
    identity = decoded("`control`: identity", block)
    with stream_store.StreamStore(example, mode="r") as store:
        assert identity["id"] == store.id
    assert identity["version"] == stream_store._core.format_version == 2
    assert identity["endian_mark"] == 0x01020304
    assert identity["parent"] == "00" * 16
    assert identity["chunk_bytes"] == chunk_bytes(example) == 1 << 30
    assert identity["checksum"] == page_reader()["crc32c"](block[:508])
    assert not any(block[512:])


def test_live_words_are_as_their_table_says(example: Path) -> None:
    block = (example / "control").read_bytes()[REGION : 2 * REGION]
    live = decoded("`control`: live words", block)
    expected = {"published": 3, "begin": 0, "layout_begin": 0, "session": 1, "truncations": 0}
    assert live.items() >= {**expected, "state": 0, "durable": 3}.items()
    assert not any(block[192:])
    with stream_store.StreamStore(example):
        again = (example / "control").read_bytes()[REGION : 2 * REGION]
        assert decoded("`control`: live words", again) == {**live, "session": 2, "state": 1}


def test_slots_are_as_their_table_says(example: Path) -> None:
    control = (example / "control").read_bytes()
    slots = [decoded("`control`: slot", control[at * REGION : (at + 1) * REGION]) for at in (2, 3)]
    with stream_store.StreamStore(example, mode="r") as store:
        expected = {
            "id": store.id,
            "session": 1,
            "records": 3,
            "values": len(store),
            "layout_words": 8,
            "rows": store.num_rows,
            "field_writes": store.num_field_writes,
            "flags": 1,
            "segment_fields": 0,
            "segment_by": "00" * 32,
        }
        counts = ("records", "values", "rows", "layout_words", "field_writes")
        expected |= dict.fromkeys([f"begin_{name}" for name in counts], 0)
        expected |= dict.fromkeys(["retain_rows", "retain_bytes", "retain_segments"], 0)
    newest = max(slots, key=lambda slot: slot["sequence"])
    assert newest.items() >= expected.items()
    for place, slot in enumerate(slots):
        assert slot["sequence"] & 1 == place
        block = control[(place + 2) * REGION :][:508]
        assert slot["checksum"] == page_reader()["crc32c"](block)


def test_records_layouts_and_hints_are_as_their_tables_say(example: Path) -> None:
    records = data_file(example, "records").read_bytes()
    first, second, third, end = (
        decoded("`records`: record", records[at : at + 32]) for at in range(0, 128, 32)
    )
    assert [record["start"] for record in (first, second, third, end)] == [0, 3, 4, 5]
    assert [record["step"] for record in (first, second, third)] == [10, 11, 11]
    rows = [0, 1, 1]
    assert [record["row_session"] for record in (first, second, third)] == [
        r | 1 << 48 for r in rows
    ]
    layouts = data_file(example, "layouts").read_bytes()
    words = decoded("`layouts`: layout", layouts[8 * third["layout"] :])
    assert words == {"head": 1 << 48 | 1, "first": 1 << 48 | 1}
    for kind in ("position_hints", "row_hints"):
        data = data_file(example, kind).read_bytes()
        assert decoded("`position_hints` and `row_hints`: hint", data) == {"record": 0}


def test_schema_is_as_its_tables_say(example: Path) -> None:
    data = (example / "schema").read_bytes()
    header = decoded("`schema`: header", data)
    assert (header["version"], header["fields"]) == (stream_store._core.format_version, 2)
    assert header["body"] == len(data) - 48 - 4
    assert header["revision"] == 0
    field = decoded("`schema`: field", data[48:])
    assert field == {"dtype": 11, "flags": 0, "parts": field["parts"], "dims": 1, "since": 0}
    assert struct.unpack("<I", data[-4:])[0] == page_reader()["crc32c"](data[:-4])


def test_files_are_as_long_after_close_as_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with stream_store.StreamStore(path, fields={"x": "float64[]"}) as store:
        for step in range(300):
            store.append_step({"x": np.zeros(step % 7)})
        n, d, rows = 300, len(store), store.num_rows
    layouts = 8 * (1 + 7 * 2)
    hints = [8 * -(-count // 256) for count in (d, rows)]
    sizes = dict(zip(KINDS, [8 * d, 32 * (n + 1), layouts, *hints], strict=True))
    assert {kind: data_file(path, kind).stat().st_size for kind in KINDS} == sizes
    assert (path / "control").stat().st_size == 262144
    assert {file.name for file in path.iterdir()} == set(FILES)
    assert path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}


# --- encodings ---


def declared_as(name: str) -> str:
    """A feature string for the name of a dtype."""
    special = {
        "decimal128": "decimal128(10, 2)",
        "decimal256": "decimal256(40, 2)",
        "nested": "nested list<string>",
    }
    return special.get(name, re.sub(r"^(time32|time64|timestamp|duration)_(\w+)$", r"\1[\2]", name))


def dtypes_of_the_page() -> list[tuple[int, str]]:
    section = PAGE.read_text().split("## Encodings\n", 1)[1].split("\n## ")[0]
    found = []
    for numbers, names in re.findall(r"^\| ([\d, ]+) \| (.+?) \|", section, re.MULTILINE):
        words = [name.strip() for name in names.split(",")]
        whole = words[0].rpartition("_")[0]
        words = [whole + name if name.startswith("_") else name for name in words]
        found += zip([int(number) for number in numbers.split(",")], words, strict=True)
    return found


def test_dtypes_have_the_numbers_of_the_page(tmp_path: Path) -> None:
    numbers = dict(dtypes_of_the_page())
    assert list(numbers) == list(range(33))
    names = {number: name for number, name in numbers.items() if name != "fixed_binary"}
    fields = {name: declared_as(name) for name in names.values()}
    with stream_store.StreamStore(tmp_path / "store", fields=fields):
        pass
    found = page_reader()["read_schema"]((tmp_path / "store" / "schema").read_bytes())
    assert {field["dtype"]: field["name"] for field in found} == names


# --- the reader ---

STREAMS = {
    "ragged": {"a": "float32[]", "b": "int64", "text": "string"},
    "fixed": {"a": "float64[2,3]", "b": "bool", "c": "uint64", "d": "packed uint8[3,5]"},
    "struct": {"pose": {"x": "float32", "y": "float16[2]"}, "n": "int8[None,2]"},
    "small": {"b": "binary", "h": "float16", "t": "timestamp[ns]", "p": "packed float32[3]"},
    "packed": {
        "f": "packed float32[]",
        "i": "packed int16[None,3]",
        "s": "packed string",
        "b": "packed binary",
    },
    "nested": {
        "chat": "nested list<struct<role: string, content: string>>",
        "n": "nested list<list<int32>>",
        "b": "nested list<binary>",
        "p": {"a": "nested fixed_size_list<fixed_size_list<float32>[2]>[2]", "x": "int8"},
    },
}


def value_of(feature: Any, rng: np.random.Generator) -> Any:
    """A random value for one of the features in STREAMS."""
    if isinstance(feature, dict):
        return {name: value_of(one, rng) for name, one in feature.items()}

    def maybe(value: Any) -> Any:
        return value if rng.integers(4) else None

    simple = {
        "string": lambda: "né" * int(rng.integers(3)),
        "binary": lambda: rng.bytes(int(rng.integers(5))),
        "bool": lambda: bool(rng.integers(2)),
        "uint64": lambda: int(rng.integers(2**63)) * 2 + 1,
        "int64": lambda: int(rng.integers(-(2**62), 2**62)),
        "float16": lambda: np.float16(rng.normal()),
        "timestamp[ns]": lambda: np.datetime64(int(rng.integers(2**60)), "ns"),
        "float32[]": lambda: rng.normal(size=rng.integers(4)).astype(np.float32),
        "float64[2,3]": lambda: rng.normal(size=(2, 3)),
        "packed uint8[3,5]": lambda: rng.integers(256, size=(3, 5)).astype(np.uint8),
        "packed float32[3]": lambda: rng.normal(size=3).astype(np.float32),
        "float16[2]": lambda: rng.normal(size=2).astype(np.float16),
        "float32": lambda: np.float32(rng.normal()),
        "int8": lambda: int(rng.integers(-128, 128)),
        "int8[None,2]": lambda: rng.integers(-128, 128, size=(int(rng.integers(4)), 2)),
        "packed float32[]": lambda: rng.normal(size=rng.integers(5)).astype(np.float32),
        "packed int16[None,3]": lambda: rng.integers(99, size=(int(rng.integers(4)), 3)),
        "packed string": lambda: "né" * int(rng.integers(9)),
        "packed binary": lambda: rng.bytes(int(rng.integers(20))),
        "nested list<struct<role: string, content: string>>": lambda: [
            {"role": "né" * int(rng.integers(3)), "content": maybe("x" * 300)} if turn else None
            for turn in rng.integers(3, size=rng.integers(4)).tolist()
        ],
        "nested list<list<int32>>": lambda: [
            [maybe(int(rng.integers(-(2**31), 2**31))) for _ in range(length)]
            for length in rng.integers(12, size=rng.integers(4)).tolist()
        ],
        "nested list<binary>": lambda: [maybe(rng.bytes(int(rng.integers(5)))) for _ in range(3)],
        "nested fixed_size_list<fixed_size_list<float32>[2]>[2]": lambda: [
            maybe([float(np.float32(rng.normal())) for _ in range(2)]) for _ in range(2)
        ],
    }
    return simple[feature]()


def record_stream(path: Path, fields: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    """Write rows in two calls, with random missing fields. Return them as row() returns them."""
    rng = np.random.default_rng(0)
    with stream_store.StreamStore(path, fields=fields) as store:
        for step in range(rows):
            values = {
                name: value_of(feature, rng)
                for name, feature in fields.items()
                if rng.random() < 0.7
            }
            names = list(values)
            cut = int(rng.integers(len(names) + 1))
            store.append_step({name: values[name] for name in names[:cut]}, step=3 * step)
            store.append_step({name: values[name] for name in names[cut:]}, step=3 * step)
        return list(store.rows())


def flattened(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a row: leaves of structs are named outer.inner, and missing fields are left out."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + name] = value
    return flat


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, str):
        return bool(found == expected.encode())
    if isinstance(expected, (bytes, list)):  # a nested cell is a list, and no array
        return bool(found == expected)
    if isinstance(expected, np.datetime64):
        return bool(int(found) == int(expected.astype(np.int64)))
    expected = np.asarray(expected)
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("stream", STREAMS)
def test_reader_of_the_page_gives_what_the_library_gives(tmp_path: Path, stream: str) -> None:
    expected = record_stream(tmp_path / "store", STREAMS[stream], rows=60)
    reader = page_reader()
    fields, rows = reader["read_store"](tmp_path / "store")
    by_name = {field["name"]: field for field in fields}
    assert [step for step, _ in rows] == [3 * row for row in range(60)]
    for (_, words), row in zip(rows, expected, strict=True):
        flat = flattened(row)
        found = {name: value for name, value in words.items() if by_name[name]["dtype"] != 0}
        assert list(found) == list(flat)
        for name, value in found.items():
            assert same(reader["decode"](value, by_name[name]), flat[name]), (name, flat[name])


def test_words_of_the_page_reader_are_the_flat_values(tmp_path: Path) -> None:
    record_stream(tmp_path / "store", STREAMS["ragged"], rows=60)
    _, rows = page_reader()["read_store"](tmp_path / "store")
    words = [words for _, row in rows for words in row.values()]
    with stream_store.StreamStore(tmp_path / "store", mode="r") as store:
        np.testing.assert_array_equal(np.concatenate(words), store[:]["values"])
        assert len(words) == store.num_field_writes


@pytest.mark.parametrize("name", ["values", "records", "layouts"])
def test_reader_of_the_page_notices_a_flipped_bit(example: Path, name: str) -> None:
    flip(example, name, 8)
    with pytest.raises((ValueError, IndexError)):
        page_reader()["read_store"](example)


def test_reader_of_the_page_sees_the_synced_part_of_a_live_store(tmp_path: Path) -> None:
    with stream_store.StreamStore(tmp_path / "store", fields={"x": "int64"}) as store:
        for step in range(20):
            store.append_step({"x": step})
        assert store.sync() == 20
        store.append_step({"x": 20})
        _, rows = page_reader()["read_store"](tmp_path / "store")
        assert [int(row["x"][0]) for _, row in rows] == list(range(20))


def test_sync_makes_durable_what_recovery_found(tmp_path: Path) -> None:
    # A killed writer left rows after its last sync. sync() of the next writer once ignored them.
    code = """
import os, sys, stream_store
store = stream_store.StreamStore(sys.argv[1], fields={"x": "int64"})
for step in range(20):
    store.append_step({"x": step})
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=False)
    read_store = page_reader()["read_store"]
    assert len(read_store(tmp_path / "store")[1]) == 0
    with stream_store.StreamStore(tmp_path / "store") as store:
        assert (store.recovery.state, store.num_rows) == ("process_crash", 20)
        assert store.sync() == 20
        assert len(read_store(tmp_path / "store")[1]) == 20


def test_crc32c_of_the_page_has_the_standard_check_value() -> None:
    assert page_reader()["crc32c"](b"123456789") == 0xE3069283


# --- the worked example ---


def masked_bytes(name: str, size: int) -> set[int]:
    """Offsets of bytes that differ from store to store: ids, seeds, checksums, times."""

    def spans(*pairs: tuple[int, int]) -> set[int]:
        return {at for begin, end in pairs for at in range(begin, end)}

    identity = spans((16, 32), (48, 52), (508, 512))
    slot = spans((8, 24), (88, 96), (508, 512))
    moved = {at + 2 * REGION for at in slot} | {at + 3 * REGION for at in slot}
    return {
        "control": identity | moved,
        "schema": spans((24, 40), (size - 4, size)),
        chunk_name("records"): spans((28, 32), (60, 64), (92, 96)),
    }.get(name, set())


def dump_file(path: Path) -> str:
    """Dump 16 bytes per line, with `..` for bytes that differ from store to store."""
    data = path.read_bytes()
    masked = masked_bytes(path.name, len(data))
    lines = [f"{path.name}: {len(data)} bytes"]
    for at in range(0, len(data), 16):
        places = range(at, min(at + 16, len(data)))
        if path.name == "control" and not any(data[at : at + 16]) and not masked & set(places):
            continue
        shown = [".." if place in masked else f"{data[place]:02x}" for place in places]
        text = "".join(
            chr(data[place]) if 32 <= data[place] < 127 and place not in masked else "."
            for place in places
        )
        left, right = " ".join(shown[:8]), " ".join(shown[8:])
        lines.append(f"{at:06x}  {left:<23}  {right:<23}  {text}".rstrip())
    return "\n".join(lines)


def dump_store(path: Path) -> str:
    names = [name for name in FILES if name != "lock"]
    dumps = "\n\n".join(dump_file(path / name) for name in names)
    return f"```text\n{dumps}\n```\n"


def test_worked_example_is_what_this_build_writes(example: Path) -> None:
    shown = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    assert shown == dump_store(example), "run `python tests/python/test_format_doc.py` to update it"


# --- the page itself ---


def test_sections_the_sources_refer_to_are_there() -> None:
    text = PAGE.read_text()
    sections = {"Chunks": 4, "Create": 6, "Append": 8, "Stage": 4, "Growth": 7, "Sync": 5}
    sections |= {"Drop": 5, "Truncate": 5, "Add fields": 3, "Close": 4, "Open for writing": 6}
    sections |= {"Attach and read": 9, "Verify": 4, "Apply": 4}
    for section, steps in sections.items():
        body = text.split(f"### {section}\n", 1)[1].split("\n### ")[0].split("\n## ")[0]
        assert len(re.findall(r"^\d+\. ", body, re.MULTILINE)) == steps, section
    assert "\n## Rows and records\n" in text


SECONDS_A_YEAR = 365.25 * 86400
APPENDED = 100e6  # bytes per second


def power(text: str) -> int:
    base, _, exponent = text.partition("^")
    return int(int(base) ** int(exponent or 1))


def test_every_number_lasts_as_long_as_the_page_says() -> None:
    section = PAGE.read_text().split("## The life of a store\n", 1)[1].split("\n## ")[0]
    lines = re.findall(
        r"^\| (.+?) \| (\d+\^\d+) \| ([\d^]+) \| ([\d.,]+) \|$", section, re.MULTILINE
    )
    assert len(lines) == 5
    for number, limit, size, said in lines:
        years = power(limit) * power(size) / APPENDED / SECONDS_A_YEAR
        assert 0 <= years - float(said.replace(",", "")) < (1 if years > 20 else 0.1), number
        assert years > 10, number


def write_example(folder: Path) -> None:
    make_example(folder / "store")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + dump_store(folder / "store") + END + after)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_example(Path(folder))
