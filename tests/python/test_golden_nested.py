"""The golden stores of packed and nested fields have the values, features and types below."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import (
    Array2D,
    Audio,
    ClassLabel,
    Features,
    Image,
    Json,
    LargeList,
    List,
    Translation,
    Value,
)

from make_golden import built_in
from stream_store import StreamStore

GOLDEN = Path(__file__).parents[1] / "golden" / "v2"

LONG = "a text of more than 255 bytes, so that lengths take two bytes. " * 5

NESTED: list[dict[str, Any]] = [
    {
        "text": "gr\u00f6\u00dfe\0",
        "blob": bytes(range(256)),
        "weights": [0.5, -0.0, float("inf")],
        "pairs": [[1, -2], [3, -32768]],
        "flags": [True, False, True],
        "chat": [{"role": "user", "content": "Hello"}, {"role": "agent", "content": None}, None],
        "scores": [("a", [0.5, None]), ("b", None), ("", [])],
        "boxes": [[0.5, -1.0], None, [None, 65504.0]],
        "spans": [[0, 18446744073709551615], [], None, [7]],
        "moments": [datetime(1970, 1, 1), None, datetime(1969, 12, 31, 23, 59, 59, 999999)],
        "numbers": {
            "b": True,
            "i": -128,
            "u": 65535,
            "f": 0.25,
            "d": date(1970, 1, 2),
            "n": None,
            "e": {},
        },
        "sizes": [Decimal("1.25"), None, Decimal("-99999999.99")],
        "price": Decimal("-123.45"),
        "age": (1, -2, 3),
        "codes": [b"abc", None, b"\0\0\0"],
        "views": [{"s": "a", "b": b"\xff"}, None, {"s": None, "b": None}],
        "empty": [[], None, []],
        "image": {"bytes": b"\x89PNG\0\0\0\0\0\0\0\0\0", "path": "a.png"},
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
        "scores": [],
        "boxes": [],
        "spans": [],
        "moments": [],
        "numbers": {"b": None, "i": None, "u": None, "f": None, "d": None, "n": None, "e": None},
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
        "text": LONG,
        "chat": [{"role": "user", "content": LONG}],
        "scores": [("k", [1.0]), ("k", [2.0])],
        "views": [{"s": LONG, "b": LONG.encode()}],
        "image": {"bytes": None, "path": "b.png"},
        "person": {"name": "", "tags": None},
    },
]

NESTED_FEATURES = Features(
    {
        "text": Value("string"),
        "blob": Value("binary"),
        "weights": List(Value("float32")),
        "pairs": Array2D(shape=(None, 2), dtype="int16"),
        "flags": List(Value("bool")),
        "chat": List({"role": Value("string"), "content": Value("large_string")}),
        "scores": List({"key": Value("string"), "value": List(Value("float64"))}),
        "boxes": List(List(Value("float16"), length=2)),
        "spans": LargeList(List(Value("uint64"))),
        "moments": List(Value("timestamp[us, tz=UTC]")),
        "numbers": {
            "b": Value("bool"),
            "i": Value("int8"),
            "u": Value("uint16"),
            "f": Value("float32"),
            "d": Value("date32"),
            "n": Value("null"),
            "e": {},
        },
        "sizes": List(Value("decimal128(10, 2)")),
        "price": Value("decimal128(5, 2)"),
        "age": Value("month_day_nano_interval"),
        "codes": List(Value("fixed_size_binary[3]")),
        "views": List({"s": Value("string_view"), "b": Value("binary_view")}),
        "empty": List(List(Value("int64"), length=0)),
        "image": Image(),
        "sounds": List(Audio()),
        "said": Translation(languages=["de", "en"]),
        "person": {"name": Value("string"), "tags": List(Value("string"))},
        "class": List(ClassLabel(names=["no", "yes"])),
    }
)

PART = pa.struct([pa.field("id", pa.int64(), nullable=False), ("note", pa.string())])

ARROW_SCHEMA = pa.schema(
    [
        pa.field("key", pa.int32(), nullable=False, metadata={"unit": "m"}),
        pa.field("uuid", pa.uuid()),
        pa.field("json", pa.json_()),
        pa.field("top", PART, metadata={"of": "a struct"}),
        pa.field("list", pa.list_(pa.field("part", PART, nullable=False))),
        pa.field("map", pa.map_(pa.string(), pa.int32(), keys_sorted=True)),
    ]
)

ARROW: dict[str, list[Any]] = {
    "key": [1, 2, 3],
    "uuid": [bytes(range(16)), None, b"\xff" * 16],
    "json": ['{"a": 1}', "null", None],
    "top": [{"id": 1, "note": "a"}, {"id": 2, "note": None}, None],
    "list": [[{"id": 1, "note": None}], [], None],
    "map": [[("a", 1), ("b", None)], [], None],
}

ARROW_FEATURES = Features(
    {
        "key": Value("int32"),
        "uuid": Value("uuid"),
        "json": Json(),
        "top": {"id": Value("int64"), "note": Value("string")},
        "list": List({"id": Value("int64"), "note": Value("string")}),
        "map": List({"key": Value("string"), "value": Value("int32")}),
    }
)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StreamStore]:
    """The golden store that the test names."""
    shutil.copytree(GOLDEN / request.param, tmp_path / "store")
    with StreamStore(tmp_path / "store", mode="r") as opened:
        yield opened


def rows(store: StreamStore) -> list[dict[str, Any]]:
    return [
        {name: built_in(value) for name, value in row.items() if value is not None}
        for row in store.rows()
    ]


@pytest.mark.parametrize("store", ["nested", "arrow"], indirect=True)
def test_a_golden_store_is_valid(store: StreamStore) -> None:
    assert store.verify().ok


@pytest.mark.parametrize("store", ["nested"], indirect=True)
def test_nested_fields_have_their_values(store: StreamStore) -> None:
    assert rows(store) == NESTED
    assert str(rows(store)[0]["weights"]) == "[0.5, -0.0, inf]"


@pytest.mark.parametrize("store", ["nested"], indirect=True)
def test_nested_fields_have_their_features(store: StreamStore) -> None:
    assert store.features == NESTED_FEATURES


@pytest.mark.parametrize("store", ["arrow"], indirect=True)
def test_columns_of_arrow_have_their_types_and_values(store: StreamStore) -> None:
    assert store.features == ARROW_FEATURES
    table = pa.table(store)
    assert table.schema.remove_metadata().equals(ARROW_SCHEMA, check_metadata=True)
    for name, values in ARROW.items():
        kind = ARROW_SCHEMA.field(name).type
        plain = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        assert table[name].cast(plain).to_pylist() == values
