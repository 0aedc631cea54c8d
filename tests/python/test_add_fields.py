"""add_fields(): old and new rows, live readers, what exists already, and refused calls."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
from decimal import Decimal

import numpy as np
import pytest

import stream_store
from store_helpers import plain, rows_of
from stream_store import StreamStore

# A feature of each kind, and two values of it as row() returns them.
FEATURES = {
    **{name: (name, [1, 0]) for name in ("int8", "int16", "int32", "int64")},
    **{name: (name, [200, 0]) for name in ("uint8", "uint16", "uint32", "uint64")},
    **{name: (name, [0.5, -2.0]) for name in ("float16", "float32", "float64")},
    "bool": ("bool", [True, False]),
    "string": ("string", ["some text", ""]),
    "binary": ("binary", [b"\0\1", b""]),
    "fixed_size_binary": ("fixed_size_binary[3]", [b"abc", b"\0\0\0"]),
    "date32": ("date32", [np.datetime64("2020-02-29", "D"), np.datetime64(0, "D")]),
    "time64": ("time64[us]", [np.timedelta64(5, "us"), np.timedelta64(0, "us")]),
    "timestamp": ("timestamp[ns]", [np.datetime64(77, "ns"), np.datetime64(-1, "ns")]),
    "duration": ("duration[ms]", [np.timedelta64(-9, "ms"), np.timedelta64(0, "ms")]),
    "decimal128": ("decimal128(5, 2)", [Decimal("1.50"), Decimal("-3.00")]),
    "list": ("float32[]", [[0.5, 1.5], []]),
    "array": ("int16[2,2]", [[[1, 2], [3, 4]], [[0, 0], [0, 0]]]),
    "ragged": ("int32[None,2]", [[[1, 2]], []]),
    "packed": ("packed uint8[2,3]", [[[1, 2, 3], [4, 5, 6]], [[0] * 3] * 2]),
    "packed_text": ("packed string", ["packed", ""]),
    "packed_list": ("packed uint8[]", [[1, 2, 3], []]),
    "nested": ("nested list<struct<a: int64, b: string>>", [[{"a": 1, "b": None}], []]),
    "strings": ("nested list<string>", [["a", None], []]),
    "struct": ({"x": "int64", "y": {"z": "string"}}, [{"x": 1, "y": {"z": "q"}}, {"x": 2}]),
    "empty_struct": ({"x": "int64"}, [{}, {"x": 5}]),
}


def whole(value, feature):
    """A value of a struct with None for the leaves that it lacks."""
    if not isinstance(feature, dict) or value is None:
        return value
    return {name: whole(value.get(name), inner) for name, inner in feature.items()}


def expected(model, features):
    return [
        {name: whole(row.get(name), feature) for name, feature in features.items()} for row in model
    ]


def run(code, *arguments):
    """A Python process that runs `code`, and answers each line of its input with a line."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(process, line=""):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("temporary", [False, True])
def test_a_field_of_each_kind_can_be_added(tmp_path, name, temporary):
    feature, values = FEATURES[name]
    path = None if temporary else tmp_path / "store"
    store = StreamStore(path, fields={"first": "int64", "outer": {"inner": "string"}})
    store.extend({"first": [1, 2], "outer": [{}, {"inner": "a"}]})
    store.add_fields({name: feature, "last": "bool"})
    store.append_step({"first": 3, name: values[0], "last": True})
    store.extend({name: [values[1], None], "outer": [None, {}]})
    model = [
        {"first": 1, "outer": {}},
        {"first": 2, "outer": {"inner": "a"}},
        {"first": 3, name: values[0], "last": True},
        {name: values[1]},
        {"outer": {}},
    ]
    features = {"first": "", "outer": {"inner": ""}, name: feature, "last": ""}
    assert rows_of(store) == expected(model, features)
    assert store.verify().ok
    if path is not None:
        other = StreamStore(path, "r")
        assert rows_of(other) == expected(model, features)
        store.close()
        store = StreamStore(path)
        assert rows_of(store) == expected(model, features)
        assert stream_store.verify(path).findings == ()


# Against a list of dicts: random fields are added to a store that is appended to in every way.
@pytest.mark.parametrize("seed", range(6))
def test_rows_are_those_of_a_list_of_dicts(tmp_path, seed):
    chance = random.Random(seed)
    path = tmp_path / "store" if seed % 2 else None
    names = list(FEATURES)
    chance.shuffle(names)
    features = {}

    def add(count):
        more = {name: FEATURES[name][0] for name in names[len(features) :][:count]}
        if more:
            store.add_fields(more)
            features.update(more)

    store = StreamStore(path)
    add(chance.randint(1, 4))
    reader = StreamStore(path, "r") if path else store.snapshot()
    model = []
    for turn in range(40):
        row = {name: chance.choice(FEATURES[name][1]) for name in features if chance.random() < 0.6}
        way = chance.randint(0, 3)
        if way == 0:
            store.append_step(row, step=turn)
        elif way == 1 and row:
            store.append([turn] * len(row), list(row), list(row.values()))
        elif way == 2:
            store.extend({name: [row.get(name)] for name in features}, steps=[turn])
        else:
            store.extend([row], steps=[turn])
        model.append(row)
        if chance.random() < 0.3:
            add(chance.randint(1, 3))
        if path and chance.random() < 0.1:
            store.close()
            store = StreamStore(path, fields=features)
        assert rows_of(store) == expected(model, features)
        if path:
            assert rows_of(reader) == expected(model, features)
            assert reader.fields == store.fields
            assert reader.features == store.features
    assert store.verify().findings == ()
    copied = tmp_path / "copy"
    store.checkpoint(copied)
    assert rows_of(StreamStore(copied, fields=features)) == expected(model, features)


def test_type_ids_stay_and_skip_the_markers_of_structs():
    store = StreamStore(fields={"s": {"a": "int64", "b": "int64"}, "x": "int64"})
    store.append([0, 0], ["s", "x"], [{}, 1])
    store.add_fields({"y": "int64", "t": {"c": "int64"}})
    assert store.fields == ("s.a", "s.b", "x", "y", "t.c")
    assert dict(store.field_to_type) == {"s.a": 0, "s.b": 1, "x": 2, "y": 4, "t.c": 5}
    assert dict(store.type_to_field) == {0: "s.a", 1: "s.b", 2: "x", 4: "y", 5: "t.c"}
    store.append([1, 1, 1], ["s", "y", "t"], [{}, 5, {}])
    assert store.index_table()["type"].tolist() == [2, 3, 3, 4, 6]
    assert store[:]["types"].tolist() == [2, 4]
    assert plain(store.row(0)) == {"s": {"a": None, "b": None}, "x": 1, "y": None, "t": None}
    assert plain(store.row(1)) == {"s": {"a": None, "b": None}, "x": None, "y": 5, "t": {"c": None}}
    assert "x: int64, y: int64, t.c: int64" in repr(store)
    batch = store.read_rows([0, 1])
    assert batch["y"].tolist() == [0, 5]
    assert batch["_mask"]["y"].tolist() == [False, True]
    assert list(batch["t"]) == ["c"]


def test_a_row_that_began_before_may_have_the_new_field():
    store = StreamStore(fields={"a": "int64", "b": "int64"})
    store.append([7], ["a"], [1])
    store.add_fields({"c": "int64"})
    assert store.complete_rows == 0
    store.append([7, 7], ["b", "c"], [2, 3])
    assert store.complete_rows == 1
    assert plain(store.row(0)) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(ValueError, match="order"):
        store.append([7], ["b"], [2])


def test_a_complete_row_stays_complete(tmp_path):
    store = StreamStore(tmp_path / "store", fields={"a": "int64", "b": "int64"})
    store.append_step({"a": 1, "b": 1})
    reader = StreamStore(tmp_path / "store", "r")
    assert (store.complete_rows, reader.complete_rows) == (1, 1)
    store.add_fields({"c": "int64"})
    assert (store.complete_rows, reader.complete_rows) == (1, 1)
    store.append_step({"a": 1, "b": 1})
    assert (store.complete_rows, reader.complete_rows) == (1, 1)
    store.append([1], ["c"], [1])
    assert (store.complete_rows, reader.complete_rows) == (2, 2)


def test_a_reader_in_another_process_sees_new_fields_without_opening_again(tmp_path):
    store = StreamStore(tmp_path / "store", fields={"a": "int64"})
    store.append_step({"a": 0})
    reader = run(
        """
        import sys
        from stream_store import StreamStore, WindowSampler
        stores = [StreamStore(sys.argv[1], "r", safe_reads=safe) for safe in (False, True)]
        old = stores[0].snapshot()
        sampler = WindowSampler(stores[0], 1, unit="row", batch_size=64)
        for line in sys.stdin:
            last = stores[0].num_rows - 1
            rows = [
                {k: None if v is None else v.item() for k, v in one.row(last).items()}
                for one in stores
            ]
            assert rows[0] == rows[1], rows
            batch = sampler.sample()
            assert sorted(k for k in batch if k[0] != "_") == ["a"], batch.keys()
            assert batch["a"].max() == 0
            print([one.fields for one in stores][1], rows[0], old.fields, flush=True)
        """,
        tmp_path / "store",
    )
    try:
        assert ask(reader) == "('a',) {'a': 0} ('a',)"
        store.add_fields({"b": "float32"})
        assert ask(reader) == "('a', 'b') {'a': 0, 'b': None} ('a',)"
        store.append_step({"b": 1.5})
        assert ask(reader) == "('a', 'b') {'a': None, 'b': 1.5} ('a',)"
        store.add_fields({"c": "bool"})
        store.append_step({"a": 0, "c": True})
        assert ask(reader) == "('a', 'b', 'c') {'a': 0, 'b': None, 'c': True} ('a',)"
    finally:
        reader.communicate()
    assert reader.returncode == 0


def test_a_writer_in_another_process_that_is_killed_leaves_its_fields(tmp_path):
    path = tmp_path / "store"
    writer = run(
        """
        import sys
        from stream_store import StreamStore
        store = StreamStore(sys.argv[1], fields={"a": "int64"})
        store.append_step({"a": 1})
        print("ready", flush=True)
        sys.stdin.readline()
        store.add_fields({"b": "string"})
        store.append_step({"b": "x"})
        print("added", flush=True)
        sys.stdin.readline()
        """,
        path,
    )
    try:
        assert writer.stdout.readline().strip() == "ready"
        reader = StreamStore(path, "r")
        assert reader.fields == ("a",)
        assert ask(writer) == "added"
        assert rows_of(reader) == [{"a": 1, "b": None}, {"a": None, "b": "x"}]
    finally:
        writer.kill()
        writer.communicate()
    store = StreamStore(path)
    assert store.fields == ("a", "b")
    assert rows_of(store) == rows_of(reader)
    store.append_step({"a": 2, "b": "y"})
    assert reader.row(2)["b"] == "y"


def test_opening_with_more_fields_adds_them_only_when_asked(tmp_path):
    path = tmp_path / "store"
    fields = {"a": "int64", "s": {"x": "int64"}}
    with StreamStore(path, fields=fields) as store:
        store.extend({"a": [1], "s": [{}]})
    more = {**fields, "b": "string", "t": {"y": "int64"}}
    for given in (more, list(more)):
        for mode in ("a", "r"):
            with pytest.raises(ValueError, match=r"'b', 't', which the store lacks.*add_fields"):
                StreamStore(path, mode, fields=given)
    assert StreamStore(path, "r").fields == ("a", "s.x")
    with StreamStore(path, fields=more, add_fields=True) as store:
        assert store.fields == ("a", "s.x", "b", "t.y")
        store.append_step({"b": "x", "s": {}})
    for add in (False, True):
        with StreamStore(path, fields=more, add_fields=add) as store:
            assert rows_of(store)[1] == {"a": None, "s": {"x": None}, "b": "x", "t": None}
    with StreamStore(path, fields=list(more)) as store:
        assert store.features.keys() == more.keys()
    # The fields of the store come first, in their order, and as they are.
    for wrong in (
        {"c": "int64", **more},
        {**fields, "c": "int64", "b": "string", "t": {"y": "int64"}},
        {**more, "a": "int32", "c": "int64"},
        {**fields, "c": "int64"},
    ):
        with pytest.raises(ValueError, match="field"):
            StreamStore(path, fields=wrong, add_fields=True)
    assert StreamStore(path, "r").fields == ("a", "s.x", "b", "t.y")


def test_add_fields_on_opening_creates_a_store_as_well(tmp_path):
    for path in (tmp_path / "store", None):
        with StreamStore(path, fields={"a": "int64"}, add_fields=True) as store:
            assert store.fields == ("a",)
    for mode, fields in (("r", {"a": "int64"}), ("a", None)):
        with pytest.raises(ValueError, match="add_fields"):
            StreamStore(tmp_path / "store", mode, fields=fields, add_fields=True)


def test_a_store_without_rows_or_fields(tmp_path):
    for path in (tmp_path / "store", None):
        store = StreamStore(path)
        store.add_fields({"a": "int64"})
        store.add_fields(["b"], ["float32"])
        assert store.fields == ("a", "b")
        store.append_step({"a": 1, "b": 2})
        assert store.complete_rows == 1
        assert rows_of(store) == [{"a": 1, "b": 2.0}]
        with pytest.raises(RuntimeError, match="add_fields"):
            store.define_fields({"c": "int64"})


def test_an_undeclared_reader_follows_every_declaration(tmp_path):
    store = StreamStore(tmp_path / "store", fields={"a": "int64"})
    reader = StreamStore(tmp_path / "store", "r")
    store.add_fields({"b": "int64"})
    assert reader.fields == ("a", "b")
    store.define_fields({"c": "string"})
    assert reader.fields == ("c",)
    store.add_fields({"d": "int64"})
    store.append_step({"c": "x", "d": 1})
    assert rows_of(reader) == [{"c": "x", "d": 1}]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"b": "int64", "a": "int64"}, "field 'a' exists already"),
        ({"a": {"x": "int64"}}, "field 'a' exists already"),
        ({"s": "int64"}, "field 's' exists already"),
        ({"s": {"y": "int64"}}, "field 's' exists already"),
        ({}, "field"),
        ([], "field"),
        (["b", "b"], "b"),
        ({"b": "no such type"}, "b"),
        ({"b" * 256: "int64"}, "255"),
    ],
)
def test_a_refused_call_changes_nothing(tmp_path, fields, text):
    store = StreamStore(tmp_path / "store", fields={"a": "int64", "s": {"x": "int64"}})
    store.append_step({"a": 1})
    before = (tmp_path / "store" / "schema").read_bytes()
    with pytest.raises(ValueError, match=text):
        store.add_fields(fields)
    assert store.fields == ("a", "s.x")
    assert (tmp_path / "store" / "schema").read_bytes() == before
    store.append_step({"a": 2})
    assert rows_of(store) == [{"a": i, "s": None} for i in (1, 2)]


def test_only_the_writer_can_add_fields(tmp_path):
    store = StreamStore(tmp_path / "store", fields={"a": "int64"})
    store.append_step({"a": 1})
    for one in (StreamStore(tmp_path / "store", "r"), store.snapshot()):
        with pytest.raises(OSError, match="add_fields"):
            one.add_fields({"b": "int64"})
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.add_fields({"b": "int64"})


def test_clear_keeps_the_fields_of_a_temporary_store():
    store = StreamStore(fields={"s": {"x": "int64"}})
    store.append_step({"s": {}})
    store.add_fields({"b": "int64"})
    store.clear()
    store.append_step({"s": {}, "b": 3})
    assert rows_of(store) == [{"s": {"x": None}, "b": 3}]
    assert store.complete_rows == 1
    store.add_fields({"c": "int64"})
    assert store.fields == ("s.x", "b", "c")


def test_fields_can_be_added_beside_appends_and_reads_of_other_threads(tmp_path):
    store = StreamStore(tmp_path / "store", fields={"a": "int64", "s": {"x": "int64"}})
    reader = StreamStore(tmp_path / "store", "r")
    ended = threading.Event()
    failures = []

    def guarded(work):
        try:
            while not ended.is_set():
                work()
        except Exception as error:
            failures.append(error)

    def append():
        store.append_step({"a": 1, "s": {}})
        store.extend({"a": np.arange(5)})

    def read():
        for one in (store, reader):
            if one.num_rows:
                one.row(one.num_rows - 1)
                one.read_rows([0])

    threads = [threading.Thread(target=guarded, args=[work]) for work in (append, read, read)]
    for thread in threads:
        thread.start()
    for number in range(40):
        store.add_fields({f"f{number}": "int64", f"g{number}": {"y": "int64"}})
        store.append_step({f"f{number}": number, f"g{number}": {}})
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(reader.fields) == 82
    assert reader.num_rows == store.num_rows
    assert store.verify().ok
