"""from_mcap: topics as fields, compared with what the libraries of MCAP and ROS read."""

from __future__ import annotations

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
