"""Create the golden stores of this build's format version, for tests/golden.

    python scripts/make_golden.py

Writes each store to tests/golden/v<version>/<name>/ and its content to `<name>.json`. Run it once
for each new format version and each new kind of field. Existing stores are never created again, and
every later build must open them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from stream_store import StreamStore, _core

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"


def make_plain(path: Path) -> None:
    """Write rows with missing fields, empty lists or no field, in one append and in several."""
    fields = {"obs": "float32[3]", "tokens": "int64[]", "reward": "float64", "text": "string"}
    with StreamStore(path, fields=fields) as store:
        for step in range(0, 300, 2):
            row: dict[str, Any] = {"obs": [step, -0.0, 0.5], "tokens": list(range(step % 5))}
            if step % 3 == 0:
                row["text"] = "µ" * (step % 4)
            store.append_step(row, step)
            if step % 4 == 0 and "text" not in row:
                store.append([step], ["reward"], [step / 3])
        store.append_step({}, 1000)
        store.extend({"obs": np.ones((100, 3)), "reward": [None, 1.0] * 50})


def make_kinds(path: Path) -> None:
    """Write values of every encoding."""
    ints = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    fields: dict[str, Any] = {name: name for name in [*ints, "bool", "float16", "float32"]}
    fields |= {
        "date": "date32",
        "time": "time64[us]",
        "stamp": "timestamp[ns]",
        "span": "duration[ms]",
        "small": "decimal128(12, 3)",
        "large": "decimal256(60, 3)",
        "bytes": "binary",
        "matrix": "int16[2,3]",
        "frame": "packed uint8[5,3]",
    }
    with StreamStore(path, fields=fields) as store:
        for n in range(40):
            row: dict[str, Any] = {
                name: getattr(np.iinfo(name), "max" if n % 2 else "min") for name in ints
            }
            row |= {"bool": n % 2 == 0, "float16": n / 8, "float32": np.float32(n / 7)}
            row |= {
                "date": date(2024, 2, 29) + timedelta(days=n),
                "time": np.timedelta64(n, "us"),
                "stamp": datetime(2024, 5, 1, 12, 0, n, tzinfo=timezone.utc).replace(tzinfo=None),
                "span": timedelta(milliseconds=n),
                "small": Decimal(f"-{n}.125"),
                "large": Decimal(10) ** 40 + n,
                "bytes": bytes(range(n)),
                "matrix": np.full((2, 3), -n),
                "frame": np.full((5, 3), n, np.uint8),
            }
            store.append_step(row)


def make_killed(path: Path) -> None:
    """Kill a writer that has synced half of its rows."""
    child = os.fork()
    if child == 0:
        store = StreamStore(path, capacity=1, fields={"count": "int64", "list": "float64[]"})
        for step in range(100):
            store.append_step({"count": step, "list": [step / 2] * (step % 3)})
            if step == 49:
                store.sync()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


NESTED_FIELDS: dict[str, Any] = {
    "text": "packed string",
    "blob": "packed binary",
    "weights": "packed float32[]",
    "pairs": "packed int16[None,2]",
    "flags": "packed bool[]",
    "chat": "nested list<struct<role: string not null, content: large_string>>",
    "scores": "nested map<string, list<double>>",
    "boxes": "nested list<fixed_size_list<halffloat>[2]>",
    "spans": "nested large_list<list_view<uint64>>",
    "moments": "nested list<timestamp[us, tz=UTC]>",
    "numbers": "nested struct<b: bool, i: int8, u: uint16, f: float, d: date32, n: null, "
    "e: struct<>>",
    "sizes": "nested list<decimal128(10, 2)>",
    "price": "nested decimal32(5, 2)",
    "age": "nested month_day_nano_interval",
    "codes": "nested list<fixed_size_binary[3]>",
    "views": "nested list<struct<s: string_view, b: binary_view>>",
    "empty": "nested list<fixed_size_list<int64>[0]>",
    "image": datasets.Image(),
    "sounds": datasets.List(datasets.Audio()),
    "said": datasets.Translation(languages=["de", "en"]),
    "person": {"name": "packed string", "tags": datasets.List(datasets.Value("string"))},
    "class": datasets.List(datasets.ClassLabel(names=["no", "yes"])),
}


def make_nested(path: Path) -> None:
    """Write packed items of varying length, and nested cells of every kind of node."""
    long = "a text of more than 255 bytes, so that lengths take two bytes. " * 5
    rows: list[dict[str, Any]] = [
        {
            "text": "größe\0",
            "blob": bytes(range(256)),
            "weights": [0.5, -0.0, float("inf")],
            "pairs": [[1, -2], [3, -32768]],
            "flags": [True, False, True],
            "chat": [
                {"role": "user", "content": "Hello"},
                {"role": "agent", "content": None},
                None,
            ],
            "scores": {"a": [0.5, None], "b": None, "": []},
            "boxes": [[0.5, -1.0], None, [None, 65504.0]],
            "spans": [[0, 2**64 - 1], [], None, [7]],
            "moments": [0, None, -1],
            "numbers": {"b": True, "i": -128, "u": 65535, "f": 0.25, "d": 1, "n": None, "e": {}},
            "sizes": [Decimal("1.25"), None, Decimal("-99999999.99")],
            "price": Decimal("-123.45"),
            "age": (1, -2, 3),
            "codes": [b"abc", None, b"\0\0\0"],
            "views": [{"s": "a", "b": b"\xff"}, None, {"s": None, "b": None}],
            "empty": [[], None, []],
            "image": {"bytes": b"\x89PNG" + bytes(9), "path": "a.png"},
            "sounds": [{"bytes": b"RIFF", "path": None}, None],
            "said": {"de": "ja", "en": "yes"},
            "person": {"name": "Ada", "tags": ["x", None, ""]},
            "class": [0, 1, -1],
        },
        {},
        {
            "text": "",
            "blob": b"",
            "weights": [],
            "pairs": [],
            "flags": [],
            "chat": [],
            "scores": {},
            "boxes": [],
            "spans": [],
            "moments": [],
            "numbers": {
                "b": None,
                "i": None,
                "u": None,
                "f": None,
                "d": None,
                "n": None,
                "e": None,
            },
            "sizes": [],
            "codes": [],
            "views": [],
            "empty": [],
            "image": {"bytes": None, "path": None},
            "sounds": [],
            "said": {"de": None, "en": None},
            "person": {"name": None, "tags": None},
            "class": [],
        },
        {
            "text": long,
            "chat": [{"role": "user", "content": long}],
            "scores": [("k", [1.0]), ("k", [2.0])],
            "views": [{"s": long, "b": long.encode()}],
            "image": {"bytes": None, "path": "b.png"},
            "person": {"name": "", "tags": None},
        },
    ]
    with StreamStore(path, fields=NESTED_FIELDS) as store:
        for row in rows[:2]:
            store.append_step(row)
        store.extend({name: [row.get(name) for row in rows[2:]] for name in NESTED_FIELDS})


def arrow_table() -> pa.Table:
    """Columns whose Arrow types say more than their features."""
    inner = pa.struct([pa.field("id", pa.int64(), nullable=False), pa.field("note", pa.string())])
    fields = [
        pa.field("key", pa.int32(), nullable=False, metadata={"unit": "m"}),
        pa.field("uuid", pa.uuid()),
        pa.field("json", pa.json_()),
        pa.field("top", inner, metadata={"of": "a struct"}),
        pa.field("list", pa.list_(pa.field("part", inner, nullable=False))),
        pa.field("map", pa.map_(pa.string(), pa.int32(), keys_sorted=True)),
    ]
    columns = [
        pa.array([1, 2, 3], pa.int32()),
        pa.array([bytes(range(16)), None, b"\xff" * 16], pa.uuid()),
        pa.array(['{"a": 1}', "null", None], pa.json_()),
        pa.array([{"id": 1, "note": "a"}, {"id": 2, "note": None}, None], inner),
        pa.array([[{"id": 1, "note": None}], [], None], fields[4].type),
        pa.array([[("a", 1), ("b", None)], [], None], fields[5].type),
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def make_arrow(path: Path) -> None:
    """Import columns that are not null, have metadata or an extension type."""
    with StreamStore(path) as store:
        store.from_arrow(arrow_table())


def make_dropped(path: Path) -> None:
    """Drop rows at the front, truncate at the end, and add fields in between."""
    with StreamStore(path, capacity=1, fields={"episode": "int64", "obs": "float32[]"}) as store:
        for step in range(1000):
            store.append_step({"episode": step // 50, "obs": [step] * (step % 7)})
        store.drop_before(600)
        store.add_fields({"note": "packed string", "pose": {"x": "float32", "y": "float32"}})
        for step in range(1000, 1200):
            row = {"episode": step // 50, "note": f"step {step}", "pose": {"x": step / 2}}
            store.append_step(row, step)
        store.truncate(1100)
        store.append_step({"episode": 99, "obs": []})


MAKERS: dict[str, Callable[[Path], None]] = {
    "plain": make_plain,
    "kinds": make_kinds,
    "killed": make_killed,
    "nested": make_nested,
    "arrow": make_arrow,
    "dropped": make_dropped,
}


def plain(value: Any) -> str:
    """Format a decoded value as text that does not depend on the version of NumPy."""
    return repr(built_in(value))


def built_in(value: Any) -> Any:
    """Replace the arrays and scalars of NumPy by built-in objects, also inside nested cells."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: built_in(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(built_in(item) for item in value)
    return value


def describe(store: StreamStore) -> dict[str, Any]:
    """Return the content that every later build must read from the store, for JSON."""
    return {
        "id": store.id,
        "recovery": store.recovery.state,
        "first_row": store.first_row,
        "fields": list(store.fields),
        "values": [int(value) for value in store[:]["values"]],
        "index": [[int(word) for word in entry] for entry in store.index_table()],
        "rows": [
            {name: plain(value) for name, value in row.items() if value is not None}
            for row in store.rows()
        ],
    }


def main() -> None:
    """Create the missing stores."""
    folder = GOLDEN / f"v{_core.format_version}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        if (folder / name).exists():
            print(f"{folder / name} exists and is not changed", file=sys.stderr)
            continue
        make(folder / name)
        (folder / name / "lock").write_bytes(b"")  # it names the last writer
        with StreamStore(folder / name, mode="r") as store:
            facts = describe(store)
        lines = [f"{json.dumps(key)}: {json.dumps(fact)}" for key, fact in facts.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
