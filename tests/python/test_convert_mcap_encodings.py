"""from_mcap: ROS 1, JSON, protobuf and bytes, compared with what their libraries read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcap_files import write_json, write_raw
from stream_store import StreamStore
from test_convert_mcap import plain


def test_ros1_messages_are_read_as_rosbags_reads_them(tmp_path: Path) -> None:
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS1_NOETIC)
    name = "sensor_msgs/msg/JointState"
    text, _ = types.generate_msgdef(name)
    make = types.types[name]
    head, stamp = types.types["std_msgs/msg/Header"], types.types["builtin_interfaces/msg/Time"]
    data = []
    for i in range(5):
        numbers = np.arange(i, dtype=np.float64)
        message = make(head(i, stamp(i, 2), "f" * i), ["n"] * i, numbers, numbers, -numbers)
        data.append(bytes(types.serialize_ros1(message, name)))
    path = tmp_path / "ros1.mcap"
    schema = ("sensor_msgs/JointState", "ros1msg", text.encode())
    write_raw(path, {"/j": ("ros1", schema)}, [("/j", i, one) for i, one in enumerate(data)])
    store = StreamStore()
    store.from_mcap(path, check=True)
    for i, row in enumerate(store.rows()):
        read = plain(row["/j"])
        expected = types.deserialize_ros1(data[i], name)
        assert read["header"] == {
            "seq": i,
            "stamp": {"secs": i, "nsecs": 2},
            "frame_id": expected.header.frame_id,
        }
        assert read["name"] == expected.name
        assert read["effort"] == expected.effort.tolist()


POSE = {
    "type": "object",
    "properties": {
        "x": {"type": "number"},
        "n": {"type": ["integer", "null"]},
        "ok": {"type": "boolean"},
        "name": {"type": "string"},
        "data": {"type": "string", "contentEncoding": "base64"},
        "list": {"type": "array", "items": {"type": "number"}},
        "three": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
        "inner": {"$ref": "#/definitions/inner"},
        "many": {"type": "array", "items": {"$ref": "#/definitions/inner"}},
        "kind": {"oneOf": [{"const": 0}, {"const": 1}]},
        "any": {},
    },
    "definitions": {"inner": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


def test_json_messages_have_the_types_of_their_schema(tmp_path: Path) -> None:
    full = {
        "x": 1,
        "n": 2,
        "ok": True,
        "name": "é",
        "data": "AAEC",
        "list": [1, 2.5],
        "three": [1, 2, 3],
        "inner": {"a": 1},
        "many": [{"a": 1}, {"a": 2}],
        "kind": 1,
        "any": [1, {"b": None}],
    }
    write_json(tmp_path / "a.mcap", POSE, [full, {}, {"n": None, "x": 2**53}])
    store = StreamStore()
    store.from_mcap(tmp_path / "a.mcap", check=True)
    first, second, third = (plain(row["/json"]) for row in store.rows())
    assert first == {**full, "x": 1.0, "data": b"\0\1\2", "any": json.dumps(full["any"])}
    assert all(value is None for value in second.values())
    assert third["x"] == 2.0**53


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"other": 1}, "the property 'other' is not declared"),
        ({"x": "a"}, 'expected a number, found "a"'),
        ({"n": 2**63}, "does not fit"),
        ({"x": 2**53 + 1}, "does not fit"),
        ({"three": [1]}, "does not fit"),
        ({"list": [None]}, "null items"),
        (None, "found null"),
        ([], "expected an object"),
    ],
)
def test_json_messages_that_do_not_fit_are_refused(
    tmp_path: Path, value: Any, problem: str
) -> None:
    write_json(tmp_path / "a.mcap", POSE, [{"x": 1}, value])
    store = StreamStore(tmp_path / "store", fields={"/json": "binary"})
    with pytest.raises(ValueError, match=r"a\.mcap: .*topic '/json'.*log time 1") as caught:
        StreamStore().from_mcap(tmp_path / "a.mcap")
    assert problem in str(caught.value)
    assert store.num_rows == 0
    store.close()
    text = StreamStore()
    text.from_mcap(tmp_path / "a.mcap", raw=["/json"])
    assert text.row(1)["/json"]["data"] == json.dumps(value)


def test_json_without_a_schema_is_stored_as_text(tmp_path: Path) -> None:
    write_json(tmp_path / "a.mcap", None, [{"x": 1}, [2]])
    store = StreamStore()
    report = store.from_mcap(tmp_path / "a.mcap")
    assert [row["/json"]["data"] for row in store.rows()] == ['{"x": 1}', "[2]"]
    assert "stored as JSON text" in report.changes["/json"]


def protobuf_file(path: Path) -> list[Any]:
    """A file with messages of a type with every kind of field; returns the messages."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="demo.proto", package="demo", syntax="proto3")
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="a", number=1, type=kinds.TYPE_SINT32, label=1)
    outer = file.message_type.add(name="Outer")
    types = [
        kinds.TYPE_DOUBLE,
        kinds.TYPE_FLOAT,
        kinds.TYPE_INT64,
        kinds.TYPE_UINT64,
        kinds.TYPE_BOOL,
        kinds.TYPE_STRING,
        kinds.TYPE_BYTES,
    ]
    for number, kind in enumerate(types, 1):
        outer.field.add(name=f"f{number}", number=number, type=kind, label=1)
    outer.field.add(name="list", number=20, type=kinds.TYPE_FLOAT, label=3)
    for name, number, label in (("one", 21, 1), ("many", 22, 3)):
        outer.field.add(name=name, number=number, type=11, label=label, type_name=".demo.Inner")
    entry = outer.nested_type.add(name="MapEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=kinds.TYPE_INT32, label=1)
    outer.field.add(name="map", number=23, type=11, label=3, type_name=".demo.Outer.MapEntry")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    make = message_factory.GetMessageClass(pool.FindMessageTypeByName("demo.Outer"))
    messages = [
        make(
            f1=0.1,
            f2=0.5,
            f3=-(2**62),
            f4=2**63,
            f5=True,
            f6="é",
            f7=b"\xff",
            list=[1, 2],
            one={"a": -3},
            many=[{"a": 1}, {"a": 2}],
            map={"k": 5},
        ),
        make(),
    ]
    schema = (
        "demo.Outer",
        "protobuf",
        descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString(),
    )
    data = [("/p", i, one.SerializeToString()) for i, one in enumerate(messages)]
    write_raw(path, {"/p": ("protobuf", schema)}, data)
    return messages


def test_protobuf_messages_become_structs(tmp_path: Path) -> None:
    protobuf_file(tmp_path / "p.mcap")
    store = StreamStore()
    store.from_mcap(tmp_path / "p.mcap", check=True)
    first, second = (plain(row["/p"]) for row in store.rows())
    assert first == {
        "f1": 0.1,
        "f2": 0.5,
        "f3": -(2**62),
        "f4": 2**63,
        "f5": True,
        "f6": "é",
        "f7": b"\xff",
        "list": [1, 2],
        "one": {"a": -3},
        "many": [{"a": 1}, {"a": 2}],
        "map": [{"key": "k", "value": 5}],
    }
    assert second["f1"] == 0.0
    assert second["one"] is None


def test_other_encodings_are_stored_as_bytes(tmp_path: Path) -> None:
    schema = ("a", "flatbuffer", b"\0")
    channels = {
        "/f": ("flatbuffer", schema),
        "/n": ("", None),
        "/w": ("cdr", ("d/W", "ros2msg", b"wstring w")),
    }
    write_raw(
        tmp_path / "r.mcap", channels, [("/f", 1, b"\xff\0"), ("/n", 2, b""), ("/w", 3, b"abc")]
    )
    store = StreamStore()
    report = store.from_mcap(tmp_path / "r.mcap", check=True)
    assert [row[topic]["data"] for row, topic in zip(store.rows(), channels, strict=True)] == [
        b"\xff\0",
        b"",
        b"abc",
    ]
    assert "wstring" in report.changes["/w"]
    assert "flatbuffer" in report.changes["/f"]
