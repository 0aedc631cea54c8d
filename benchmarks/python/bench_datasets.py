"""Measure the exchange with datasets: to_dataset, from_dataset, and memory at two sizes.

The rows have 4 fields and 11 values, or a list of 128 floats. The competitors are pwrite and a copy
into a mapped file, for the same number of bytes, and pyarrow's IPC writer for the same batches.
Prints one JSON object per line for run.py. Figures are the least of several runs. Memory is
measured in separate processes as RssAnon, which does not include mapped files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import anonymous_bytes, report
from questions import exchange, least

from stream_store import StreamStore

FIELDS = {"action": "int64", "observation": "float32[]", "reward": "float32", "done": "bool"}
VALUES = 11  # per row
RECORD_BYTES = 32
LIST = 128
CHUNK = 100_000
RUNS = 5


def filled(rows: int) -> StreamStore:
    """Return a store of that many rows of 11 values."""
    store = StreamStore(fields=FIELDS)
    observation = np.random.default_rng(0).normal(size=(CHUNK, 8)).astype(np.float32)
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        store.extend(
            {
                "action": np.arange(first, first + count),
                "observation": observation[:count],
                "reward": np.ones(count, np.float32),
                "done": np.zeros(count, bool),
            }
        )
    return store


def write_bytes(path: Path, data: bytes) -> None:
    """Write the bytes to a file: the lower limit for any export."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    os.pwrite(descriptor, data, 0)
    os.close(descriptor)


def copy_into_map(path: Path, data: bytes) -> None:
    """Copy the bytes into a mapped file: the lower limit for any import."""
    with path.open("w+b") as file:
        os.posix_fallocate(file.fileno(), 0, len(data))
        np.memmap(file, np.uint8, "r+", shape=(len(data),))[:] = np.frombuffer(data, np.uint8)


def remove(ds: Any) -> None:
    """Remove a dataset's file from the cache, so that the next call writes it again."""
    Path(ds.cache_files[0]["filename"]).unlink()


def bench_rows(rows: int, directory: Path) -> None:
    """Measure to_dataset, from_dataset, and from_dataset of a shuffled dataset, per row."""
    store = filled(rows)
    ds = store.to_dataset()
    size = Path(ds.cache_files[0]["filename"]).stat().st_size
    data = bytes(size)
    raw = least(lambda: write_bytes(directory / "raw", data), RUNS, rows)

    def out() -> None:
        remove(store.to_dataset())

    remove(ds)
    report(f"to_dataset, per row of {rows:,}", least(out, RUNS, rows), 0.1, raw, "pwrite")

    ds = store.to_dataset()
    data = bytes(rows * (8 * VALUES + RECORD_BYTES))
    raw = least(lambda: copy_into_map(directory / "raw", data), RUNS, rows)

    def into(given: Any) -> Callable[[], None]:
        target = StreamStore(fields=FIELDS)

        def work() -> None:
            target.from_dataset(given)

        return work

    plain = least(into(ds), RUNS, rows)
    report(f"from_dataset, per row of {rows:,}", plain, 0.1, raw, "a mapped copy")
    mixed = least(into(ds.shuffle(seed=0)), 3, rows)
    report("from_dataset of a shuffled dataset, per row", mixed, 5 * plain, plain, "unshuffled")


def bench_loop(rows: int) -> None:
    """Measure a loop over rows in Python, which is how other tools convert."""
    import datasets  # noqa: PLC0415 (reads HF_HOME when it is imported)

    store = filled(rows)
    ds = store.to_dataset()

    def out() -> None:
        datasets.Dataset.from_generator(
            lambda: iter(store.rows()), features=store.features, fingerprint=uuid.uuid4().hex
        )

    def into() -> None:
        target = StreamStore(fields=FIELDS)
        for row in ds:
            target.append_step(row)

    for task, ours, loop in (
        ("to_dataset, per row, against from_generator", store.to_dataset, out),
        ("from_dataset, per row, against a loop", lambda: StreamStore().from_dataset(ds), into),
    ):
        took = least(ours, 3, rows)
        report(task, took, None, least(loop, 1, rows), "a Python loop")


def bench_lists(rows: int, directory: Path) -> None:
    """Measure lists of 128 floats against pyarrow writing existing batches."""
    import pyarrow as pa  # noqa: PLC0415

    store = StreamStore(fields={"x": f"float32[{LIST}]"})
    block = np.random.default_rng(0).normal(size=(CHUNK, LIST)).astype(np.float32)
    for _ in range(0, rows, CHUNK):
        store.extend({"x": block})
    batches = list(store.to_arrow())

    def theirs() -> None:
        with (
            pa.OSFile(str(directory / "lists.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, batches[0].schema) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)

    def ours() -> None:
        remove(store.to_dataset())

    took, other = least(ours, RUNS, rows), least(theirs, RUNS, rows)
    report(f"to_dataset, per row of {LIST} floats", took, 2 * other, other, "pyarrow's IPC writer")


def bench_text(rows: int, directory: Path) -> None:
    """Measure texts and chats from and to Arrow in memory, against `take` of all rows.

    A store is a file even if its rows come from memory, so the import is also compared with a copy
    of as many bytes into a mapped file.
    """
    every = np.arange(rows)
    for what, table in (("texts", exchange.texts(rows)), ("chats", exchange.chats(rows))):
        fields = {name: declared(table.schema.field(name).type) for name in table.column_names}
        with StreamStore(fields=fields) as store:
            into = least(lambda: store.from_arrow(table), RUNS, rows)  # noqa: B023 (called here)
            out = least(lambda: store.to_arrow().read_all(), RUNS, rows)
            exchange.require(store.to_arrow().read_all().equals(table), what)
            data = bytes(len(store) * 8 + rows * RECORD_BYTES)
        copied = least(lambda: table.take(every), RUNS, rows)  # noqa: B023
        mapped = least(lambda: copy_into_map(directory / "raw", data), RUNS, rows)  # noqa: B023
        report(f"from_arrow, per row of {what}", into, 3 * copied, copied, "take of all rows")
        report(f"from_arrow, per row of {what}, on disk", into, None, mapped, "a mapped copy")
        report(f"to_arrow, per row of {what}", out, 3 * copied, copied, "take of all rows")


def declared(kind: Any) -> str:
    """Return the field for a column: packed text, or a nested cell."""
    return "packed string" if str(kind) == "string" else f"nested {kind}"


@contextmanager
def peak() -> Iterator[list[int]]:
    """Measure the largest increase of anonymous memory, sampled every millisecond."""
    most = [0]
    done = threading.Event()
    before = anonymous_bytes()

    def watch() -> None:
        while not done.wait(0.001):
            most[0] = max(most[0], anonymous_bytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def measure_memory(rows: int) -> None:
    """Print the memory peaks of to_dataset and from_dataset. Runs in a separate process."""
    store = filled(rows)
    filled(10).to_dataset()  # loads the imports, caches and pools of pyarrow
    with peak() as out:
        ds = store.to_dataset()
    target = StreamStore(fields=FIELDS)
    with peak() as into:
        target.from_dataset(ds)
    print(json.dumps([out[0], into[0]]))


def bench_memory(sizes: list[int]) -> None:
    """Measure that memory stays within 300 MiB at any size."""
    for rows in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--memory-of", str(rows)],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )
        peaks = json.loads(done.stdout.splitlines()[-1])
        for task, most in zip(("to_dataset", "from_dataset"), peaks, strict=True):
            report(f"{task} of {rows:,} rows, extra memory", most / 2**20, 300, unit="MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=20_000_000, help="rows of the memory test")
    parser.add_argument("--memory-of", type=int, help="measure one size and print it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stream-store-bench-", dir="/var/tmp") as directory:
        os.environ.setdefault("HF_HOME", directory)
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        if arguments.memory_of:
            measure_memory(arguments.memory_of)
            return
        bench_rows(arguments.rows, Path(directory))
        bench_lists(arguments.rows // 2, Path(directory))
        bench_loop(5_000)
        bench_text(50_000, Path(directory))
        bench_memory([arguments.most // 100, arguments.most])


if __name__ == "__main__":
    main()
