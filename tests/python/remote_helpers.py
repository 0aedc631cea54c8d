"""Helpers of the tests of shipping and mirroring: remote stores, and a comparison of two stores."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import obstore.store

import stream_store
from model_process import PATIENCE
from stream_store import StreamStore
from stream_store._remote.bucket import Bucket

FIELDS = {"obs": "float32[]", "action": "int64", "note": "string", "done": "bool"}

#: A server for S3 in a process of its own. It keeps everything in memory.
SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the parent closes it, or ends
"""


@contextmanager
def s3_server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a running server, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", process
    finally:
        process.kill()
        process.communicate()


def s3_options(endpoint: str, timeout: str = "20s") -> dict[str, Any]:
    """Options of obstore for that server."""
    return {
        "endpoint": endpoint,
        "access_key_id": "test",
        "secret_access_key": "test",
        "region": "us-east-1",
        "client_options": {"allow_http": True, "timeout": timeout},
        "retry_config": {"max_retries": 1, "retry_timeout": timedelta(seconds=2)},
    }


def new_bucket(endpoint: str) -> str:
    """Create a bucket; returns its URL."""
    name = f"bucket-{uuid.uuid4().hex}"
    ask_server(endpoint, "PUT", name)
    return f"s3://{name}/a/prefix"


def ask_server(endpoint: str, method: str, path: str) -> None:
    """A request that obstore cannot make, such as creating a bucket."""
    request = urllib.request.Request(f"{endpoint}/{path}", method=method)
    urllib.request.urlopen(request).close()


class Remote:
    """A remote store, as all kinds of obstore's stores."""

    def __init__(self, kind: str, place: Any, options: dict[str, Any] | None = None) -> None:
        self.kind = kind
        self.place = place
        self.options = options

    def shipper(self, store: Any, **arguments: Any) -> stream_store.Shipper:
        return stream_store.Shipper(store, self.place, storage_options=self.options, **arguments)

    def mirror(self, path: Path, **arguments: Any) -> stream_store.Mirror:
        return stream_store.Mirror(self.place, path, storage_options=self.options, **arguments)

    def verify(self) -> stream_store.RemoteReport:
        return stream_store.verify_remote(self.place, storage_options=self.options)

    @property
    def bucket(self) -> Bucket:
        return Bucket(self.place, self.options)

    def names(self, folder: str) -> list[str]:
        return list(self.bucket.list(folder))


def memory() -> Remote:
    return Remote("memory", obstore.store.MemoryStore())


def append(store: StreamStore, count: int) -> None:
    """Append rows that follow from their numbers; some in two calls, some without fields."""
    for row in range(store.num_rows, store.num_rows + count):
        step = {"obs": np.arange(row % 5) + row, "action": row}
        if row % 4 == 3:
            step = {}
        elif row % 3 == 0:
            step["note"] = f"row {row}"
        store.append_step(step, step=row * 2)
        if row % 4 == 1:
            store.append_step({"done": row % 8 == 1}, step=row * 2)


def content(store: StreamStore) -> tuple[Any, ...]:
    """All that a replica has in common with its source."""
    first = store.first_position
    return (
        *(store.fields, store.first_row, store.num_rows, first, len(store)),
        store[first:]["values"].tolist(),
        store.index_table().tolist(),
    )


def assert_same(source: Path, replica: Path) -> None:
    """The replica has the durable rows of a source that is synced, and both are whole."""
    with StreamStore(source, "r") as one, StreamStore(replica, "r") as other:
        assert content(other) == content(one)
    for path in (source, replica):
        report = stream_store.verify(path)
        assert report.findings == ()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail if it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
