"""Fields of any store as topics, and back.

A field that does not come from an MCAP file becomes a topic of its own: messages have one member,
``data``, or are images of ROS. The metadata of the channel tells the field and its feature, so that
the import of such a file gives the fields as they were.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_store.features import FieldSpec, parse_fields

from .records import Channel

#: Key of the metadata of channels.
KEY = "stream_store"

_STANDARD = {
    "bool": "Bool",
    "int8": "Int8",
    "uint8": "UInt8",
    "int16": "Int16",
    "uint16": "UInt16",
    "int32": "Int32",
    "uint32": "UInt32",
    "int64": "Int64",
    "uint64": "UInt64",
    "float32": "Float32",
    "float64": "Float64",
    "string": "String",
}
_TIMES = ("date", "time", "timestamp", "duration")
_ENCODINGS = {(): "mono8", (1,): "mono8", (3,): "rgb8", (4,): "rgba8"}
_IMAGE = """std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""


@dataclass(frozen=True)
class OwnTopic:
    """A field as a topic.

    Attributes:
        spec: the field, a leaf.
        topic: its topic.
        schema: name of the message.
        definition: its definition.
    """

    spec: FieldSpec
    topic: str
    schema: str
    definition: str

    @property
    def is_image(self) -> bool:
        """Whether its messages are images."""
        return self.definition is _IMAGE

    def metadata(self) -> dict[str, str]:
        """The metadata of the channel."""
        return {KEY: json.dumps({"field": list(self.spec.path), "feature": self.spec.text})}

    def message(self, value: Any, log_time: int) -> dict[str, Any]:
        """The message of a value, as it is in a row."""
        if not self.is_image:
            return {"data": _plain(self.spec, value)}
        height, width, *channels = self.spec.shape
        seconds, nanoseconds = divmod(log_time, 10**9)
        return {
            "header": {
                "stamp": {"sec": seconds & 0x7FFFFFFF, "nanosec": nanoseconds},
                "frame_id": "",
            },
            "height": height,
            "width": width,
            "encoding": _ENCODINGS[tuple(channels)],
            "is_bigendian": 0,
            "step": width * (channels[0] if channels else 1),
            "data": np.ascontiguousarray(value).tobytes(),
        }


def own_topic(spec: FieldSpec) -> OwnTopic | None:
    """The topic of a field; None if no message of ROS can hold its values."""
    topic = "/".join(spec.path)
    topic = topic if topic.startswith("/") else f"/{topic}"
    if _is_image(spec):
        return OwnTopic(spec, topic, "sensor_msgs/msg/Image", _IMAGE)
    kind = _item_kind(spec)
    if kind is None:
        return None
    if kind == "uint8[]":
        return OwnTopic(spec, topic, "stream_store_msgs/msg/Bytes", "uint8[] data\n")
    if kind == "string" or not spec.shape:
        return OwnTopic(spec, topic, f"std_msgs/msg/{_STANDARD[kind]}", f"{kind} data\n")
    if spec.is_ragged:
        name = f"{_STANDARD[kind]}List"
        return OwnTopic(spec, topic, f"stream_store_msgs/msg/{name}", f"{kind}[] data\n")
    size = int(np.prod(spec.shape))
    name = f"{_STANDARD[kind]}Array{size}"
    return OwnTopic(spec, topic, f"stream_store_msgs/msg/{name}", f"{kind}[{size}] data\n")


def _is_image(spec: FieldSpec) -> bool:
    return (
        spec.packed
        and spec.dtype == "uint8"
        and not spec.is_ragged
        and len(spec.shape) in (2, 3)
        and spec.shape[2:] in _ENCODINGS
    )


def _item_kind(spec: FieldSpec) -> str | None:
    """The type of ROS for the items of a field."""
    kind = spec.info.kind
    if kind in ("bool", "int", "uint", "float"):
        return "float32" if spec.dtype == "float16" else spec.dtype
    if kind in _TIMES:
        return "int64"
    if spec.dtype == "string":
        return "string"
    return "uint8[]" if spec.is_bytes else None


def _plain(spec: FieldSpec, value: Any) -> Any:
    """A value as numbers, text or bytes."""
    if spec.info.kind in _TIMES:
        return np.asarray(value).astype(spec.numpy_dtype).view(np.int64)
    return value


# --- import ---


class Restored:
    """The field of a channel that `to_mcap` has made.

    Attributes:
        path: of the field.
        feature: of the field.
    """

    def __init__(self, path: tuple[str, ...], feature: str) -> None:
        self.path = path
        self.feature = feature
        self._spec = parse_fields({"field": feature})[0]

    def column(self, messages: Any, rows: list[int], count: int) -> Any:
        """The values of messages, a `pyarrow.StructArray`, in their rows of `count`."""
        spec = self._spec
        data = messages.field("data")
        if spec.is_bytes:
            return _spread_list(data.to_pylist(), rows, count)
        if spec.is_ragged:
            return _spread_list(self._lists(data), rows, count)
        if spec.shape and _is_image(spec):
            flat = np.frombuffer(b"".join(data.to_pylist()), np.uint8)
        elif spec.shape:
            flat = data.flatten().to_numpy(zero_copy_only=False)
        else:
            flat = data.to_numpy(zero_copy_only=False)
        values = self._cast(flat).reshape(len(messages), *spec.shape)
        if len(rows) == count:
            return values
        spread = np.zeros((count, *spec.shape), values.dtype)
        missing = np.ones(spread.shape, np.bool_)
        spread[rows] = values
        missing[rows] = False
        return np.ma.masked_array(spread, missing)

    def _lists(self, data: Any) -> list[NDArray[Any]]:
        flat = self._cast(data.flatten().to_numpy(zero_copy_only=False))
        offsets = data.offsets.to_numpy() - data.offsets[0].as_py()
        shape = self._spec.item_shape
        return [flat[start:stop].reshape(-1, *shape) for start, stop in pairwise(offsets)]

    def _cast(self, flat: NDArray[Any]) -> NDArray[Any]:
        dtype = self._spec.numpy_dtype
        return flat.view(dtype) if dtype.kind in "mM" else flat.astype(dtype, copy=False)


def _spread_list(values: list[Any], rows: list[int], count: int) -> list[Any]:
    made: list[Any] = [None] * count
    for row, value in zip(rows, values, strict=True):
        made[row] = value
    return made


def restored(channel: Channel) -> Restored | None:
    """The field that `to_mcap` has written to a channel, or None for all other channels."""
    text = channel.metadata.get(KEY)
    if text is None or channel.encoding != "cdr":
        return None
    try:
        described = json.loads(text)
        path = tuple(map(str, described["field"]))
        found = Restored(path, str(described["feature"]))
    except (ValueError, KeyError, TypeError):
        return None  # of another program, or changed since
    spec = found._spec
    topic = own_topic(FieldSpec(".".join(path), path, spec.dtype, spec.shape, spec.packed))
    same = topic is not None and topic.definition == channel.schema_data.decode(errors="replace")
    return found if same else None
