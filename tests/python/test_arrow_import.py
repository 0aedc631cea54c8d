"""Import of Arrow data: every type, buffers with any offset, refusals and their messages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from arrow_model import ARRAYS, TYPES, Nulls, assert_same, column, shaped_column
from stream_store import StreamStore

NULLS: list[Nulls] = ["none", "some", "all", "edges"]


def exported(store: StreamStore) -> pa.Table:
    table = pa.table(store)
    table.validate(full=True)
    return table


def imported(table: Any, **arguments: Any) -> StreamStore:
    store = StreamStore(**arguments)
    store.from_arrow(table)
    return store


def without_lists(array: pa.Array) -> Any:
    """A value of a row, with arrays as nested lists."""
    return array.tolist() if isinstance(array, np.ndarray) else array


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("name", TYPES)
def test_every_type_comes_back_bit_for_bit(name: str, nulls: Nulls) -> None:
    rng = np.random.default_rng(len(name))
    array = column(TYPES[name], 300, nulls, rng)
    table = pa.table({name: array})
    store = imported(table)
    assert store.num_rows == 300
    back = exported(store)
    assert back.schema.field(name).type == array.type
    assert_same(back[name], array)


@pytest.mark.parametrize("name", TYPES)
def test_sliced_and_chunked_columns_are_read_where_they_begin(name: str) -> None:
    rng = np.random.default_rng(1)
    array = column(TYPES[name], 500, "some", rng)
    other = column(TYPES[name], 20, "all", rng)
    chunks = [array[7:40], array[40:41], array[:0], other[3:11], array[333:]]
    store = imported(pa.table({name: pa.chunked_array(chunks)}))
    assert_same(exported(store)[name], pa.concat_arrays(chunks))


def lists_of(store: StreamStore, name: str) -> list[Any]:
    return [without_lists(row[name]) for row in store.rows()]


def test_a_batch_with_an_offset_of_its_own_is_read_where_it_begins() -> None:
    """A stream of sliced structs: the offset is that of the batch, not of its columns."""
    rows = pa.StructArray.from_arrays(
        [
            pa.array(range(10)),
            pa.array([[i, -i] for i in range(10)]),
            pa.array([f"row {i}" for i in range(10)]),
            pa.array([i % 3 == 0 for i in range(10)]),
        ],
        ["n", "l", "t", "b"],
    )
    store = imported(Capsules(pa.chunked_array([rows[4:7], rows[9:]])))
    assert [
        {key: without_lists(value) for key, value in row.items()} for row in store.rows()
    ] == rows.take(pa.array([4, 5, 6, 9])).to_pylist()


def test_rows_that_are_missing_in_a_batch_with_an_offset_stay_missing() -> None:
    rows = pa.StructArray.from_arrays(
        [
            pa.array([1, None, 3, None, 5]),
            pa.StructArray.from_arrays(
                [pa.array([1, 2, 3, 4, None])],
                ["x"],
                mask=pa.array([False, True, False, True, False]),
            ),
        ],
        ["n", "s"],
    )
    store = imported(Capsules(pa.chunked_array([rows[1:]])))
    assert [row["n"] for row in store.rows()] == [None, 3, None, 5]
    assert [row["s"] for row in store.rows()] == [None, {"x": 3}, None, {"x": None}]


@pytest.mark.parametrize("item", [pa.int16(), pa.bool_(), pa.float32()])
def test_lists_whose_items_have_an_offset_are_read_where_they_begin(item: pa.DataType) -> None:
    whole = pa.array([1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0]).cast(item)
    items = whole[3:]  # 1 1 0 1 0 1 1 0
    expected = [[1], [1, 0], [], [1, 0, 1, 1]]
    for lists in (
        pa.ListArray.from_arrays(pa.array([0, 1, 3, 3, 7]), items),
        pa.LargeListArray.from_arrays(pa.array([0, 1, 3, 3, 7], pa.int64()), items),
        pa.ListViewArray.from_arrays(pa.array([0, 1, 3, 3]), pa.array([1, 2, 0, 4]), items),
    ):
        assert lists_of(imported(pa.table({"l": lists})), "l") == expected
        assert lists_of(imported(pa.table({"l": lists[1:]})), "l") == expected[1:]
    fixed = pa.FixedSizeListArray.from_arrays(items, 2)
    assert lists_of(imported(pa.table({"l": fixed})), "l") == [[1, 1], [0, 1], [0, 1], [1, 0]]
    assert lists_of(imported(pa.table({"l": fixed[1:]})), "l") == [[0, 1], [0, 1], [1, 0]]


def test_lists_of_lists_with_an_offset_are_read_where_they_begin() -> None:
    inner = pa.FixedSizeListArray.from_arrays(pa.array(range(10)), 2)[1:]
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 3, 4]), inner)
    expected = [[[2, 3]], [[4, 5], [6, 7]], [[8, 9]]]
    store = imported(pa.table({"l": lists}))
    assert lists_of(store, "l") == expected
    assert exported(store)["l"].to_pylist() == expected
    assert lists_of(imported(pa.table({"l": lists[1:]})), "l") == expected[1:]


def test_the_words_of_a_decimal_keep_their_order() -> None:
    """The lowest word comes first, in a store as in Arrow."""
    words = [3, 2**63 - 5, 7, 11]
    number = Decimal(sum(word << 64 * i for i, word in enumerate(words)))
    negative = number.copy_negate()  # a minus sign would round
    table = pa.table({"d": pa.array([number, negative], pa.decimal256(76, 0))})
    store = imported(table)
    inverted = [~word for word in words]  # two's complement
    inverted[0] += 1
    assert store[:]["values"].tolist() == words + inverted
    assert [row["d"] for row in store.rows()] == [number, negative]
    assert exported(store).equals(table)
    again = StreamStore(fields={"d": "decimal256(76, 0)"})
    again.append_step({"d": number})
    again.append_step({"d": negative})
    assert again[:]["values"].tolist() == words + inverted
    small = StreamStore(fields={"d": "decimal128(38, 0)"})
    small.append_step({"d": Decimal(5 + (9 << 64))})
    assert small[:]["values"].tolist() == [5, 9]
    assert exported(small)["d"].to_pylist() == [Decimal(5 + (9 << 64))]


@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_a_fixed_shape_come_back(name: str, nulls: Nulls) -> None:
    feature, kind, shape = ARRAYS[name]
    array = shaped_column(kind, shape, 100, nulls, np.random.default_rng(2))
    store = StreamStore(fields={name: feature})
    assert store.from_arrow(pa.table({name: array[11:]})) == 89
    assert_same(exported(store)[name], array[11:])


def test_rows_read_as_the_values_that_were_imported() -> None:
    table = pa.table(
        {
            "n": pa.array([1, None, -3], pa.int16()),
            "t": ["a", "", None],
            "l": pa.array([[1.5], None, []], pa.list_(pa.float32())),
            "s": pa.array(
                [{"x": 1, "y": None}, None, {"x": None, "y": None}],
                pa.struct([("x", pa.int8()), ("y", pa.string())]),
            ),
        }
    )
    store = imported(table)
    rows = [{key: without_lists(value) for key, value in row.items()} for row in store.rows()]
    assert rows == table.to_pylist()
    assert store[:]["step"].tolist() == [0, 0, 0, 0, 2]
    assert store.row(2)["s"] == {"x": None, "y": None}


def test_rows_of_nulls_are_rows() -> None:
    table = pa.table({"a": pa.array([None] * 5, pa.int8()), "b": pa.nulls(5)})
    store = imported(table)
    assert (store.num_rows, len(store)) == (5, 0)
    assert exported(store).equals(table)


def test_dictionaries_become_their_values() -> None:
    words = pa.array(["x", "yy", None, "x", "yy"]).dictionary_encode()
    numbers = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, None, 1, 1], pa.int8()), pa.array([5, None, 7])
    )
    store = imported(pa.table({"w": words[1:], "n": numbers[1:]}))
    assert [store.row(i)["w"] for i in range(4)] == ["yy", None, "x", "yy"]
    assert [store.row(i)["n"] for i in range(4)] == [5, None, None, None]


def test_dictionaries_with_an_offset_are_read_where_they_begin() -> None:
    words = pa.array(["a", "b", "c", None, "e"])
    sliced = pa.DictionaryArray.from_arrays(pa.array([2, 0, None, 1, 0]), words[2:])
    store = imported(pa.table({"w": sliced}))
    assert [row["w"] for row in store.rows()] == ["e", "c", None, None, "c"]


def test_indices_outside_their_dictionary_are_refused() -> None:
    for index in (-1, 2):
        indices = pa.array([0, index], pa.int8())
        words = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"]), safe=False)
        store = StreamStore(fields={"w": "string"})
        with pytest.raises(ValueError, match=rf"'w', row 1.*index {index}"):
            store.from_arrow(Capsules(pa.table({"w": words})))


def test_text_views_are_read_inline_and_from_every_buffer() -> None:
    texts = ["", "twelve bytes", "thirteen byte", "x" * 40, "y" * 50, "z" * 12, None, "z" * 13]
    parts = [pa.array(texts[i : i + 2], pa.string_view()) for i in range(0, len(texts), 2)]
    store = imported(pa.table({"t": pa.concat_arrays(parts)}))
    assert [row["t"] for row in store.rows()] == texts
    assert exported(store)["t"].to_pylist() == texts


def test_inner_lists_of_a_view_must_have_the_declared_length() -> None:
    for inner, fits in (([[1, 2], [3, 4]], True), ([[1, 2, 3], [4]], False)):
        lists = pa.array(inner, pa.list_(pa.int8()))
        views = pa.ListViewArray.from_arrays(pa.array([0]), pa.array([2]), lists)
        store = StreamStore(fields={"v": "int8[2,2]"})
        if fits:
            store.from_arrow(pa.table({"v": views}))
            assert store.row(0)["v"].tolist() == inner
        else:
            with pytest.raises(ValueError, match=r"'v', row 0: .*of 2 items but found 3"):
                store.from_arrow(pa.table({"v": views}))


def test_list_views_become_lists() -> None:
    views = pa.ListViewArray.from_arrays(
        pa.array([4, 0, 2]), pa.array([1, 2, 0]), pa.array([1, 2, 3, 4, 5.5])
    )
    store = imported(pa.table({"v": views}))
    assert [store.row(i)["v"].tolist() for i in range(3)] == [[5.5], [1, 2], []]


def test_values_under_nulls_are_ignored() -> None:
    inner = pa.array([1, None, 2, 3], pa.int8())
    lists = pa.ListArray.from_arrays(
        pa.array([0, 1, 3, 4]), inner, mask=pa.array([False, True, False])
    )
    store = imported(pa.table({"l": lists}))
    assert [None if row["l"] is None else row["l"].tolist() for row in store.rows()] == [
        [1],
        None,
        [3],
    ]


@pytest.mark.parametrize("target", ["int8", "uint64", "int32[]"])
def test_integers_are_widened_and_narrowed(target: str) -> None:
    values = [0, 1, 127]
    column_ = (
        pa.array([[v] for v in values], pa.list_(pa.int64())) if "[" in target else pa.array(values)
    )
    store = StreamStore(fields={"n": target})
    store.from_arrow(pa.table({"n": column_}))
    assert store[:]["values"].tolist() == values


def test_floats_are_narrowed_where_nothing_is_lost() -> None:
    exact = [0.5, -0.0, float("inf"), 2.0**-149, 65504.0]
    store = StreamStore(fields={"f": "float32", "h": "float16"})
    table = pa.table({"f": exact, "h": pa.array([0.5, -0.0, float("-inf"), 2.0**-24, 65504.0])})
    store.from_arrow(table)
    back = exported(store)
    assert_same(back["f"], pa.array(exact, pa.float32()))
    assert_same(back["h"], pa.array(np.array([0.5, -0.0, -np.inf, 2.0**-24, 65504.0], np.float16)))


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("int8", pa.array([1, 2, 300]), ["'c'", "row 2", "300"]),
        ("uint16", pa.array([1, -1]), ["'c'", "row 1", "-1"]),
        ("int64", pa.array([2**63], pa.uint64()), ["'c'", "row 0"]),
        ("float32", pa.array([0.5, 0.1]), ["'c'", "row 1", "exact"]),
        ("float16", pa.array([1.0, 65505.0]), ["'c'", "row 1", "exact"]),
        ("float16", pa.array([2.0**-25], pa.float32()), ["'c'", "row 0", "exact"]),
        ("float32[]", pa.array([[0.5], [], [0.5, 0.1]]), ["'c'", "row 2", "exact"]),
        ("int64[]", pa.array([[1], [2, None]]), ["'c'", "row 1", "null inside"]),
        ("int64[2]", pa.array([[1, 2], [3]]), ["'c'", "row 1", "2"]),
        (
            "int8[2,2]",
            pa.array([[[1, 2], [3, 4]], [[1, 2, 3], [4]]], pa.list_(pa.list_(pa.int8()))),
            ["'c'", "row 1", "3"],
        ),
        (
            "int8[2,2]",
            pa.array([[[1, 2], None]], pa.list_(pa.list_(pa.int8()))),
            ["'c'", "row 0", "null inside"],
        ),
        ("int8[2,2]", pa.array([[[1, 2]]], pa.list_(pa.list_(pa.int8()))), ["'c'", "row 0"]),
        ("int64", pa.array(["x"]), ["'c'", "string", "int64", "cast"]),
        ("string", pa.array([1]), ["'c'", "string", "int64"]),
        ("bool", pa.array([1]), ["'c'", "bool", "int64"]),
        ("int64", pa.array([True]), ["'c'", "bool", "int64"]),
        ("float32", pa.array([1]), ["'c'", "float32", "int64"]),
        ("int64", pa.array([1.0]), ["'c'", "float64", "int64"]),
        ("binary", pa.array(["x"]), ["'c'", "binary", "string"]),
        ("int64", pa.array([[1]]), ["'c'", "list<int64>", "int64"]),
        ("int64[3]", pa.array([[1, 2]], pa.list_(pa.int64(), 2)), ["'c'", "fixed_size_list[2]"]),
        (
            "timestamp[us]",
            pa.array([1], pa.timestamp("us", "UTC")),
            ["'c'", "tz=UTC", "timestamp[us]"],
        ),
        ("timestamp[us]", pa.array([1], pa.timestamp("ms")), ["'c'", "timestamp[ms]"]),
        (
            "decimal128(5, 2)",
            pa.array([1], pa.decimal128(5, 1)),
            ["'c'", "decimal128(5, 1)", "decimal128(5, 2)"],
        ),
        ("decimal128(5, 2)", pa.array([1], pa.decimal128(6, 2)), ["'c'", "decimal128(6, 2)"]),
        ("fixed_size_binary[3]", pa.array([b"xy"], pa.binary(2)), ["'c'", "fixed_size_binary[2]"]),
    ],
)
def test_a_column_that_does_not_fit_is_named(field: str, values: pa.Array, said: list[str]) -> None:
    store = StreamStore(fields={"c": field, "d": "int64"})
    store.append_step({"d": 1})
    with pytest.raises(ValueError, match=r"Arrow|append") as refusal:
        store.from_arrow(pa.table({"c": values}), append=True)
    for part in said:
        assert part in str(refusal.value)
    assert (store.num_rows, store.row(0)["d"]) == (1, 1)
    store.append_step({"d": 2})


def test_text_that_is_not_utf8_is_named() -> None:
    raw = [None, pa.py_buffer(np.array([0, 1, 3], np.int32)), pa.py_buffer(b"a\xff\xfe")]
    table = pa.table({"t": pa.Array.from_buffers(pa.string(), 2, raw)})
    store = StreamStore(fields={"t": "string"})
    with pytest.raises(ValueError, match=r"row 1.*'t'"):
        store.from_arrow(table)


def test_invalid_offsets_are_refused() -> None:
    raw = [None, pa.py_buffer(np.array([0, 9, 3], np.int32))]
    lists = pa.Array.from_buffers(
        pa.list_(pa.int8()), 2, raw, children=[pa.array([1, 2, 3], pa.int8())]
    )
    batch = pa.record_batch({"l": lists})
    store = StreamStore(fields={"l": "int8[]"})
    with pytest.raises(ValueError, match="'l', row 0"):
        store.from_arrow(Capsules(pa.table(batch)))  # as a foreign stream: not validated
    assert store.num_rows == 0


class Capsules:
    """An Arrow producer that does not look like a class of pyarrow."""

    def __init__(self, table: pa.Table | pa.ChunkedArray) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def test_classes_are_checked_against_their_names() -> None:
    datasets = pytest.importorskip("datasets")
    store = StreamStore(fields={"c": datasets.ClassLabel(names=["no", "yes"])})
    assert store.from_arrow(pa.table({"c": [0, 1, -1, None]})) == 4
    with pytest.raises(ValueError, match=r"'c', row 1: .* number of classes, but found 2"):
        store.from_arrow(pa.table({"c": [0, 2]}))
    assert store.num_rows == 4


def test_undeclared_columns_are_ignored_and_absent_ones_missing() -> None:
    store = StreamStore(fields={"b": "int8", "a": "int64", "gone": "string"})
    assert store.from_arrow(pa.table({"x": [None, "y"], "a": [1, 2], "b": [3, None]})) == 2
    assert [store.row(0)[name] for name in store.fields] == [3, 1, None]
    assert store.index_table()["type"].tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="no column is a field"):
        store.from_arrow(pa.table({"x": [1]}))


def test_only_a_struct_without_values_is_marked() -> None:
    """A struct that holds a value needs no marker, which would cost a field-write for each row."""
    store = imported(pa.table({"s": [{"x": 1}, {"x": None}, None, {"x": 4}]}))
    x, marker = 0, 1
    assert store.index_table()["type"].tolist() == [x, marker, x]
    assert [row["s"] for row in store.rows()] == [{"x": 1}, {"x": None}, None, {"x": 4}]


def test_structs_with_unknown_fields_are_refused() -> None:
    store = StreamStore(fields={"s": {"x": "int64", "y": "int64"}})
    store.from_arrow(pa.table({"s": [{"x": 1}, None]}))
    assert [row["s"] for row in store.rows()] == [{"x": 1, "y": None}, None]
    with pytest.raises(ValueError, match="'s' has a field 'z'"):
        store.from_arrow(pa.table({"s": [{"x": 1, "z": 1}]}))
    with pytest.raises(ValueError, match="'s' is int64"):
        store.from_arrow(pa.table({"s": [1]}))


def test_append_continues_and_replacement_starts_over() -> None:
    store = StreamStore(fields={"a": "int64"})
    store.append_step({"a": 9}, step=41)
    table = pa.table({"a": [1, 2]})
    assert store.from_arrow(table, append=True) == 2
    assert store[:]["step"].tolist() == [41, 42, 43]
    before = store.snapshot()
    identity = store.id
    assert store.from_arrow(table) == 2
    assert store[:]["step"].tolist() == [0, 1]
    assert store.id != identity
    assert before.num_rows == 3
    assert store.append_step({"a": 3}) == 2


def test_a_persistent_store_with_rows_needs_append(tmp_path: Any) -> None:
    table = pa.table({"a": [1, 2]})
    with StreamStore(tmp_path / "s") as store:
        assert not (tmp_path / "s").exists()
        store.from_arrow(table)
        with pytest.raises(ValueError, match="append=True"):
            store.from_arrow(table)
        assert store.from_arrow(table, append=True) == 2
    with StreamStore(tmp_path / "s", "r") as reader:
        assert reader[:]["values"].tolist() == [1, 2, 1, 2]
        with pytest.raises(io.UnsupportedOperation):
            reader.from_arrow(table)
    with pytest.raises(ValueError, match="closed"):
        store.from_arrow(table)


def test_a_failed_first_import_leaves_nothing(tmp_path: Any) -> None:
    with StreamStore(tmp_path / "s") as store:
        schema = pa.schema({"l": pa.list_(pa.int64())})
        batches = [pa.record_batch({"l": cell}, schema) for cell in ([[1]], [[None]])]
        stream = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
        with pytest.raises(ValueError, match=r"'l', row 1.*null inside.*nested list<int64>"):
            store.from_arrow(stream)
        assert list(tmp_path.iterdir()) == []
        assert store.fields == ()
        store.from_arrow(pa.table({"other": [1]}))
        assert store.fields == ("other",)


def test_a_stream_that_fails_midway_leaves_the_store_as_it_was() -> None:
    schema = pa.schema({"a": pa.int64()})

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": pa.array(range(50_000))})
        raise OSError("the disk went away")

    store = StreamStore(fields={"a": "int64"})
    store.append_step({"a": 1})
    with pytest.raises((OSError, ValueError), match="the disk went away"):
        store.from_arrow(pa.RecordBatchReader.from_batches(schema, batches()), append=True)
    assert store.num_rows == 1
    store.append_step({"a": 2})
    assert store[:]["values"].tolist() == [1, 2]


def test_the_producer_of_an_import_cannot_write_to_the_store() -> None:
    store = StreamStore(fields={"a": "int64"})
    errors: list[str] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for act in (lambda: store.append_step({"a": 1}), store.clear, store.close):
            try:
                act()
            except RuntimeError as error:
                errors.append(str(error))
        yield pa.record_batch({"a": pa.array([store.num_rows])})

    reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), batches())
    assert store.from_arrow(reader) == 1
    assert len(errors) == 3
    assert all("target of an import" in error for error in errors)
    assert store[:]["values"].tolist() == [0]


@pytest.mark.parametrize("wrong", [None, 3, "text", [1], {"a": [1]}, object()])
def test_objects_without_an_arrow_stream_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="Arrow stream"):
        StreamStore().from_arrow(wrong)


def test_a_stream_is_read_once() -> None:
    capsule = pa.table({"a": [1]}).__arrow_c_stream__()
    store = StreamStore()
    store.from_arrow(capsule)
    with pytest.raises(ValueError, match="read already"):
        StreamStore().from_arrow(capsule)


def test_unions_are_refused_and_named() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2])] * 2)
    table = pa.table(
        {"ok": [1, 2], "one": union, "in_list": pa.ListArray.from_arrays([0, 1, 2], union)}
    )
    with pytest.raises(ValueError, match="union") as refusal:
        StreamStore().from_arrow(table)
    assert "'one'" in str(refusal.value)
    assert "'in_list'" in str(refusal.value)
