"""from_arrow without declared fields: the data decides which columns are nested or packed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from stream_store import StreamStore


def storage(store: StreamStore) -> dict[str, str]:
    """How each field is stored: plain, packed or nested."""
    return {
        spec[0]: "nested" if spec[7] else "packed" if spec[4] else "plain"
        for spec in store._field_specs()
        if not spec[6]
    }


HOLES = [[1, 2], None, [3, None]]
FULL = [[1, 2], None, [3, 4]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int64()),
        pa.large_list(pa.int64()),
        pa.list_(pa.int64(), 2),
        pa.list_view(pa.int64()),
        pa.large_list_view(pa.int64()),
    ],
    ids=str,
)
def test_a_null_inside_any_kind_of_list_makes_it_nested(kind: pa.DataType) -> None:
    for values, expected in ((HOLES, "nested"), (FULL, "plain")):
        store = StreamStore()
        store.from_arrow(pa.table({"x": pa.array(values, kind)}))
        assert storage(store) == {"x": expected}
        assert pa.table(store)["x"].to_pylist() == values
        sliced = StreamStore()
        sliced.from_arrow(pa.table({"x": pa.array([*values, [None, None]], kind)}).slice(0, 2))
        assert storage(sliced) == {"x": "plain"}, "the null is outside of the slice"


def test_a_null_under_a_missing_list_or_struct_does_not_count() -> None:
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array([1, 2, None, None]), 2, mask=pa.array([False, True])
    )
    structs = pa.StructArray.from_arrays(
        [pa.array([[1], [None]])], names=["l"], mask=pa.array([False, True])
    )
    store = StreamStore()
    store.from_arrow(pa.table({"a": lists, "b": structs}))
    assert storage(store) == {"a": "plain", "b.l": "plain"}


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
     pa.binary_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)  # fmt: skip
def test_texts_of_more_than_64_bytes_on_average_are_packed(kind: pa.DataType) -> None:
    text = pa.types.is_dictionary(kind) or "string" in str(kind)
    one = "a" if text else b"a"
    for sizes, expected in (([64, 64], "plain"), ([64, 65], "packed"), ([0, 129], "packed")):
        values = [one * sizes[0], None, one * sizes[1]]
        plain = pa.array(values, kind.value_type if pa.types.is_dictionary(kind) else kind)
        array = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain
        store = StreamStore()
        store.from_arrow(pa.table({"x": array}))
        assert storage(store) == {"x": expected}
        assert pa.table(store)["x"].to_pylist() == values


def streams(batches: list[pa.RecordBatch]) -> dict[str, Any]:
    """The same batches as every kind of object that can be read once."""
    reader = pa.RecordBatchReader.from_batches

    class Foreign:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return reader(batches[0].schema, batches).__arrow_c_stream__(requested_schema)

    return {
        "reader": reader(batches[0].schema, batches),
        "capsule": reader(batches[0].schema, batches).__arrow_c_stream__(),
        "foreign": Foreign(),
    }


@pytest.mark.parametrize("name", ["reader", "capsule", "foreign"])
def test_the_first_batch_of_a_stream_decides(name: str) -> None:
    full, holes = pa.record_batch({"x": [[1], []]}), pa.record_batch({"x": [[2], [None]]})
    store = StreamStore()
    store.from_arrow(streams([holes, full])[name])
    assert storage(store) == {"x": "nested"}
    assert pa.table(store)["x"].to_pylist() == [[2], [None], [1], []]
    other = StreamStore()
    with pytest.raises(ValueError, match=r"column 'x', row 3: .*declare .*\"nested list<int64>\""):
        other.from_arrow(streams([full, holes])[name])
    assert other.fields == ()
    declared = StreamStore(fields={"x": "nested list<int64>"})
    declared.from_arrow(streams([full, holes])[name])
    assert pa.table(declared)["x"].to_pylist() == [[1], [], [2], [None]]
    whole = StreamStore()
    whole.from_arrow(pa.Table.from_batches([full, holes]))
    assert storage(whole) == {"x": "nested"}, "of a table, every chunk is looked at"


def test_a_batch_with_other_columns_than_its_stream_is_refused() -> None:
    batches = [pa.record_batch({"x": [[1]]}), pa.record_batch({"x": [[None]]})]  # a list of nulls
    stream = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    with pytest.raises(ValueError, match="x: list<item: null>"):
        StreamStore().from_arrow(stream)


def test_a_stream_without_batches_is_empty() -> None:
    schema = pa.schema({"x": pa.list_(pa.int64())})
    for stream in (pa.RecordBatchReader.from_batches(schema, []), schema.empty_table()):
        store = StreamStore()
        assert store.from_arrow(stream) == 0
        assert store.fields == ("x",)


def test_structs_inside_dictionaries_and_runs_become_structs() -> None:
    structs = pa.array([{"a": 1}, None, {"a": None}])
    words = pa.DictionaryArray.from_arrays(pa.array([0, None, 2, 1]), structs)
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 3, 4], pa.int32()), structs)
    for values, expected in (
        (words, [{"a": 1}, None, {"a": None}, None]),
        (runs, [{"a": 1}, None, None, {"a": None}]),
    ):
        table = pa.table({"x": values})
        store = StreamStore()
        assert store.from_arrow(table) == 4
        assert pa.table(store)["x"].to_pylist() == expected
        assert store.from_arrow(table.slice(1), append=True) == 3
        assert pa.table(store)["x"].to_pylist() == expected + expected[1:]


def test_a_null_in_a_column_that_is_not_null_is_refused() -> None:
    store = StreamStore(fields={"x": "int8", "s": {"a": "int8"}})
    for kind, values, place in (
        (pa.field("x", pa.int8(), nullable=False), [1, None], "'x', row 1"),
        (pa.field("s", pa.struct([("a", pa.int8())]), nullable=False), [{}, None], "'s', row 1"),
        (
            pa.field("s", pa.struct([pa.field("a", pa.int8(), nullable=False)])),
            [{"a": 1}, None, {}],
            r"'s\.a', row 2",
        ),
    ):
        batch = pa.table([pa.array(values, kind.type)], schema=pa.schema([kind]))
        with pytest.raises(ValueError, match=f"column {place}: expected a value, because"):
            store.from_arrow(batch)
        assert store.num_rows == 0
