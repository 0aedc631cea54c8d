"""Topics of MCAP files as fields of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from stream_store._exchange.optional import require
from stream_store.features.names import problem_of

from .definitions import has_values, parse_definition
from .json_messages import JsonDecoder, Unsupported
from .own_topics import restored
from .protobuf import ProtobufDecoder
from .records import Channel
from .ros import BadMessage, Decoder

#: Leaves that each topic has beside its message: name -> feature.
STAMPS = {"_log_time": "uint64", "_publish_time": "uint64", "_sequence": "uint32"}


class MessageDecoder(Protocol):
    """Makes columns of the messages of one type; `type` is their `pyarrow.StructType`."""

    type: Any

    def decode(self, messages: list[bytes]) -> Any: ...


class RawDecoder:
    """Keeps the bytes of messages, as the leaf ``data``: text if the encoding is JSON."""

    def __init__(self, *, text: bool) -> None:
        pa = require("pyarrow", "from_mcap", extra="mcap")
        self.type = pa.struct([("data", pa.string() if text else pa.binary())])

    def decode(self, messages: list[bytes]) -> Any:
        pa = require("pyarrow", "from_mcap", extra="mcap")
        data = pa.array(messages, pa.binary())
        try:
            return pa.StructArray.from_arrays([data.cast(self.type[0].type)], ["data"])
        except pa.ArrowException:
            raise BadMessage("its JSON is not UTF-8", 0) from None


def decoder_of(channel: Channel, *, raw: bool) -> tuple[MessageDecoder, str | None]:
    """The decoder of a channel, and the reason if it keeps bytes.

    Args:
        channel: the channel.
        raw: keep the bytes of its messages.
    """
    text = channel.encoding == "json"
    if raw:
        return RawDecoder(text=text), "stored as bytes, as asked for"
    try:
        return _decoder(channel), None
    except (Unsupported, ValueError) as error:
        kept = "JSON text" if text else "bytes"
        return RawDecoder(text=text), f"stored as {kept}: {error}"


def _decoder(channel: Channel) -> MessageDecoder:
    pair = (channel.encoding, channel.schema_encoding)
    made: MessageDecoder
    if pair in (("cdr", "ros2msg"), ("ros1", "ros1msg")):
        ros = 1 if pair[0] == "ros1" else 2
        message = parse_definition(channel.schema_name, channel.schema_data.decode(), ros)
        if not has_values(message):
            raise Unsupported("its messages have no values")
        made = Decoder(message, ros)
    elif pair == ("json", "jsonschema"):
        made = JsonDecoder(channel.schema_data)
    elif pair == ("protobuf", "protobuf"):
        made = ProtobufDecoder(channel.schema_name, channel.schema_data)
    else:
        schema = (
            f"a schema in {channel.schema_encoding!r}" if channel.schema_encoding else "no schema"
        )
        raise Unsupported(f"messages in {channel.encoding!r} with {schema} are not decoded")
    for path in _paths(made.type):
        if problem := problem_of((channel.topic, *path)):
            raise Unsupported(f"{'.'.join(path)!r}: {problem}")
        if path[0] in STAMPS:
            raise Unsupported(f"it has a member {path[0]!r}")
    return made


def feature_of(kind: Any) -> Any:
    """The feature of an Arrow type: structs as dicts, texts and bytes packed."""
    pa = require("pyarrow", "from_mcap", extra="mcap")
    if pa.types.is_struct(kind):
        return {field.name: feature_of(field.type) for field in kind}
    if pa.types.is_string(kind):
        return "packed string"
    return "packed binary" if pa.types.is_binary(kind) else kind


def _paths(kind: Any) -> Iterator[tuple[str, ...]]:
    """The paths of all members of a struct, those with members of their own included."""
    pa = require("pyarrow", "from_mcap", extra="mcap")
    for field in kind:
        yield (field.name,)
        if pa.types.is_struct(field.type):
            for path in _paths(field.type):
                yield (field.name, *path)


class Topic:
    """One topic, which becomes the struct field of its name.

    Attributes:
        name: its name.
        channel: the first of them.
        reason: why its messages are stored as bytes, or None.
        type: Arrow type of its field.
        own: the field of another name and type that `to_mcap` wrote to it, or None.
    """

    def __init__(self, channel: Channel, *, raw: bool) -> None:
        pa = require("pyarrow", "from_mcap", extra="mcap")
        self.name = channel.topic
        self.channel = channel
        self.decoder, self.reason = decoder_of(channel, raw=raw)
        self.own = None if self.reason else restored(channel)
        stamps = [(name, pa.type_for_alias(kind)) for name, kind in STAMPS.items()]
        self.type = pa.struct([*self.decoder.type, *stamps])

    def paths(self) -> dict[str, tuple[str, ...]]:
        """The paths that `map` may name -> the members that lead there; the topic itself is ()."""
        found: dict[str, tuple[str, ...]] = {self.name: ()}
        if self.own is not None:
            return found
        for path in _paths(self.type):
            found[".".join((self.name, *path))] = path
        return found

    def feature(self, path: tuple[str, ...]) -> Any:
        """The feature of a path."""
        if self.own is not None:
            return self.own.feature
        kind = self.type
        for name in path:
            kind = kind.field(name).type
        return feature_of(kind)


def topics_of(
    channels: Collection[Channel], raw: Collection[str], where: object
) -> dict[str, Topic]:
    """The topics of channels by name, in the order of the channels.

    Raises:
        ValueError: two channels of a topic have different types.
    """
    topics: dict[str, Topic] = {}
    for channel in channels:
        other = topics.get(channel.topic)
        if other is None:
            topics[channel.topic] = Topic(channel, raw=channel.topic in raw)
        elif channel.topic not in raw and _type_of(other.channel) != _type_of(channel):
            raise ValueError(
                f"{where}: from_mcap: topic {channel.topic!r} has messages of the types "
                f"{other.channel.schema_name!r} and {channel.schema_name!r}; leave it out with "
                f"topics=…, or store its bytes with raw=[{channel.topic!r}]"
            )
    return topics


def _type_of(channel: Channel) -> tuple[object, ...]:
    return channel.encoding, channel.schema_name, channel.schema_encoding, channel.schema_data


def stamped(
    array: Any, log: list[int | None], publish: list[int | None], sequence: list[int | None]
) -> Any:
    """The messages of a topic with the leaves of STAMPS; None is missing."""
    pa = require("pyarrow", "from_mcap", extra="mcap")
    columns = [array.field(i) for i in range(array.type.num_fields)]
    names = [field.name for field in array.type]
    for (name, kind), values in zip(STAMPS.items(), (log, publish, sequence), strict=True):
        columns.append(pa.array(values, pa.type_for_alias(kind)))
        names.append(name)
    return pa.StructArray.from_arrays(columns, names)


def member(array: Any, path: tuple[str, ...]) -> Any:
    """The column of a path within a struct, null where an outer struct is null."""
    pc = require("pyarrow.compute", "from_mcap", extra="mcap")
    for name in path:
        array = pc.struct_field(array, name)
    return array


def topics_by_channel(channels: Mapping[int, Channel], topics: Collection[str]) -> dict[int, str]:
    """The channels of the chosen topics: id -> topic."""
    return {number: one.topic for number, one in channels.items() if one.topic in topics}
