"""A store as a HuggingFace `Dataset`: one Arrow file in the datasets cache, written once.

The file's name comes from what it holds, so that an unchanged store finds it there again and a
changed one never does. It appears under that name whole: written under another one, then renamed.
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
from typing import TYPE_CHECKING, Any

from stream_store.features import build_features, features_json

from .arrow import BATCH_BYTES, Rows, require

if TYPE_CHECKING:
    from stream_store.store import StreamStore

_FILE = "stream_store.arrow"
_VERSION = 1  # of how such files are written; part of their name
_SPLIT = re.compile(r"\w+(\.\w+)*")
_SPARE_BYTES = 16 << 20
_LEAST_BATCH_BYTES = 16 << 20
_MOST_BATCHES = 4096


def to_dataset(store: StreamStore, split: str | None, step_column: str | None) -> Any:
    """A `datasets.Dataset` of all rows there are now."""
    datasets = require("datasets", "to_dataset")
    require("pyarrow", "to_dataset")
    if split is not None:
        check_split(split)
    view = store.snapshot()
    features = features_of(view, step_column)
    fingerprint = fingerprint_of(view, step_column)
    if datasets.is_caching_enabled():
        folder = Path(datasets.config.HF_DATASETS_CACHE) / "stream_store" / fingerprint
    else:  # a name of its own, gone at exit
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
        if _is_whole(path, view.num_rows):
            return opened()
        with _replacing(path) as unfinished:
            _write(view, features, fingerprint, step_column, unfinished)
        return opened()


def check_split(split: object) -> None:
    """That this can be the name of a split."""
    if not isinstance(split, str):
        raise TypeError(f"split must be a str, not {split!r} ({type(split).__name__})")
    if not _SPLIT.fullmatch(split):
        raise ValueError(
            f"split {split!r}: expected a name of letters, digits and _, such as 'train'"
        )


def features_of(store: StreamStore, step_column: object) -> Any:
    """The features of the dataset, the step column first."""
    features: Any = build_features(store._specs)
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


def fingerprint_of(store: StreamStore, step_column: str | None) -> str:
    """What names the dataset: equal for equal content of one store, else different.

    The store's id changes when it is cleared or filled anew; the check of the last record when
    recovery has cut records off and others took their place.
    """
    content = [_VERSION, *store._content_key, step_column, features_json(store._specs)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _is_whole(path: Path, rows: int) -> bool:
    """Whether a file is there and readable; one that a power cut left empty is not."""
    pyarrow = require("pyarrow", "to_dataset")
    try:
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as reader:
            return bool(sum(batch.num_rows for batch in reader) == rows)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the end; nothing stays otherwise."""
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
    store: StreamStore, features: Any, fingerprint: str, step_column: str | None, path: Path
) -> None:
    datasets = require("datasets", "to_dataset")
    pyarrow = require("pyarrow", "to_dataset")
    schema = features.arrow_schema
    metadata = json.loads(schema.metadata[b"huggingface"])
    metadata["fingerprint"] = fingerprint
    schema = schema.with_metadata({"huggingface": json.dumps(metadata)})
    rows = Rows(store, step_column=step_column or "", batch_bytes=_batch_bytes(store))
    reader = pyarrow.RecordBatchReader.from_stream(rows, schema=schema)
    progress = datasets.utils.tqdm(
        total=store.num_rows, unit=" examples", desc="Writing the store as a dataset"
    )
    with (
        progress,
        pyarrow.OSFile(str(path), "wb") as sink,
        pyarrow.ipc.new_stream(sink, schema) as writer,
    ):
        first = True  # progress.n stays 0 when bars are off
        for batch in _one_ahead(reader):
            if first:
                _check_space(path, batch.nbytes * store.num_rows // max(1, batch.num_rows))
                first = False
            writer.write_batch(batch)
            progress.update(batch.num_rows)
            del batch  # its memory is that of the next one


def _batch_bytes(store: StreamStore) -> int:
    """Small batches need few fresh pages, few batches are quick to open."""
    return min(BATCH_BYTES, max(_LEAST_BATCH_BYTES, store.nbytes // _MOST_BATCHES))


def _one_ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches, the next one made by a thread while this one is written."""
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
            f"to_dataset needs about {needed >> 20} MiB and {free >> 20} MiB are free; set "
            "HF_DATASETS_CACHE to a place with more",
            str(path.parent),
        )
