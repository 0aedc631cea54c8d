"""MCAP files as a source for imports.

Each topic is a struct field. A row holds the messages of one log time, which is its step, at most
one of each topic. A message for which that is not possible, because its log time is not greater
than the last step, or its topic has a message in the row already, begins a row with the next step,
and keeps its log time in ``_log_time``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_store import _arguments
from stream_store._convert.arrays import insert
from stream_store._convert.source import BLOCK_BYTES, Block, Source, choose_fields
from stream_store._exchange.optional import require
from stream_store._types import AnyPath

from .records import Channel, McapFile, Stamped
from .ros import BadMessage
from .topics import member, stamped, topics_by_channel, topics_of

#: The field with the channels of a file, as JSON, in its first row.
CHANNELS = "_mcap"

_MAX_ROWS = 1 << 16  # of a block
_MESSAGE_BYTES = 64  # that a message takes beside its own
_MAX_STEP = 2**63 - 1


class McapSource(Source):
    """One file, or several that follow each other in time.

    Args:
        src: a file, or a directory of files, such as a bag of ROS 2.
        topics: the topics to import; None imports all.
        raw: topics whose messages are stored as bytes.
        map: field name -> path, a topic or ``topic.member``.
        after: the step that all steps must be greater than, or None.
    """

    format = "mcap"
    has_steps = True

    def __init__(
        self,
        src: AnyPath,
        topics: Sequence[str] | None,
        raw: Sequence[str] | None,
        map: Mapping[str, str] | None,
        after: int | None = None,
    ) -> None:
        self._after = after
        require("pyarrow", "from_mcap", extra="mcap")
        self.path = Path(_arguments.path_text(src))
        chosen = _arguments.names("topics", topics)
        kept = _arguments.names("raw", raw) or []
        self._files = [McapFile(path) for path in files_of(self.path)]
        self._files.sort(key=lambda file: (file.first_time, file.path.name))
        channels = self._channels(chosen, kept)
        self._topics = topics_of(channels, kept, self.path)
        if not self._topics:
            raise ValueError(f"{self.path}: from_mcap: expected messages, found none")
        self._choose(map)
        self.episodes = len(self._files)
        self.options = {"topics": chosen, "raw": kept, "map": None if map is None else dict(map)}
        self._facts = {
            str(file.path): file.ending for file in self._files if file.ending is not None
        }
        for file in self._files:
            if file.attachments:
                self._facts[f"{file.path}: {file.attachments} attachments"] = "not messages"
        self.left_out = self._facts
        self._reasons = {one.name: one.reason for one in self._topics.values() if one.reason}
        self.changes = dict(self._reasons)

    def _channels(self, chosen: Collection[str] | None, raw: Collection[str]) -> list[Channel]:
        """The channels to read, each once."""
        found = [one for file in self._files for one in file.channels.values()]
        names = {one.topic for one in found}
        for argument, topics in (("topics", chosen), ("raw", raw)):
            for topic in topics or ():
                if topic not in names:
                    raise ValueError(
                        f"{self.path}: from_mcap: {argument} has {topic!r}, but the topics are "
                        f"{', '.join(sorted(names))}"
                    )
        return [one for one in found if chosen is None or one.topic in chosen]

    def _choose(self, map: Mapping[str, str] | None) -> None:
        """Set the fields, and where each comes from."""
        paths = {
            path: (topic.name, members)
            for topic in self._topics.values()
            for path, members in topic.paths().items()
        }
        if map is None:
            self._origins: list[tuple[tuple[str, ...], tuple[str, tuple[str, ...]]]] = [
                (topic.own.path if topic.own else (name,), (name, ()))
                for name, topic in self._topics.items()
            ]
        else:
            chosen = choose_fields(paths, map, self.path)
            self._origins = [((field,), paths[path]) for field, path in chosen.items()]
        self.fields = {}
        for target, (name, members) in self._origins:
            insert(self.fields, target, self._topics[name].feature(members))
        self._describes = map is None and any(one.own is None for one in self._topics.values())
        if self._describes:
            self.fields[CHANNELS] = "packed string"

    # --- reading ---

    def blocks(self, first_episode: int = 0) -> Iterator[Block]:
        """The rows of the files from number `first_episode` on."""
        self.changes = dict(self._reasons)
        moved = 0
        last_step = self._after
        topics = {topic for _, (topic, _) in self._origins}
        for number, file in enumerate(self._files):
            channels = topics_by_channel(file.channels, topics)
            rows = _Rows(channels, last_step, self._where(file))
            pending: Block | None = None
            for block in self._file_blocks(file, channels, rows, number, number >= first_episode):
                if pending is not None:
                    yield pending
                pending = block
            if pending is not None:
                yield Block(self._completed(pending), pending.steps, number, True)
            last_step = rows.last_step
            moved += rows.moved
        if moved:
            self.changes["step"] = (
                f"{moved:,} messages have a step after their log time, which is in _log_time"
            )

    def _where(self, file: McapFile) -> str:
        return f"{file.path}: from_mcap"

    def _file_blocks(
        self, file: McapFile, channels: Mapping[int, str], rows: _Rows, number: int, wanted: bool
    ) -> Iterator[Block]:
        """The blocks of one file; all but its last row, if it is not wanted, is only counted."""
        first = True
        for messages in file.read(channels):
            for message in messages:
                if rows.add(message):
                    continue
                if wanted:
                    yield self._block(file, rows, number, first)
                    first = False
                rows.begin(message)
        if rows.steps and wanted:
            yield self._block(file, rows, number, first)

    def _block(self, file: McapFile, rows: _Rows, number: int, first: bool) -> Block:
        pa = require("pyarrow", "from_mcap", extra="mcap")
        arrays: dict[str, Any] = {}
        for name, part in rows.parts.items():
            topic = self._topics[name]
            try:
                array = topic.decoder.decode(part.data)
            except BadMessage as error:
                text, at = error.args
                raise ValueError(
                    f"{file.path}: from_mcap: topic {name!r}, message with log time "
                    f"{part.log_times[at]}: {text}; raw=[{name!r}] stores its bytes"
                ) from error
            if topic.own is not None:
                arrays[name] = topic.own.column(array, part.rows, len(rows.steps))
            else:
                array = stamped(array, part.moved, part.publish, part.sequence)
                arrays[name] = _spread(pa, array, part.rows, len(rows.steps))
        columns: dict[str, Any] = {}
        for target, (name, members) in self._origins:
            if name in arrays:
                insert(columns, target, member(arrays[name], members))
        if first and self._describes:
            columns[CHANNELS] = [self._description(file)] + [None] * (len(rows.steps) - 1)
        return Block(columns, np.array(rows.steps, np.int64), number, False)

    def _completed(self, block: Block) -> Mapping[str, Any]:
        """The columns of the last block of a file, with an empty text in its last row.

        A row that lacks the last field could be continued, so samplers would leave it out. The
        export skips the text.
        """
        if not self._describes:
            return block.columns
        texts = list(block.columns.get(CHANNELS, [None] * block.rows))
        texts[-1] = texts[-1] or ""
        return {**block.columns, CHANNELS: texts}

    def _description(self, file: McapFile) -> str:
        """What `to_mcap` needs to write the same channels again."""
        described = []
        for one in file.channels.values():
            topic = self._topics.get(one.topic)
            if topic is not None and topic.own is None:
                described.append(
                    {
                        "topic": one.topic,
                        "encoding": one.encoding,
                        "metadata": one.metadata,
                        "schema": one.schema_name,
                        "schema_encoding": one.schema_encoding,
                        "schema_data": base64.b64encode(one.schema_data).decode(),
                        "decoded": topic.reason is None,
                    }
                )
        return json.dumps(
            {"profile": file.profile, "metadata": file.metadata, "channels": described}
        )


class _Part:
    """The messages of one topic in a block."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.data: list[bytes] = []
        self.log_times: list[int] = []
        self.moved: list[int | None] = []
        self.publish: list[int | None] = []
        self.sequence: list[int | None] = []


class _Rows:
    """Collects messages as the rows of a block.

    Attributes:
        steps: of the rows.
        parts: topic -> its messages.
        last_step: step of the last row, of any block; None before the first.
        moved: number of messages whose step is not their log time, in all blocks.
    """

    def __init__(self, channels: Mapping[int, str], last_step: int | None, where: str) -> None:
        self.steps: list[int] = []
        self.parts: dict[str, _Part] = {}
        self.last_step = last_step
        self.moved = 0
        self._channels = channels
        self._where = where
        self._bytes = 0
        self._in_row: set[str] = set()

    def begin(self, message: Stamped) -> None:
        """Begin another block with a message."""
        self.steps, self.parts, self._bytes = [], {}, 0
        self.add(message)

    def add(self, message: Stamped) -> bool:
        """Add a message; False, and nothing is changed, if it has to begin another block."""
        log_time, _, channel, sequence, publish_time, data = message
        topic = self._channels[channel]
        last = self.last_step
        shares = log_time == last and topic not in self._in_row and bool(self.steps)
        step = log_time
        if not shares:
            if self._bytes >= BLOCK_BYTES or len(self.steps) >= _MAX_ROWS:
                return False
            if last is not None and log_time <= last:
                step = last + 1
                self.moved += 1
            if step > _MAX_STEP:
                raise ValueError(
                    f"{self._where}: topic {topic!r} has a message with the log time {log_time}; "
                    "a step is at most 2**63 - 1"
                )
            self.steps.append(step)
            self.last_step = step
            self._in_row.clear()
        self._in_row.add(topic)
        part = self.parts.get(topic)
        if part is None:
            part = self.parts[topic] = _Part()
        part.rows.append(len(self.steps) - 1)
        part.data.append(data)
        part.log_times.append(log_time)
        part.moved.append(None if step == log_time else log_time)
        part.publish.append(None if publish_time == log_time else publish_time)
        part.sequence.append(sequence or None)
        self._bytes += len(data) + _MESSAGE_BYTES
        return True


def _spread(pa: Any, array: Any, rows: list[int], count: int) -> Any:
    """The messages of a topic in their rows, null in the others."""
    if len(rows) == count:
        return array
    where = np.zeros(count, np.int64)
    missing = np.ones(count, np.bool_)
    where[rows] = np.arange(len(rows))
    missing[rows] = False
    return array.take(pa.array(where, mask=missing))


def files_of(path: Path) -> list[Path]:
    """The MCAP files of a path: itself, or those of a directory, such as a bag of ROS 2."""
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: from_mcap: no such file")
        return [path]
    files = sorted(path.glob("*.mcap"))
    if not files:
        raise ValueError(f"{path}: from_mcap: expected files *.mcap in the directory, found none")
    return files
