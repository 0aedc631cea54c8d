"""to_mcap: files that the libraries of MCAP and ROS read, and that from_mcap gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.typesys import Stores, get_typestore

from mcap_files import EVERYTHING, everything, write_json, write_raw, write_ros2
from stream_store import StreamStore
from test_convert_mcap_encodings import POSE, protobuf_file

FIELDS = {
    "obs": {"rgb": "packed uint8[8,6,3]", "gray": "packed uint8[4,4]", "x": "float32[3]"},
    "rgba": "packed uint8[2,3,4]",
    "first": "packed uint8[3,4,4]",
    "matrix": "float64[2,2]",
    "half": "float16",
    "list": "int16[]",
    "ragged": "float32[None,2]",
    "text": "string",
    "packed_text": "packed string",
    "bytes": "packed binary",
    "fixed": "fixed_size_binary[3]",
    "when": "timestamp[ns]",
    "day": "date32",
    "spans": "duration[us][]",
    "u64": "uint64",
    "i8": "int8",
    "flag": "bool",
    "flags": "bool[]",
    "packed": "packed float32[2,2,2]",
}


def values(i: int, rng: np.random.Generator) -> dict[str, Any]:
    image = lambda *shape: rng.integers(0, 256, shape, np.uint8)  # noqa: E731
    return {
        "obs": {"rgb": image(8, 6, 3), "gray": image(4, 4), "x": rng.normal(size=3)},
        "rgba": image(2, 3, 4),
        "first": image(3, 4, 4),
        "matrix": [[np.nan, -0.0], [i, 1e300]],
        "half": np.float16(i / 3),
        "list": np.arange(i % 4),
        "ragged": rng.normal(size=(i % 3, 2)),
        "text": "é" * (i % 5),
        "packed_text": "p" * i,
        "bytes": bytes(range(i)),
        "fixed": b"abc",
        "when": np.datetime64(10**18 + i, "ns"),
        "day": np.datetime64(i, "D"),
        "spans": [np.timedelta64(i, "us")] * (i % 2),
        "u64": 2**64 - 1 - i,
        "i8": -i,
        "flag": i % 2 == 0,
        "flags": [True, False] * (i % 3),
        "packed": rng.normal(size=(2, 2, 2)).astype(np.float32),
    }


def make_store() -> StreamStore:
    """A store in which a third of all values is missing."""
    rng = np.random.default_rng(0)
    store = StreamStore(fields=FIELDS)
    for i in range(40):
        row = values(i, rng)
        kept = {name: one for name, one in row.items() if i == 0 or rng.random() < 2 / 3}
        store.append_step(kept, step=10 * i)
    return store


def messages_of(path: Path) -> list[Any]:
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        return list(reader.iter_decoded_messages())


def test_every_field_comes_back_bit_by_bit(tmp_path: Path) -> None:
    store = make_store()
    path = tmp_path / "own.mcap"
    report = store.to_mcap(path, check=True)
    assert report.rows == 40
    assert not report.left_out
    copy = StreamStore()
    copy.from_mcap(path, check=True)
    assert copy.fields == store.fields
    for name in store.fields:
        one, other = (each.read_rows(slice(None), fields=[name]) for each in (store, copy))
        assert (one["_step"] == other["_step"]).all()
        assert (one["_mask"][name] == other["_mask"][name]).all(), name
        if isinstance(one[name], list):
            assert one[name] == other[name]
        else:
            assert one[name].dtype == other[name].dtype
            assert one[name].tobytes() == other[name].tobytes(), name


def test_images_are_those_of_ros(tmp_path: Path) -> None:
    store = make_store()
    store.to_mcap(tmp_path / "a.mcap", fields=["obs"], step_ns=50_000_000)
    found = {}
    for one in messages_of(tmp_path / "a.mcap"):
        found.setdefault(one.channel.topic, one)
    assert {topic: one.schema.name for topic, one in found.items()} == {
        "/obs/rgb": "sensor_msgs/msg/Image",
        "/obs/gray": "sensor_msgs/msg/Image",
        "/obs/x": "stream_store_msgs/msg/Float32Array3",
    }
    image = found["/obs/rgb"].decoded_message
    assert (image.height, image.width, image.encoding, image.step) == (8, 6, "rgb8", 18)
    expected = store.row(0)["obs"]["rgb"]
    assert image.data == expected.tobytes()
    assert found["/obs/gray"].decoded_message.encoding == "mono8"
    types = get_typestore(Stores.ROS2_HUMBLE)
    again = types.deserialize_cdr(found["/obs/rgb"].message.data, "sensor_msgs/msg/Image")
    assert (again.data.reshape(8, 6, 3) == expected).all()
    later = [one for one in messages_of(tmp_path / "a.mcap") if one.message.log_time]
    assert later[0].message.log_time % 500_000_000 == 0


def test_an_imported_file_is_written_as_it_was(tmp_path: Path) -> None:
    path, again = tmp_path / "a.mcap", tmp_path / "b.mcap"
    stream = [("/all", "demo_msgs/msg/All", EVERYTHING, 5 * i, everything(i)) for i in range(30)]
    stream += [("/all", "demo_msgs/msg/All", EVERYTHING, 145, everything(99))]
    write_ros2(path, stream)
    store = StreamStore()
    store.from_mcap(path)
    store.to_mcap(again, check=True)
    one, other = (
        [
            (
                found.schema,
                found.channel.topic,
                found.message.log_time,
                found.message.sequence,
                found.message.publish_time,
                repr(found.decoded_message),
            )
            for found in messages_of(name)
        ]
        for name in (path, again)
    )
    assert one == other


@pytest.mark.parametrize("encoding", ["json", "protobuf", "raw"])
def test_messages_of_other_encodings_are_written_with_their_values(
    tmp_path: Path, encoding: str
) -> None:
    path, again = tmp_path / "a.mcap", tmp_path / "b.mcap"
    if encoding == "json":
        write_json(
            path, POSE, [{"x": 1.5, "data": "AAEC", "any": {"k": [1]}, "inner": {"a": 1}}, {}]
        )
    elif encoding == "protobuf":
        protobuf_file(path)
    else:
        write_raw(path, {"/r": ("cbor", None)}, [("/r", 1, b"\xff\0"), ("/r", 1, b"")])
    store, copy = StreamStore(), StreamStore()
    store.from_mcap(path)
    store.to_mcap(again, check=True)
    copy.from_mcap(again)
    assert [repr(row) for row in store.rows()] == [repr(row) for row in copy.rows()]


def test_ros1_messages_are_written_as_they_were(tmp_path: Path) -> None:
    data = np.arange(3, dtype="<f8").tobytes()
    message = b"\3\0\0\0abc" + b"\3\0\0\0" + data + b"\1\0\0\0\2\0\0\0"
    schema = ("d/M", "ros1msg", b"string s\nfloat64[] l\ntime t")
    write_raw(tmp_path / "a.mcap", {"/m": ("ros1", schema)}, [("/m", 1, message)])
    store = StreamStore()
    store.from_mcap(tmp_path / "a.mcap")
    store.to_mcap(tmp_path / "b.mcap")
    with (tmp_path / "b.mcap").open("rb") as file:
        ((_, channel, found),) = make_reader(file).iter_messages()
    assert (channel.message_encoding, found.data) == ("ros1", message)


def test_fields_without_a_message_are_left_out_and_named(tmp_path: Path) -> None:
    fields = {"x": "int64", "names": "nested list<string>", "price": "decimal128(10, 2)"}
    store = StreamStore(fields=fields)
    store.append_step({"x": 1, "names": ["a"]})
    report = store.to_mcap(tmp_path / "a.mcap")
    assert set(report.left_out) == {"names", "price"}
    assert report.fields == ("x",)


def test_wrong_arguments_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    store = StreamStore(fields={"x": "int64", "n": "nested list<string>"})
    with pytest.raises(ValueError, match="has no rows"):
        store.to_mcap(path)
    store.append_step({"x": 1}, step=-1)
    with pytest.raises(ValueError, match=r"topic '/x': a log time of -1 ns"):
        store.to_mcap(path)
    with pytest.raises(ValueError, match="fields has 'y'"):
        store.to_mcap(path, fields=["y"])
    with pytest.raises(ValueError, match="no field that a message can hold"):
        store.to_mcap(path, fields=["n"])
    with pytest.raises(ValueError, match="step_ns must be an int"):
        store.to_mcap(path, step_ns=0)
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(FileExistsError, match="nothing is replaced"):
        store.to_mcap(path)


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    store = make_store()
    for name in ("mcap.writer", "mcap"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"stream-store\[mcap\]"):
        store.to_mcap(tmp_path / "a.mcap")
