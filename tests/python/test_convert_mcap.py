"""from_mcap: topics as fields, compared with what the libraries of MCAP and ROS read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

import stream_store
from mcap_files import (
    EVERYTHING,
    HEADER,
    IMAGE,
    LZ4,
    PLAIN,
    SAMPLE,
    UNCHUNKED,
    everything,
    header,
    write_json,
    write_raw,
    write_ros2,
)
from stream_store import StreamStore
from stream_store._convert import importing
from stream_store._convert.mcap.source import McapSource

STAMPS = ("_log_time", "_publish_time", "_sequence")


def plain(value: Any) -> Any:
    """A message, or the value of a row, as objects that compare."""
    if hasattr(value, "__slots__") and not isinstance(value, np.generic):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in STAMPS}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def messages_of(path: Path) -> list[tuple[str, int, Any]]:
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        return [
            (one.channel.topic, one.message.log_time, plain(one.decoded_message))
            for one in reader.iter_decoded_messages()
        ]


def rows_of(store: StreamStore) -> list[tuple[str, int, Any]]:
    """The messages in a store, in the order of rows and fields."""
    steps = store.read_rows(slice(None), fields=())["_step"]
    return [
        (topic, int(step), plain(value))
        for step, row in zip(steps, store.rows(), strict=True)
        for topic, value in row.items()
        if value is not None and topic != "_mcap"
    ]


def sample(topic: str, time: int, i: int) -> tuple[str, str, str, int, dict[str, Any]]:
    message = {"header": header(i), "position": [float(i)] * (i % 3)}
    return topic, "demo_msgs/msg/Sample", SAMPLE, time, message


@pytest.mark.parametrize("options", [{}, UNCHUNKED, {**PLAIN, "chunk_size": 500}, LZ4])
def test_every_type_of_ros2_is_read_as_its_library_reads_it(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "all.mcap"
    stream = [
        ("/all", "demo_msgs/msg/All", EVERYTHING, 10**18 + 5 * i, everything(i)) for i in range(40)
    ]
    write_ros2(path, stream, **options)
    store = StreamStore()
    report = store.from_mcap(path, check=True)
    assert report.rows == 40
    assert report.fields == ("/all", "_mcap")
    assert rows_of(store) == messages_of(path)
    assert store.row(3)["/all"]["_sequence"] is None
    assert store.row(4)["/all"]["_sequence"] == 1
    features = {
        name: store.read_rows([7], fields=[f"/all.{name}"])[f"/all.{name}"].dtype
        for name in ("flag", "i8", "u16", "f32", "covariance")
    }
    assert features == {"flag": bool, "i8": "i1", "u16": "u2", "f32": "f4", "covariance": "f8"}


def test_topics_keep_their_own_rates(tmp_path: Path) -> None:
    path = tmp_path / "rates.mcap"
    stream = [sample("/fast", 10 * i, i) for i in range(30)]
    stream += [sample("/slow", 10 * i + 3, i) for i in range(0, 30, 10)]
    write_ros2(path, sorted(stream, key=lambda one: one[3]))
    store = StreamStore()
    store.from_mcap(path)
    present = store.read_rows(slice(None), fields=["/fast", "/slow"])["_mask"]
    assert present["/fast"]["header"]["frame_id"].sum() == 30
    assert present["/slow"]["header"]["frame_id"].sum() == 3
    assert store.num_rows == 33


def test_messages_of_one_time_share_a_row_unless_their_topic_has_one(tmp_path: Path) -> None:
    path = tmp_path / "ties.mcap"
    write_ros2(
        path, [sample("/a", 7, 0), sample("/b", 7, 1), sample("/a", 7, 2), sample("/b", 8, 3)]
    )
    store = StreamStore()
    report = store.from_mcap(path, check=True)
    assert store.read_rows(slice(None), fields=())["_step"].tolist() == [7, 8]
    first, second = store.rows()
    assert [first[topic]["header"]["stamp"]["sec"] for topic in ("/a", "/b")] == [0, 1]
    assert second["/a"]["header"]["stamp"]["sec"] == 2
    assert second["/a"]["_log_time"] == 7
    assert second["/b"]["_log_time"] is None
    assert "1 message" in report.changes["step"]


@pytest.mark.parametrize("options", [UNCHUNKED, {"chunk_size": 300}])
def test_messages_out_of_order_are_sorted(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "order.mcap"
    times = np.random.default_rng(1).permutation(200).tolist()
    write_ros2(path, [sample("/a", time, time) for time in times], **options)
    store = StreamStore()
    store.from_mcap(path)
    assert rows_of(store) == messages_of(path)
    assert store.read_rows(slice(None), fields=())["_step"].tolist() == list(range(200))


def test_publish_times_that_differ_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "publish.mcap"
    with path.open("wb") as file:
        from mcap_ros2.writer import Writer

        writer = Writer(file)
        schema = writer.register_msgdef("demo_msgs/msg/Text", "string data")
        writer.write_message("/t", schema, {"data": "a"}, 10, 10, 0)
        writer.write_message("/t", schema, {"data": "b"}, 20, 15, 9)
        writer.finish()
    store = StreamStore()
    store.from_mcap(path)
    assert [row["/t"]["_publish_time"] for row in store.rows()] == [None, 15]
    assert [row["/t"]["_sequence"] for row in store.rows()] == [None, 9]


# --- other encodings ---


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


# --- damaged files ---


def test_the_file_of_a_killed_recorder_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mcap"
    write_ros2(whole, [sample("/a", i, i) for i in range(300)], chunk_size=2000)
    reference = StreamStore()
    reference.from_mcap(whole)
    data = whole.read_bytes()
    found = set()
    for size in range(1000, len(data) - 40, 997):
        path = tmp_path / "cut.mcap"
        path.write_bytes(data[:size])
        store = StreamStore()
        report = store.from_mcap(path)
        assert "ends within a record" in report.left_out[str(path)]
        assert rows_of(store) == rows_of(reference)[: store.num_rows]
        found.add(store.num_rows)
    assert len(found) > 3
    path.write_bytes(data[:3000] + bytes(5000))  # a recorder had reserved space
    assert "ends within a chunk" in StreamStore().from_mcap(path).left_out[str(path)]
    path.write_bytes(data[:300])
    with pytest.raises(ValueError, match="expected messages, found none"):
        StreamStore().from_mcap(path)


def test_an_unchunked_file_that_ends_early_loses_one_message(tmp_path: Path) -> None:
    path = tmp_path / "cut.mcap"
    write_raw(
        path,
        {"/x": ("", None)},
        [("/x", i, b"abc") for i in range(9)],
        finish=False,
        use_chunking=False,
    )
    path.write_bytes(path.read_bytes()[:-1])
    store = StreamStore()
    assert store.from_mcap(path).rows == 8


@pytest.mark.parametrize(
    "options", [{"chunk_size": 1000, **PLAIN}, {**UNCHUNKED, "enable_data_crcs": True}]
)
def test_a_wrong_checksum_names_the_file_and_the_topic(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "a.mcap"
    write_ros2(path, [sample("/arm", i, 1) for i in range(100)], **options)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"base"[:1], 0, len(data) // 2)] ^= 1
    path.write_bytes(data)
    store = StreamStore(tmp_path / "store")
    with pytest.raises(ValueError, match=r"a\.mcap.*checksum.*/arm"):
        store.from_mcap(path)
    assert not store.fields
    store.close()


def test_every_changed_byte_is_an_error_or_a_value(tmp_path: Path) -> None:
    """Nothing but ValueError comes from damaged bytes; most files have a checksum."""
    path = tmp_path / "a.mcap"
    write_ros2(path, [sample("/arm", i, 3) for i in range(6)], chunk_size=300, enable_crcs=False)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = {reading(path, data, at, 1 << rng.integers(8)) for at in range(8, len(data), 5)}
    assert "read" in outcomes
    assert len(outcomes) > 5
    assert not [one for one in outcomes if one.startswith("without")]


def reading(path: Path, data: bytes, at: int, bit: int) -> str:
    """What reading says about a file with a changed bit."""
    path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
    try:
        for _ in McapSource(path, None, None, None).blocks():
            pass
    except ValueError as error:
        text = str(error)
        return text if "a.mcap" in text else f"without the file: {text}"
    return "read"


def test_a_message_that_is_too_short_is_refused_by_topic_and_time(tmp_path: Path) -> None:
    schema = ("d/msg/S", "ros2msg", b"uint8[] data\nfloat64 x")
    for data in (b"", b"\0\1\0\0", b"\0\1\0\0\xff\xff\xff\x7f", b"\0\3\0\0" + bytes(16)):
        write_raw(tmp_path / "s.mcap", {"/s": ("cdr", schema)}, [("/s", 42, data)])
        with pytest.raises(ValueError, match=r"s\.mcap.*topic '/s', message with log time 42"):
            StreamStore().from_mcap(tmp_path / "s.mcap")


def test_big_endian_messages_are_read(tmp_path: Path) -> None:
    schema = ("d/msg/S", "ros2msg", b"uint8 a\nfloat64 x\nint16[] l")
    data = b"\0\0\0\0\1" + bytes(7) + np.array(1.5, ">f8").tobytes() + b"\0\0\0\2\0\1\0\2"
    little = b"\0\1\0\0\2" + bytes(7) + np.array(2.5, "<f8").tobytes() + bytes(4)
    messages = [("/s", i, one) for i, one in enumerate((data, little, data))]
    write_raw(tmp_path / "b.mcap", {"/s": ("cdr", schema)}, messages)
    store = StreamStore()
    store.from_mcap(tmp_path / "b.mcap", check=True)
    read = [plain(row["/s"]) for row in store.rows()]
    assert read[0] == read[2] == {"a": 1, "x": 1.5, "l": [1, 2]}
    assert read[1] == {"a": 2, "x": 2.5, "l": []}


def test_files_that_are_no_mcap_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_bytes(b"no")
    store = StreamStore()
    with pytest.raises(ValueError, match="expected an MCAP file"):
        store.from_mcap(tmp_path / "x.mcap")
    with pytest.raises(FileNotFoundError, match="no such file"):
        store.from_mcap(tmp_path / "y.mcap")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none"):
        store.from_mcap(tmp_path / "empty")


# --- choosing ---


def test_topics_and_map_choose_what_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    write_ros2(path, [sample("/a", 1, 1), sample("/b", 2, 2), sample("/b", 3, 4)])
    store = StreamStore()
    store.from_mcap(path, topics=["/b"], check=True)
    assert store.num_rows == 2
    mapped = StreamStore()
    mapped.from_mcap(path, map={"q": "/b.position", "sec": "/a.header.stamp.sec"}, check=True)
    assert mapped.fields == ("q", "sec")
    assert [plain(row) for row in mapped.rows()] == [
        {"q": None, "sec": 1},
        {"q": [2.0, 2.0], "sec": None},
        {"q": [4.0], "sec": None},
    ]
    with pytest.raises(ValueError, match=r"topics has '/c', but the topics are /a, /b"):
        store.from_mcap(path, topics=["/c"])
    with pytest.raises(ValueError, match=r"map names ./b[.]velocity"):
        StreamStore().from_mcap(path, map={"v": "/b.velocity"})


def test_a_directory_of_files_is_resumed_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "COMMIT_BYTES", 1)
    bag = tmp_path / "bag"
    bag.mkdir()
    for number in range(3):
        stream = [sample("/a", 100 * number + i, i) for i in range(20)]
        write_ros2(bag / f"bag_{number}.mcap", stream)
    store = StreamStore(tmp_path / "store")
    calls = 0

    def stop(_done: int, _total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.from_mcap(bag, progress=stop)
    assert store.num_rows == 40
    report = store.from_mcap(bag, resume=True, check=True)
    assert report.resumed_episodes > 0
    assert report.rows + 20 * report.resumed_episodes == 60
    whole = StreamStore()
    whole.from_mcap(bag)
    assert rows_of(store) == rows_of(whole)
    store.close()


def test_images_are_packed_bytes_with_their_metadata(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    message = {
        "header": header(1),
        "height": 6,
        "width": 5,
        "encoding": "rgb8",
        "data": pixels.tobytes(),
    }
    write_ros2(tmp_path / "i.mcap", [("/cam", "sensor_msgs/msg/Image", IMAGE, 1, message)])
    store = stream_store.StreamStore()
    store.from_mcap(tmp_path / "i.mcap")
    image = store.row(0)["/cam"]
    read = np.frombuffer(image["data"], np.uint8).reshape(image["height"], image["width"], 3)
    assert (read == pixels).all()
    assert HEADER in IMAGE


def test_a_second_file_is_appended_after_the_last_step(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    write_ros2(path, [sample("/a", 10 * i, i) for i in range(5)])
    store = StreamStore(tmp_path / "store")
    store.from_mcap(path)
    with pytest.raises(ValueError, match="append=True adds to them"):
        store.from_mcap(path)
    report = store.from_mcap(path, append=True, check=True)
    assert "5 messages" in report.changes["step"]
    assert store.read_rows(slice(None), fields=())["_step"][4:].tolist() == [40, 41, 42, 43, 44, 45]
    assert [row["/a"]["_log_time"] for row in store.rows(5)] == [0, 10, 20, 30, 40]
    store.close()
