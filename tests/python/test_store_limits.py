"""Stores on full disks and with many threads."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from store_helpers import append_rows, new_store
from stream_store import _core

FULL_DISK = """
import resource, sys, numpy as np
from stream_store import StoreFullError, StreamStore
store = StreamStore(sys.argv[1], fields={"x": "float64[]"}, capacity=1000)
no_limit = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, no_limit))
try:
    while True:
        store.append_step({"x": np.ones(1000)})
except StoreFullError as error:
    assert error.errno and "values" in str(error), error
rows = store.num_rows
assert rows > 50
resource.setrlimit(resource.RLIMIT_FSIZE, (no_limit, no_limit))
store.append_step({"x": np.ones(1000)})
assert store.num_rows == rows + 1
store.close()
"""


def test_writer_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    subprocess.run([sys.executable, "-c", FULL_DISK, path], check=True)


def test_default_steps_of_many_threads_are_all_different() -> None:
    store = new_store({"x": "float64[]", "thread": "int64"})

    def work(thread: int) -> None:
        for _ in range(50):
            store.append_step({"x": np.full(10_000, thread, float), "thread": thread})

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.num_rows == 200
    assert store.last_step == 199
    read = store.read_rows(np.arange(200))
    assert (read["x"] == read["thread"][:, None]).all()


def test_recycled_memory_is_bounded() -> None:
    store = new_store()
    append_rows(store, 3000)
    for size in range(1, 60):
        store[np.tile(np.arange(33_000), size)[: 30_000 * size]]
    gc.collect()
    assert _core.pooled_free_bytes() <= 256 << 20


def test_nothing_is_leaked() -> None:
    store = new_store()

    def use(count: int) -> None:
        for _ in range(count):
            append_rows(store, 1, first=store.num_rows)
            store[np.arange(5)], store[0], store[:3], store.windows([0], 2), store.row(-1)
            store.read_rows([0]), repr(store), store.snapshot(), store.fields, store.recovery
            for wrong in ({"action": "x"}, {"nope": 1}):
                try:
                    store.append_step(wrong)
                except ValueError:
                    continue

    use(50)
    gc.collect()
    before = sys.getallocatedblocks()
    use(500)
    gc.collect()
    assert sys.getallocatedblocks() - before < 400
