"""A store as a HuggingFace `Dataset`: one Arrow file in the datasets cache, written once.

The file's name is derived from its content, so an unchanged store finds its file again and a
changed one never does. The file is written under a temporary name and then renamed, so it is always
complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stream_store import _core
from stream_store._fields import DeclaredFields, fixed_view
from stream_store._file_errors import naming

from .arrow import BATCH_BYTES, batches_of
from .optional import require

_FILE = "stream_store.arrow"
_VERSION = 1  # of the way such files are written; part of their name
_SPLIT = re.compile(r"\w+(\.\w+)*")
_SPARE_BYTES = 16 << 20
_LEAST_BATCH_BYTES = 16 << 20
_MOST_BATCHES = 4096


def to_dataset(core: _core.Store, split: str | None, step_column: str | None) -> Any:
    """A `datasets.Dataset` of all rows of the current snapshot."""
    datasets = require("datasets", "to_dataset")
    require("pyarrow", "to_dataset")
    if split is not None:
        check_split(split)
    view, fields = fixed_view(core)
    features = features_of(fields, step_column)
    fingerprint = fingerprint_of(view, fields, step_column)
    if datasets.is_caching_enabled():
        folder = Path(datasets.config.HF_DATASETS_CACHE) / "stream_store" / fingerprint
    else:  # a unique name; `datasets` removes the folder at exit
        fingerprint = uuid.uuid4().hex
        temporary = datasets.fingerprint.get_temporary_cache_files_directory()
        folder = Path(temporary) / f"stream_store-{fingerprint}"
    path = folder / _FILE

    def opened() -> Any:
        return datasets.Dataset.from_file(
            str(path),
            info=datasets.DatasetInfo(features=features),
            split=None if split is None else datasets.NamedSplit(split),
        )

    folder.mkdir(parents=True, exist_ok=True)
    with require("filelock", "to_dataset").FileLock(folder / f"{_FILE}.lock"):
        if _is_whole(path, view.kept_rows):
            return opened()
        with _replacing(path) as unfinished:
            _write(view, fields, features, fingerprint, step_column, unfinished)
        return opened()


def check_split(split: object) -> None:
    """Check the name of a split."""
    if not isinstance(split, str):
        raise TypeError(f"split must be a str, not {split!r} ({type(split).__name__})")
    if not _SPLIT.fullmatch(split):
        raise ValueError(
            f"split {split!r}: expected a name of letters, digits and _, such as 'train'"
        )


def features_of(fields: DeclaredFields, step_column: object) -> Any:
    """The features of the dataset, the step column first."""
    features: Any = fields.features()
    if step_column is None:
        return features
    if not isinstance(step_column, str) or not step_column:
        raise ValueError(f"step_column must be a name or None, not {step_column!r}")
    if step_column in features:
        raise ValueError(
            f"step_column {step_column!r} is the name of a field; take another one, such as '_step'"
        )
    datasets = require("datasets", "to_dataset")
    return datasets.Features({step_column: datasets.Value("int64"), **features})


def fingerprint_of(core: _core.Store, fields: DeclaredFields, step_column: str | None) -> str:
    """A text that is equal for equal content of one store, and otherwise different.

    The store's id changes when its rows are cleared or replaced. The checksum of the last record
    changes when recovery removes records and others are appended in their place. The first row
    changes when rows are dropped.
    """
    content = [_VERSION, *core._content_key, step_column, fields.json]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _is_whole(path: Path, rows: int) -> bool:
    """Whether the file exists and has that many rows; a power cut may leave an empty one."""
    pyarrow = require("pyarrow", "to_dataset")
    try:
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as reader:
            return bool(sum(batch.num_rows for batch in reader) == rows)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to. It replaces `path` at the end, or is removed after an exception."""
    for leftover in path.parent.glob(f"{path.name}.*.tmp"):  # of processes that died
        leftover.unlink(missing_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _write(
    core: _core.Store,
    fields: DeclaredFields,
    features: Any,
    fingerprint: str,
    step_column: str | None,
    path: Path,
) -> None:
    datasets = require("datasets", "to_dataset")
    pyarrow = require("pyarrow", "to_dataset")
    schema = features.arrow_schema
    metadata = json.loads(schema.metadata[b"huggingface"])
    metadata["fingerprint"] = fingerprint
    schema = schema.with_metadata({"huggingface": json.dumps(metadata)})
    batches = batches_of(
        core, fields, schema, step_column=step_column or "", batch_bytes=_batch_bytes(core)
    )
    progress = datasets.utils.tqdm(
        total=core.kept_rows, unit=" examples", desc="Writing the store as a dataset"
    )
    with (
        progress,
        naming(path, "to_dataset"),
        pyarrow.OSFile(str(path), "wb") as sink,
        pyarrow.ipc.new_stream(sink, schema) as writer,
    ):
        first = True  # progress.n cannot be used: it stays 0 while bars are off
        for batch in _one_ahead(batches):
            if first:
                _check_space(path, batch.nbytes * core.kept_rows // max(1, batch.num_rows))
                first = False
            writer.write_batch(batch)
            progress.update(batch.num_rows)
            del batch  # so that the next one can reuse its memory


def _batch_bytes(core: _core.Store) -> int:
    """Size of a batch: small ones need few new pages, but a file of few batches opens faster."""
    return min(BATCH_BYTES, max(_LEAST_BATCH_BYTES, core.nbytes // _MOST_BATCHES))


def _one_ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches; a thread makes the next one while the current one is written."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch
            del batch


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed + _SPARE_BYTES > free:
        raise OSError(
            28,
            f"to_dataset: expected {needed >> 20} MiB of free space but found {free >> 20} MiB; "
            "set HF_DATASETS_CACHE to a directory with more space",
            str(path.parent),
        )
