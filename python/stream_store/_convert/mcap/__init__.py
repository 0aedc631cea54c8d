"""MCAP files: import of topics as fields of their own rates, and export.

records.py        the records of a file, and its messages in the order of their log time
definitions.py    message definitions of ROS
ros.py            decoding of ROS messages into columns; ros_write.py encodes them
json_messages.py  JSON messages; protobuf.py those of protobuf
topics.py         topics as fields; own_topics.py those that the export makes of other fields
source.py         the source; export.py the export
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_store._convert.importing import import_source
from stream_store._convert.report import ConversionReport
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress

from .export import to_mcap
from .source import McapSource

__all__ = ["from_mcap", "to_mcap"]


def from_mcap(
    store: StoreLife,
    src: AnyPath,
    *,
    topics: Sequence[str] | None = None,
    raw: Sequence[str] | None = None,
    map: Mapping[str, str] | None = None,
    append: bool = False,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Import a file, or the files of a directory."""
    store._require_writable("from_mcap")
    has_rows = bool(store.fields) and store.num_rows > 0
    after = store.last_step if append and has_rows and not resume else None
    return import_source(
        store,
        McapSource(src, topics, raw, map, after),
        append=append,
        resume=resume,
        check=check,
        progress=progress,
    )
