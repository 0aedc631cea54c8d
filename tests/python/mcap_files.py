"""MCAP files for the tests, written with the libraries of MCAP and of ROS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer
from mcap_ros2._dynamic import serialize_dynamic

_LINE = "=" * 80
HEADER = f"""
{_LINE}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{_LINE}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
POINT = f"{_LINE}\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n"
#: Every type of ROS 2 that has values, alone, in an array and in a sequence.
EVERYTHING = f"""# A comment
std_msgs/Header header
uint8 KIND=3
string NAME=a # no comment
bool flag
byte octet
char letter
int8 i8
uint8 u8
int16 i16
uint16 u16 7
int32 i32
uint32 u32
int64 i64
uint64 u64
float32 f32
float64 f64
string text "a default"
string<=10 bounded
float64[9] covariance
bool[3] flags
string[2] two
uint8[] data
bool[] many_flags
float32[<=7] few
uint16[] words
string[] names
geometry_msgs/Point place
geometry_msgs/Point[] path
geometry_msgs/Point[2] ends
demo_msgs/Odd[] odds
{HEADER}{POINT}{_LINE}
MSG: demo_msgs/Odd
uint8 a
float32[3] b
string c
float64 d
int16 e
"""
SAMPLE = f"std_msgs/Header header\nfloat64[] position\n{HEADER}"
IMAGE = (
    f"std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8[] data\n{HEADER}"
)


def point(i: float) -> dict[str, float]:
    return {"x": i, "y": -i, "z": i / 3}


def header(i: int) -> dict[str, Any]:
    return {"stamp": {"sec": i, "nanosec": 7}, "frame_id": "base"[: i % 5]}


def everything(i: int) -> dict[str, Any]:
    """A message of EVERYTHING; the lengths of its parts differ from message to message."""
    numbers = {"i8": -i % 128, "u8": i % 256, "i16": -i, "u16": i, "i32": -i, "u32": i, "i64": -i}
    return {
        "header": header(i),
        "flag": i % 2 == 0,
        "octet": 255,
        "letter": 65,
        **numbers,
        "u64": 2**64 - 1 - i,
        "f32": i / 4,
        "f64": i / 3,
        "text": "é" * (i % 4),
        "bounded": "b" * (i % 3),
        "covariance": [i + k / 7 for k in range(9)],
        "flags": [True, False, i % 2 == 0],
        "two": ["x" * (i % 3), "yy"],
        "data": bytes(range(i % 9)),
        "many_flags": [True, False] * (i % 3),
        "few": [1.5] * (i % 5),
        "words": [i, i + 1] * (i % 2),
        "names": ["n" * (i % 3)] * (i % 4),
        "place": point(i),
        "path": [point(k) for k in range(i % 4)],
        "ends": [point(i), point(-i)],
        "odds": [
            {"a": 1, "b": [1.0, 2.0, 3.0], "c": "q" * k, "d": 4.0, "e": -5} for k in range(i % 3)
        ],
    }


def write_ros2(
    path: Path, messages: Iterable[tuple[str, str, str, int, dict[str, Any]]], **options: Any
) -> None:
    """Write (topic, schema name, definition, log time, message); publish time is the log time."""
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start(profile="ros2")
        encoders: dict[str, Any] = {}
        channels: dict[str, int] = {}
        for number, (topic, name, definition, time, message) in enumerate(messages):
            if topic not in channels:
                encoders[topic] = serialize_dynamic(name, definition)[name]
                schema = writer.register_schema(name, "ros2msg", definition.encode())
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            data = encoders[topic](message)
            writer.add_message(channels[topic], time, data, time, number % 3)
        writer.finish()


def write_raw(
    path: Path,
    channels: dict[str, tuple[str, tuple[str, str, bytes] | None]],
    messages: Iterable[tuple[str, int, bytes]],
    *,
    finish: bool = True,
    **options: Any,
) -> None:
    """Write (topic, log time, bytes) to channels: topic -> (encoding, schema or None)."""
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start()
        ids = {}
        for topic, (encoding, schema) in channels.items():
            number = 0 if schema is None else writer.register_schema(*schema)
            ids[topic] = writer.register_channel(topic, encoding, number)
        for topic, time, data in messages:
            writer.add_message(ids[topic], time, data, time)
        if finish:
            writer.finish()


def write_json(
    path: Path, schema: dict[str, Any] | None, values: list[Any], **options: Any
) -> None:
    """Write values to the topic /json, one per nanosecond."""
    described = None if schema is None else ("demo", "jsonschema", json.dumps(schema).encode())
    messages = [("/json", time, json.dumps(value).encode()) for time, value in enumerate(values)]
    write_raw(path, {"/json": ("json", described)}, messages, **options)


UNCHUNKED = {"use_chunking": False}
PLAIN = {"compression": CompressionType.NONE}
LZ4 = {"compression": CompressionType.LZ4}
