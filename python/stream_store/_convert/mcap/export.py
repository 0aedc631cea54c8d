"""MCAP files written from a store.

The topics of an imported file are written with their own schemas, times and sequence numbers; other
fields as topics of their own (own_topics.py).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from stream_store import _arguments
from stream_store._convert.exporting import new_file
from stream_store._convert.report import ConversionReport
from stream_store._convert.residency import row_parts
from stream_store._exchange.optional import require
from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress
from stream_store.errors import CheckError

from .definitions import parse_definition
from .json_messages import JsonDecoder
from .own_topics import OwnTopic, own_topic
from .protobuf import ProtobufDecoder
from .ros_write import encoder_of
from .source import CHANNELS

_ROWS_AT_ONCE = 4096

_Encode = Callable[[Any, int], bytes]


@dataclass(frozen=True)
class _Topic:
    """A topic to write.

    Attributes:
        topic: its name.
        path: of the field.
        schema, schema_encoding, schema_data: of its messages.
        encoding: of its messages.
        metadata: of its channel.
        encode: the bytes of a value at a log time.
        stamped: whether the field is a struct that has stamps, too.
    """

    topic: str
    path: tuple[str, ...]
    schema: str
    schema_encoding: str
    schema_data: bytes
    encoding: str
    metadata: dict[str, str]
    encode: _Encode
    stamped: bool


@dataclass(frozen=True)
class _Message:
    """A message to write; `number` is that of its topic."""

    number: int
    log_time: int
    publish_time: int
    sequence: int
    data: bytes


def to_mcap(
    store: StoreLife,
    dst: AnyPath,
    *,
    fields: Sequence[str] | None = None,
    step_ns: int = 1,
    chunk_bytes: int = 1 << 20,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Write the rows of a store as a file; `StreamStore.to_mcap` describes it."""
    began = time.monotonic()
    writer_module = require("mcap.writer", "to_mcap", extra="mcap")
    scale = _arguments.integer("step_ns", step_ns, 1)
    size = _arguments.integer("chunk_bytes", chunk_bytes, 1)
    if not store.fields or not store.kept_rows:
        raise ValueError(f"{store._where()}: to_mcap: the store has no rows")
    export = _Export(store.snapshot(), _arguments.names("fields", fields), scale)
    with new_file(Path(_arguments.path_text(dst)), "to_mcap") as partial:
        with partial.open("wb") as file:
            writer = writer_module.Writer(
                file,
                chunk_size=size,
                compression=writer_module.CompressionType.ZSTD,
                enable_crcs=True,
                enable_data_crcs=True,
            )
            export.write(writer, progress)
        compared = export.check(partial) if check else None
    return ConversionReport(
        format="mcap",
        rows=export.rows,
        episodes=1,
        fields=tuple(dict.fromkeys(one.path[0] for one in export.topics)),
        left_out=export.left_out,
        seconds=time.monotonic() - began,
        checked_values=compared,
    )


class _Export:
    """The topics of a snapshot, and its rows as messages."""

    def __init__(self, view: StoreLife, chosen: Sequence[str] | None, scale: int) -> None:
        self._view = view
        self._scale = scale
        self._where = f"{view._where()}: to_mcap"
        self.left_out: dict[str, str] = {}
        self.rows = 0
        self._facts = _description(view)
        described = {one["topic"]: one for one in self._facts.get("channels", ())}
        known = declared_fields(view).outer_names
        for name in chosen or ():
            if name not in known:
                raise ValueError(f"{self._where}: fields has {name!r}; expected {', '.join(known)}")
        self.topics: list[_Topic] = []
        for name in known:
            if (chosen is None or name in chosen) and not (name == CHANNELS and described):
                if name in described:
                    self.topics.append(self._imported(described[name]))
                else:
                    self.topics += self._own(name)
        names = [one.topic for one in self.topics]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{self._where}: two fields have the topic {name!r}; choose fields"
                )
        if not self.topics:
            raise ValueError(f"{self._where}: there is no field that a message can hold")

    def _imported(self, described: Mapping[str, Any]) -> _Topic:
        """The topic of an imported file."""
        data = base64.b64decode(described["schema_data"])
        topic, encoding, schema = described["topic"], described["encoding"], described["schema"]
        encode: Callable[[Any], bytes]
        if not described["decoded"]:
            encode = _encode_raw
        elif encoding in ("cdr", "ros1"):
            ros = 2 if encoding == "cdr" else 1
            encode = encoder_of(parse_definition(schema, data.decode(), ros), ros)
        elif encoding == "json":
            encode = JsonDecoder(data).encode
        else:
            encode = ProtobufDecoder(schema, data).encode
        return _Topic(
            topic,
            (topic,),
            schema,
            described["schema_encoding"],
            data,
            encoding,
            dict(described["metadata"]),
            lambda value, _: encode(value),
            True,
        )

    def _own(self, name: str) -> Iterator[_Topic]:
        """The topics of a field that comes from elsewhere."""
        for spec in declared_fields(self._view).specs:
            if spec.path[0] != name or spec.hidden:
                continue
            own = own_topic(spec)
            if own is None:
                self.left_out[spec.name] = f"no message of ROS holds {spec.text}"
                continue
            yield _Topic(
                own.topic,
                spec.path,
                own.schema,
                "ros2msg",
                own.definition.encode(),
                "cdr",
                own.metadata(),
                _encoder_of_own(own),
                False,
            )

    # --- messages ---

    def messages(self) -> Iterator[_Message]:
        """The messages of all rows, in their order."""
        view = self._view
        names = [one.topic for one in self.topics]
        for rows in row_parts(view, _ROWS_AT_ONCE):
            steps = view.read_rows(rows, fields=())["_step"].tolist()
            for step, values in zip(steps, view.rows(rows.start, rows.stop), strict=True):
                self.rows += 1
                for number, one in enumerate(self.topics):
                    value = _at(values, one.path)
                    if value is None:
                        continue
                    try:
                        yield self._message(number, one, value, step)
                    except (ValueError, TypeError, OverflowError) as error:
                        raise ValueError(
                            f"{self._where}: step {step}: topic {names[number]!r}: {error}"
                        ) from error

    def _message(self, number: int, topic: _Topic, value: Any, step: int) -> _Message:
        log_time, publish_time, sequence = step * self._scale, None, None
        if topic.stamped:
            moved = value["_log_time"]
            log_time = log_time if moved is None else int(moved)
            publish_time, sequence = value["_publish_time"], value["_sequence"]
        if not 0 <= log_time < 2**64:
            raise ValueError(f"a log time of {log_time} ns; expected one in [0, 2**64)")
        return _Message(
            number,
            log_time,
            log_time if publish_time is None else int(publish_time),
            int(sequence or 0),
            topic.encode(value, log_time),
        )

    def write(self, writer: Any, progress: Progress | None) -> None:
        """Write the file."""
        writer.start(profile=self._facts.get("profile", "ros2"), library="stream-store")
        for name, pairs in self._facts.get("metadata", ()):
            writer.add_metadata(name, pairs)
        schemas: dict[tuple[str, str, bytes], int] = {}
        channels = []
        for one in self.topics:
            key = (one.schema, one.schema_encoding, one.schema_data)
            if key not in schemas:
                has_schema = bool(one.schema or one.schema_encoding)
                schemas[key] = writer.register_schema(*key) if has_schema else 0
            channels.append(
                writer.register_channel(one.topic, one.encoding, schemas[key], one.metadata)
            )
        total = self._view.kept_rows
        for message in self.messages():
            writer.add_message(
                channels[message.number],
                log_time=message.log_time,
                data=message.data,
                publish_time=message.publish_time,
                sequence=message.sequence,
            )
            if progress is not None and self.rows % 1024 == 0:
                progress(self.rows, total)
        writer.finish()
        if progress is not None:
            progress(total, total)

    # --- checking ---

    def check(self, path: Path) -> int:
        """Compare every message of the file, as the library of MCAP reads it, with the rows."""
        reader_module = require("mcap.reader", "to_mcap", extra="mcap")
        self.rows = 0
        compared = 0
        wanted = self.messages()
        with path.open("rb") as file:
            reader = reader_module.NonSeekingReader(file, validate_crcs=True)
            for _, channel, found in reader.iter_messages(log_time_order=False):
                one = next(wanted, None)
                same = one is not None and (
                    self.topics[one.number].topic,
                    one.log_time,
                    one.publish_time,
                    one.sequence,
                    one.data,
                ) == (
                    channel.topic,
                    found.log_time,
                    found.publish_time,
                    found.sequence,
                    found.data,
                )
                if not same:
                    raise CheckError(
                        f"{path}: check: the message of {channel.topic!r} at {found.log_time} "
                        "differs from the store"
                    )
                compared += 1
        if next(wanted, None) is not None:
            raise CheckError(f"{path}: check: the file has fewer messages than the store")
        return compared


def _description(view: StoreLife) -> dict[str, Any]:
    """The notes of the import about the file, or all files, that the rows come from."""
    if CHANNELS not in view.fields:
        return {}
    merged: dict[str, Any] = {}
    by_topic: dict[str, Any] = {}
    for rows in row_parts(view, _ROWS_AT_ONCE):
        batch = view.read_rows(rows, fields=[CHANNELS])
        for text in compress(batch[CHANNELS], batch["_mask"][CHANNELS]):
            if not text:  # of the last row of a file
                continue
            try:
                found = json.loads(text)
                merged = merged or {name: found[name] for name in ("profile", "metadata")}
                by_topic |= {one["topic"]: one for one in found["channels"]}
            except (ValueError, KeyError, TypeError):
                return {}  # a field of that name with other content
    return {**merged, "channels": list(by_topic.values())} if by_topic else {}


def _at(values: Any, path: Sequence[str]) -> Any:
    for name in path:
        if values is None:
            return None
        values = values[name]
    return values


def _encode_raw(value: Any) -> bytes:
    data = value["data"]
    return data.encode() if isinstance(data, str) else bytes(data)


def _encoder_of_own(own: OwnTopic) -> _Encode:
    encode = encoder_of(parse_definition(own.schema, own.definition, 2), 2)
    return lambda value, log_time: encode(own.message(value, log_time))
