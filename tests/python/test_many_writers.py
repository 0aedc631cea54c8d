"""Many stores that one process has open for writing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, resource, sys
from stream_store import StreamStore

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
stores = [StreamStore(f"{sys.argv[1]}/{i}", fields={"a": "int64"}) for i in range(1000)]
for i, store in enumerate(stores):
    store.append_step({"a": i})
print(len(os.listdir("/proc/self/fd")))
for store in stores[::100]:
    store.sync()
for store in stores:
    store.close()
print(len(os.listdir("/proc/self/fd")))
for i in range(0, 1000, 97):
    with StreamStore(f"{sys.argv[1]}/{i}", "r") as reader:
        assert reader.row(0)["a"] == i
"""


def test_a_thousand_writers_fit_into_1024_descriptors(tmp_path: Path) -> None:
    place = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    with_stores = place / f"stream-store-writers-{os.getpid()}"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard >= 1024, "the test needs 1,024 descriptors"
    try:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(with_stores)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(with_stores)
    opened, closed = map(int, done.stdout.split())
    assert 1000 <= opened <= 1024
    assert closed < 20
