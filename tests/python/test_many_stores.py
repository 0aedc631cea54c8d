"""Many stores in one process: they share helper threads, and a limit that is reached is named."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

import stream_store
from model_process import run
from stream_store import StreamStore

SHARED = """
import glob, resource

RAISED = 8192

FIELDS = {"n": "int64", "many": "int64[]"}

def threads():
    # Threads of ours; the kernel may list one shortly after it was joined.
    names = [open(f"{task}/comm").read().strip() for task in glob.glob("/proc/self/task/*")]
    return [name for name in names if name.startswith("ss-")]

def wait(done):
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.01)

def open_stores(count):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (RAISED, hard))
    stores = []
    for i in range(count):
        stores.append(StreamStore(f"{sys.argv[1]}/{i}", fields=FIELDS, sync_seconds=0.05))
        for step in range(10):
            stores[-1].append_step({"n": i, "many": [step] * step})
    return stores

def check(stores):
    for i, store in enumerate(stores):
        assert store.row(9)["n"] == i and store.row(9)["many"].tolist() == [9] * 9
"""

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
needs_descriptors = pytest.mark.skipif(
    HARD != resource.RLIM_INFINITY and HARD < 8192, reason="the hard limit on files is too low"
)


@needs_descriptors
def test_two_hundred_stores_share_a_few_threads_and_all_are_synced(tmp_path: Path) -> None:
    script = """
stores = open_stores(200)
wait(lambda: all(store.durable_rows == 10 for store in stores))
assert 2 <= len(threads()) <= 6, threads()
assert set(threads()) == {"ss-grow", "ss-sync"}
for store in stores[:199]:
    store.close()
stores[199].append_step({"n": 1, "many": []})
wait(lambda: stores[199].durable_rows == 11)  # the last store still has helpers
stores[199].close()
wait(lambda: not threads())
check([StreamStore(f"{sys.argv[1]}/{i}", "r") for i in range(200)])
"""
    run(SHARED + script, tmp_path)


@needs_descriptors
def test_a_child_abandons_the_helpers_of_many_stores_and_gets_new_ones(tmp_path: Path) -> None:
    script = """
stores = open_stores(50)
child = os.fork()
if child == 0:
    status = 1
    try:
        assert not threads()
        check(stores)
        with StreamStore(f"{sys.argv[1]}/child", fields=FIELDS, sync_seconds=0.05) as own:
            own.append_step({"n": 1, "many": [1]})
            wait(lambda: own.durable_rows == 1)
            assert set(threads()) == {"ss-grow", "ss-sync"}
        for store in stores:
            store.close()
        wait(lambda: not threads())
        status = 0
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for store in stores:
    store.append_step({"n": 1, "many": []})
wait(lambda: all(store.durable_rows == 11 for store in stores))
"""
    run(SHARED + script, tmp_path)


def test_a_process_with_open_stores_exits(tmp_path: Path) -> None:
    script = """
stores = open_stores(5)
stores.append(stores)  # a cycle, so that nothing closes the stores
print("ready")
"""
    assert run(SHARED.replace("8192", "256") + script, tmp_path) == "ready\n"


# Once, the 146th store of a process raised "OSError: [Errno 24] Too many open files" and no more.
def test_too_many_open_stores_name_the_limit_to_raise(tmp_path: Path) -> None:
    script = """
import errno
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
stores = []
try:
    while True:
        stores.append(StreamStore(f"{sys.argv[1]}/{len(stores)}", fields=FIELDS))
        stores[-1].append_step({"n": 1, "many": []})
except OSError as error:
    assert error.errno == errno.EMFILE, error
    text = str(error)
assert "may have 64 files open (RLIMIT_NOFILE)" in text and "ulimit -n" in text, text
assert len(stores) >= 4
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
stores.append(StreamStore(f"{sys.argv[1]}/{len(stores)}", fields=FIELDS))
stores[-1].append_step({"n": 1, "many": []})
stores[0].append_step({"n": 2, "many": []})
"""
    run(SHARED + script, tmp_path)


def test_readers_without_descriptors_do_what_others_do(tmp_path: Path) -> None:
    fields = {"n": "int64", "many": "int64[100]"}
    writers = [StreamStore(tmp_path / str(i), fields=fields, chunk_bytes=2**20) for i in range(24)]
    for writer in writers:
        writer.extend({"n": range(10), "many": np.zeros((10, 100))})
    readers = [StreamStore(tmp_path / str(i), "r") for i in range(24)]
    for i in (0, 20, 23):  # the first has descriptors, the last ones have none
        writer, reader = writers[i], readers[i]
        assert reader.live
        for _ in range(5):  # grows into new chunks
            count = writer.num_rows
            rows = np.arange(count, count + 1000)
            writer.extend({"n": rows, "many": np.repeat(rows, 100).reshape(-1, 100)})
        assert reader.num_rows == 5010
        found = reader.read_rows(np.arange(10, 5010))
        assert (found["n"] == np.arange(10, 5010)).all()
        assert (found["many"] == np.arange(10, 5010)[:, None]).all()
        writer.sync()
        assert reader.durable_rows == 5010
        assert reader.checkpoint(tmp_path / f"copy{i}") == 5010
        writer.add_fields({"more": "int8"})
        writer.append_step({"n": 5010, "many": np.zeros(100), "more": 3})
        assert reader.row(5010)["more"] == 3
        writer.drop_before(4000)
        assert reader.first_row == 4000
        assert (reader.read_rows([4000, 5009])["n"] == [4000, 5009]).all()
        writer.truncate(4500)
        with pytest.raises(stream_store.Error, match="cut back"):
            _ = reader.num_rows
        readers[i] = reader = StreamStore(tmp_path / str(i), "r")
        assert reader.num_rows == 4500
        writer.close()
        assert not reader.live
        with StreamStore(tmp_path / str(i)) as again:
            assert reader.live
            again.extend({"n": [7], "many": np.zeros((1, 100)), "more": [1]})
            assert reader.row(4500)["n"] == 7
    assert len(list(Path("/proc/self/fd").iterdir())) < 400
