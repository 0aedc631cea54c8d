"""A store as an Arrow stream for pyarrow, polars and DuckDB, whole or in part."""

from __future__ import annotations

import datetime
import decimal
import gc
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from store_helpers import FIELDS, append_rows, filled
from stream_store import StreamStore


@pytest.fixture
def store() -> StreamStore:
    """Fields of many types, and rows that lack some of them."""
    made = StreamStore(
        fields={
            "obs": "float32[]",
            "n": "int64",
            "text": "string",
            "pose": {"x": "int8", "grip": {"closed": "bool"}},
            "image": "packed uint8[2,3]",
            "price": "decimal128(10, 2)",
            "when": "timestamp[us, tz=UTC]",
            "a.b": "uint64",
        }
    )
    made.append_step(
        {
            "obs": [1, 2.5],
            "n": 5,
            "text": "héllo",
            "pose": {"x": 1, "grip": {"closed": True}},
            "image": np.arange(6).reshape(2, 3),
            "price": decimal.Decimal("1.25"),
            "when": np.datetime64("2020-01-01"),
            "a.b": 2**64 - 1,
        }
    )
    made.append_step({})
    made.append_step({"pose": {"x": None}})
    made.append_step({"pose": {"grip": {}}, "obs": [], "text": ""})
    return made


ROWS = [
    {
        "obs": [1.0, 2.5],
        "n": 5,
        "text": "héllo",
        "pose": {"x": 1, "grip": {"closed": True}},
        "image": [[0, 1, 2], [3, 4, 5]],
        "price": decimal.Decimal("1.25"),
        "when": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
        "a.b": 2**64 - 1,
    },
    dict.fromkeys(["obs", "n", "text", "pose", "image", "price", "when", "a.b"]),
    {
        **dict.fromkeys(["obs", "n", "text", "image", "price", "when", "a.b"]),
        "pose": {"x": None, "grip": None},
    },
    {
        **dict.fromkeys(["n", "image", "price", "when", "a.b"]),
        "obs": [],
        "text": "",
        "pose": {"x": None, "grip": {"closed": None}},
    },
]


def test_pyarrow_reads_a_store(store: StreamStore) -> None:
    table = pa.table(store)
    table.validate(full=True)
    assert table.to_pylist() == ROWS
    assert table.schema.field("pose").type == pa.struct(
        [("x", pa.int8()), ("grip", pa.struct([("closed", pa.bool_())]))]
    )
    assert all(field.nullable for field in table.schema)


def test_polars_reads_a_store(store: StreamStore) -> None:
    frame = pl.DataFrame(store)
    assert frame["n"].to_list() == [5, None, None, None]
    assert frame["obs"].to_list() == [[1.0, 2.5], None, None, []]
    assert frame["text"].to_list() == ["héllo", None, None, ""]
    assert frame["pose"].to_list() == [row["pose"] for row in ROWS]


def test_duckdb_reads_a_store(store: StreamStore) -> None:
    assert store.num_rows == 4  # DuckDB finds the variable by its name
    found = duckdb.sql('select n, text, pose, "a.b" from store where text is not null')
    assert found.fetchall() == [
        (5, "héllo", ROWS[0]["pose"], 2**64 - 1),
        (None, "", ROWS[3]["pose"], None),
    ]


def test_polars_and_duckdb_write_to_a_store() -> None:
    frame = pl.DataFrame({"n": [1, None, 3], "t": ["a", "a longer text than twelve", None]})
    from_polars = StreamStore()
    assert from_polars.from_arrow(frame) == 3
    from_duckdb = StreamStore()
    assert from_duckdb.from_arrow(duckdb.sql("select n, t from frame")) == 3
    for made in (from_polars, from_duckdb):
        assert [tuple(row.values()) for row in made.rows()] == frame.rows()


def test_polars_categories_and_lists_arrive() -> None:
    frame = pl.DataFrame(
        {
            "c": pl.Series(["x", None, "y"], dtype=pl.Categorical),
            "l": [[1, 2], [], None],
            "f": pl.Series([[1.0, 2.0], None, [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)),
            "d": [datetime.date(2020, 1, 1), None, datetime.date(1960, 1, 1)],
        }
    )
    store = StreamStore()
    store.from_arrow(frame)
    rows = [
        [
            None if value is None else value.tolist() if hasattr(value, "tolist") else value
            for value in row.values()
        ]
        for row in store.rows()
    ]
    assert rows == [list(row) for row in frame.rows()]


def test_a_part_of_a_store_is_chosen_as_by_a_slice() -> None:
    store = filled(10)
    whole = store.to_arrow().read_all()
    for start, stop in [(0, None), (3, 7), (-3, None), (2, -2), (8, 3), (100, 200), (0, 0)]:
        expected = whole.slice(0).to_pylist()[start:stop]
        assert store.to_arrow(start, stop).read_all().to_pylist() == expected


def test_a_stream_owns_its_snapshot() -> None:
    store = filled(10)
    reader = store.to_arrow()
    append_rows(store, 5, first=10)
    store.close()
    del store
    gc.collect()
    assert reader.read_all().num_rows == 10


def test_a_table_outlives_its_store(tmp_path: Any) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append_rows(store, 100)
        table = pa.table(store)
    del store
    gc.collect()
    assert table["action"].to_pylist() == list(range(100))


def test_readers_and_snapshots_export_too(tmp_path: Any) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        append_rows(store, 10)
        with StreamStore(tmp_path / "s", "r") as reader:
            assert pa.table(reader).num_rows == 10
            assert pa.table(reader.snapshot(4)).num_rows == 4


def test_a_requested_schema_is_honoured() -> None:
    store = filled(4)
    asked = pa.schema(
        {
            "done": pa.bool_(),
            "action": pa.int8(),
            "reward": pa.float64(),
            "observation": pa.large_list(pa.float64()),
        },
        metadata={"mine": "kept"},
    )
    table = pa.RecordBatchReader.from_stream(store, schema=asked).read_all()
    assert table.schema.equals(asked, check_metadata=True)
    assert table["reward"].to_pylist() == [0.0, 0.5, 1.0, 1.5]
    append_rows(store, 200, first=4)
    with pytest.raises(ValueError, match=r"'action': row 128: 128 is not a valid int8"):
        pa.RecordBatchReader.from_stream(store, schema=asked).read_all()


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (pa.schema({"action": pa.int64()}), "1 columns"),
        (
            pa.schema(
                {**dict.fromkeys(["observation", "reward", "done"], pa.null()), "x": pa.int8()}
            ),
            "list",
        ),
        (
            pa.schema(
                {
                    "observation": pa.list_(pa.float64()),
                    "action": pa.string(),
                    "reward": pa.float32(),
                    "done": pa.bool_(),
                }
            ),
            "'action' is int64",
        ),
        (
            pa.schema(
                {
                    "observation": pa.list_(pa.int64()),
                    "action": pa.int64(),
                    "reward": pa.float32(),
                    "done": pa.bool_(),
                }
            ),
            "'observation'",
        ),
    ],
)
def test_a_requested_schema_that_does_not_fit_is_refused(schema: pa.Schema, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pa.RecordBatchReader.from_stream(filled(3), schema=schema)


def test_a_store_without_fields_has_no_stream() -> None:
    with pytest.raises(RuntimeError, match="no fields are declared"):
        pa.table(StreamStore())
    closed = filled(1)
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.to_arrow()


def test_an_empty_store_has_its_schema() -> None:
    table = pa.table(StreamStore(fields={"a": "float16[3]", "s": {"x": "string"}}))
    assert table.num_rows == 0
    assert table.schema.types == [pa.list_(pa.float16(), 3), pa.struct([("x", pa.string())])]


def test_pyarrow_reads_the_schema_alone(store: StreamStore) -> None:
    assert pa.schema(store).equals(pa.table(store).schema, check_metadata=True)


def test_many_batches_hold_every_row() -> None:
    store = StreamStore(fields={"image": "packed uint8[100,1000]", "n": "int64"})
    for n in range(2000):
        store.append_step({"image": np.full((100, 1000), n % 251, np.uint8), "n": n})
    rows = 0
    batches = 0
    for batch in store.to_arrow():
        assert batch.nbytes < 80 << 20
        first = batch.column("n")[0].as_py()
        assert first == rows
        assert batch.column("image")[0].values.flatten()[0].as_py() == rows % 251
        rows += batch.num_rows
        batches += 1
    assert rows == 2000
    assert batches == 3


def test_a_store_imports_another() -> None:
    source = StreamStore(fields={"a": "float16[2]", "b": {"c": "string"}})
    source.append_step({"a": [1, 2], "b": {"c": "x"}})
    source.append_step({"b": {}})
    copy = StreamStore()
    assert copy.from_arrow(source) == 2
    assert copy.features == source.features
    assert pa.table(copy).equals(pa.table(source))


def test_a_row_without_a_value_makes_a_column_nullable() -> None:
    """A row may be completed later, so it must not keep the others from being read."""
    whole = pa.schema(
        [
            pa.field("x", pa.int8(), nullable=False),
            pa.field("s", pa.struct([pa.field("a", pa.int8(), nullable=False)]), nullable=False),
        ]
    )
    store = StreamStore(fields={"y": "int8"} | {name: whole.field(name) for name in whole.names})

    def declared() -> tuple[bool, bool, bool]:
        """Which of x, s and s.a are not null, which schema and stream say alike."""
        schema = pa.table(store).schema
        assert pa.schema(store) == schema
        return (
            not schema.field("x").nullable,
            not schema.field("s").nullable,
            not schema.field("s").type[0].nullable,
        )

    assert declared() == (True, True, True)
    store.append_step({"x": 1, "s": {"a": 2}})
    assert declared() == (True, True, True)
    store.append_step({"y": 1})
    assert declared() == (False, False, True)
    assert pa.table(store)["x"].to_pylist() == [1, None]
    assert pl.DataFrame(store)["x"].to_list() == [1, None]
    assert not store.to_arrow(stop=1).schema.field("x").nullable
    with pytest.raises(pa.ArrowInvalid, match="column 'x': row 1: expected a value"):
        pa.table(store, schema=pa.schema([*whole, ("y", pa.int8())]))
    store.append([1, 1], ["x", "s.a"], [3, 4])
    assert declared() == (True, True, True)
    store.append_step({"x": 1, "s": {}})
    assert declared() == (True, True, False)
    copy = StreamStore()
    copy.from_arrow(store)
    assert pa.table(copy).equals(pa.table(store))
