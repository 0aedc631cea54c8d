"""Arrow data of random nested types, through a store and back; pyarrow is the oracle.

A table that comes back must equal the one that was imported: types with their field metadata, `not
null`, names of children, nulls at every level and every value.
"""

from __future__ import annotations

import datetime
import decimal
import random
import string
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_store import StreamStore
from stream_store._exchange.arrow import Rows
from stream_store._fields import declared_fields

DEPTH = 4  # nodes from the root of a random type to a leaf, at most

LEAVES = [
    pa.null(),
    pa.bool_(),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.string(), pa.large_string(), pa.string_view()),
    *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3), pa.binary(0)),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns")),
    *(pa.timestamp("us"), pa.timestamp("ns", "Europe/Zurich"), pa.duration("ms")),
    *(pa.decimal32(5, 2), pa.decimal64(12, 3), pa.decimal128(20, 4), pa.decimal256(50, 0)),
    pa.month_day_nano_interval(),
]


@st.composite
def fields(draw: st.DrawFn, name: str, depth: int) -> pa.Field:
    """A field of a random type, sometimes not null or with metadata."""
    kind = draw(types(depth))
    metadata = (
        {"key": draw(st.sampled_from(["", "value"]))} if draw(st.integers(0, 5)) == 0 else None
    )
    nullable = pa.types.is_null(kind) or draw(st.integers(0, 3)) > 0
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


@st.composite
def types(draw: st.DrawFn, depth: int) -> pa.DataType:
    """A random type of at most `depth` levels."""
    if depth == 1:
        return draw(st.sampled_from(LEAVES))
    kind = draw(st.sampled_from(["leaf", "list", "fixed", "struct", "map"]))
    if kind == "leaf":
        return draw(st.sampled_from(LEAVES))
    if kind == "list":
        make = draw(st.sampled_from([pa.list_, pa.large_list, pa.list_view, pa.large_list_view]))
        return make(draw(fields(draw(st.sampled_from(["item", "element"])), depth - 1)))
    if kind == "fixed":
        return pa.list_(draw(fields("item", depth - 1)), draw(st.integers(0, 3)))
    if kind == "map":
        key = draw(st.sampled_from([pa.string(), pa.int32(), pa.date32()]))
        item = draw(fields("value", depth - 1))
        return pa.map_(pa.field("key", key, nullable=False), item)
    names = draw(st.lists(st.sampled_from(["a", "b", "c d", "é"]), unique=True, max_size=3))
    return pa.struct([draw(fields(name, depth - 1)) for name in names])


class Values:
    """Random values of a type, as Python objects for `pa.array`."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def column(self, field: pa.Field, rows: int) -> list[Any]:
        return [self.value(field) for _ in range(rows)]

    def value(self, field: pa.Field) -> Any:
        kind = field.type
        if pa.types.is_null(kind) or (field.nullable and self.rng.random() < 0.25):
            return None
        if pa.types.is_map(kind):
            pairs = range(self.rng.randrange(4))
            return [(self.present(kind.key_type), self.value(kind.item_field)) for _ in pairs]
        if pa.types.is_struct(kind):
            return {child.name: self.value(child) for child in kind}
        if pa.types.is_fixed_size_list(kind):
            return self.column(kind.value_field, kind.list_size)
        if hasattr(kind, "value_field"):
            return self.column(kind.value_field, self.rng.randrange(4))
        return self.present(kind)

    def present(self, kind: pa.DataType) -> Any:
        rng = self.rng
        if pa.types.is_boolean(kind):
            return rng.random() < 0.5
        if pa.types.is_integer(kind):
            bits = kind.bit_width
            number = rng.getrandbits(bits)
            signed = pa.types.is_signed_integer(kind)
            return number - (1 << (bits - 1)) if signed else number
        if pa.types.is_floating(kind):
            return float(rng.randrange(-100, 100)) / 4
        if pa.types.is_decimal(kind):
            digits = rng.randrange(10 ** min(kind.precision, 20))
            return decimal.Decimal(digits).scaleb(-kind.scale)
        if pa.types.is_fixed_size_binary(kind):
            return rng.randbytes(kind.byte_width)
        if "string" in str(kind):
            return "".join(rng.choices(string.ascii_letters + "é€", k=rng.randrange(20)))
        if "binary" in str(kind):
            return rng.randbytes(rng.randrange(20))
        if pa.types.is_interval(kind):
            return pa.MonthDayNano([rng.randrange(-9, 9), rng.randrange(99), rng.randrange(10**9)])
        return self.moment(kind)

    def moment(self, kind: pa.DataType) -> Any:
        seconds = self.rng.randrange(86_400)
        if pa.types.is_date(kind):
            return datetime.date(1970, 1, 1) + datetime.timedelta(days=seconds)
        if pa.types.is_time(kind):
            return (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)).time()
        if pa.types.is_timestamp(kind):
            zone = datetime.timezone.utc if kind.tz else None
            return datetime.datetime(2020, 1, 1, tzinfo=zone) + datetime.timedelta(seconds=seconds)
        return datetime.timedelta(seconds=seconds)


def table_of(column: pa.Field, rows: int, seed: int) -> pa.Table:
    array = pa.array(Values(seed).column(column, rows), column.type)
    return pa.table([array], schema=pa.schema([column]))


def stored(table: pa.Table) -> StreamStore:
    store = StreamStore()
    store.from_arrow(table)
    return store


def assert_comes_back(store: StreamStore, table: pa.Table) -> None:
    back = pa.table(store)
    back.validate(full=True)
    for own, field in zip(back.schema, table.schema, strict=True):
        assert own.equals(field, check_metadata=True), f"{own} is not {field}"
    assert back.equals(table)


@given(fields("x", DEPTH), st.integers(0, 30), st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_random_nested_columns_come_back(column: pa.Field, rows: int, seed: int) -> None:
    table = table_of(column, rows, seed)
    assert_comes_back(stored(table), table)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), fields("x", 3), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_slices_and_chunks_are_read_where_they_begin(
    starts: list[int], column: pa.Field, seed: int
) -> None:
    whole = table_of(column, 20, seed)
    pieces = [whole.slice(start, start * 3 + 1) for start in starts] + [whole.slice(5)]
    table = pa.concat_tables([*pieces, whole.slice(0, 0)])
    assert_comes_back(stored(table), table)


@given(fields("x", DEPTH), st.integers(1, 300), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_small_batches_hold_the_same_rows(column: pa.Field, batch_bytes: int, seed: int) -> None:
    table = table_of(column, 40, seed)
    store = stored(table)
    rows = Rows(store, declared_fields(store), batch_bytes=batch_bytes)
    batches = list(pa.RecordBatchReader.from_stream(rows))
    assert len(batches) > 1
    back = pa.Table.from_batches(batches)
    back.validate(full=True)
    assert back["x"].equals(table["x"])


def test_nans_keep_their_bits() -> None:
    bits = [0x7FF8000000000001, 0xFFF0000000000000, 0x8000000000000000, 0x7FF0000000000001]
    items = pa.array(bits, pa.uint64()).view(pa.float64())
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 1, 4], pa.int32()), items)
    table = pa.table({"x": pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), lists)})
    back = pa.table(stored(table))["x"].combine_chunks()
    assert back.flatten().flatten().view(pa.uint64()).to_pylist() == bits


@pytest.mark.parametrize(
    "kind",
    [pa.json_(), pa.uuid(), pa.bool8(), pa.fixed_shape_tensor(pa.int32(), [2, 2])],
    ids=["json", "uuid", "bool8", "tensor"],
)
@pytest.mark.parametrize("nested", [False, True])
def test_extension_types_come_back(kind: pa.DataType, nested: bool) -> None:
    storage = {
        "extension<arrow.json>": ['{"a": 1}', None, "[]"],
        "extension<arrow.uuid>": [b"0123456789abcdef", None, bytes(16)],
        "extension<arrow.bool8>": [1, None, 0],
    }
    values = storage.get(str(kind), [[1, 2, 3, 4], None, [5, 6, 7, 8]])
    array = pa.array(values, kind.storage_type)
    if nested:
        lists = pa.ListArray.from_arrays(pa.array([0, 2, 3], pa.int32()), array)
        field = pa.field("x", pa.list_(pa.field("item", kind)))
        table = pa.table([lists.cast(field.type)], schema=pa.schema([field]))
    else:
        table = pa.table({"x": pa.ExtensionArray.from_storage(kind, array)})
    assert_comes_back(stored(table), table)


# The types that hold the same values as others: a consumer may request any of them.
VARIANTS = {
    pa.string(): [pa.large_string(), pa.string_view()],
    pa.binary_view(): [pa.binary(), pa.large_binary()],
}


def variant(kind: pa.DataType, rng: random.Random) -> pa.DataType:
    """A type of the same values."""

    def child(field: pa.Field) -> pa.Field:
        return field.with_type(variant(field.type, rng))

    if pa.types.is_struct(kind):
        return pa.struct([child(field) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(variant(kind.key_type, rng), child(kind.item_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(child(kind.value_field), kind.list_size)
    if hasattr(kind, "value_field"):
        make = rng.choice([pa.list_, pa.large_list, pa.list_view, pa.large_list_view])
        return make(child(kind.value_field).with_name(rng.choice(["item", "x"])))
    return rng.choice([kind, *VARIANTS.get(kind, [])])


@given(fields("x", DEPTH), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_consumers_may_request_other_types_of_the_same_values(column: pa.Field, seed: int) -> None:
    table = table_of(column, 20, seed)
    asked = pa.schema([column.with_type(variant(column.type, random.Random(seed)))])
    back = pa.RecordBatchReader.from_stream(stored(table), schema=asked).read_all()
    back.validate(full=True)
    assert back.schema.equals(asked)
    assert back["x"].to_pylist() == table["x"].to_pylist()


def test_a_requested_type_without_nulls_names_the_row_and_place() -> None:
    kind = pa.list_(pa.struct([("role", pa.string())]))
    table = pa.table({"x": pa.array([[{"role": "a"}], [{"role": None}]], kind)})
    child = pa.field("role", pa.string(), nullable=False)
    asked = pa.schema([("x", pa.list_(pa.struct([child])))])
    reader = pa.RecordBatchReader.from_stream(stored(table), schema=asked)
    with pytest.raises(pa.ArrowInvalid, match=r"'x': row 1: .* 'x\[\]\.role'"):
        reader.read_all()
