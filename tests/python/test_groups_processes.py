"""Groups across processes: many writers at once, writers that are killed, and a thousand stores."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path

from group_model import FIELDS, LENGTH, check
from model_process import PATIENCE, finish, start
from stream_store import StoreGroup, WindowSampler

WRITER = (
    "from stream_store import StoreGroup\nfrom group_model import FIELDS, fill, write, starts_of\n"
)
WRITERS = 64
ROWS = 50


def writer(script: str, *arguments: object) -> subprocess.Popen[str]:
    folder = Path(__file__).parent
    return start(f"sys.path.insert(0, {str(folder)!r})\n{WRITER}{script}", *arguments)


def test_sixty_four_processes_write_and_none_of_their_names_collide(tmp_path: Path) -> None:
    script = f"""
group = StoreGroup(sys.argv[1], fields=FIELDS)  # all create it at the same time
store = group.writer(capacity=1000)
print(store.path.name, flush=True)
sys.stdin.readline()
for _ in range({ROWS} // 10):
    fill(store, int(sys.argv[2]), 10)
"""
    place = tmp_path / "group"
    processes = [writer(script, place, who) for who in range(WRITERS)]
    names = {process.stdout.readline().strip() for process in processes if process.stdout}
    assert len(names) == WRITERS
    sampler = WindowSampler(StoreGroup(place), LENGTH, unit="row", batch_size=64, segment_by="done")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    while any(process.poll() is None for process in processes):  # sampled while they write
        if sampler.num_starts:
            check(sampler.sample())
    for process in processes:
        finish(process)
    group = StoreGroup(place)
    assert set(group) == names
    assert group.skipped == {}
    rows = Counter({int(store.row(0)["who"]): store.num_rows for store in group.values()})
    assert rows == dict.fromkeys(range(WRITERS), ROWS)


def test_writers_that_are_killed_lose_nothing_and_come_back(tmp_path: Path) -> None:
    script = """
group = StoreGroup(sys.argv[1], fields=FIELDS)
store = group.writer(sys.argv[2])
print(store.num_rows, flush=True)
while True:
    fill(store, int(sys.argv[3]), 10)
    print(store.num_rows, flush=True)
    time.sleep(0.001)
"""
    place = tmp_path / "group"
    group = StoreGroup(place, fields=FIELDS)
    sampler = WindowSampler(group, LENGTH, unit="row", batch_size=64, segment_by="done")
    told = dict.fromkeys(range(4), 0)
    for _ in range(3):
        processes = {who: writer(script, place, f"actor{who}", who) for who in told}
        assert sampler.wait(timeout=PATIENCE)
        for who, process in processes.items():
            assert process.stdout is not None
            for _ in range(20):
                rows = int(process.stdout.readline())
                assert rows >= told[who]  # what was there when it was killed is still there
                told[who] = rows
            check(sampler.sample())
        for process in processes.values():
            process.send_signal(signal.SIGKILL)
            process.communicate()
    group.refresh()
    assert all(group[f"actor{who}"].num_rows >= rows for who, rows in told.items())
    assert group.skipped == {}
    for _ in range(20):
        check(sampler.sample())


def test_one_process_reads_a_thousand_stores_with_few_descriptors(tmp_path: Path) -> None:
    script = """
import resource
from stream_store import WindowSampler
from group_model import LENGTH, check
group = StoreGroup(sys.argv[1] + "/group", fields=FIELDS)
for who in range(1000):
    with group.writer(f"{who:04}", capacity=100, chunk_bytes=2**20) as store:
        fill(store, who, 20)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
sampler = WindowSampler(StoreGroup(sys.argv[1] + "/group"), LENGTH, unit="row", batch_size=256,
                        segment_by="done")
assert sampler.num_starts == 1000 * starts_of(20)
seen = set()
for _ in range(40):
    batch = sampler.sample()
    check(batch)
    seen |= set(batch["who"][:, 0].tolist())
assert len(seen) > 990
group.refresh()
assert sum(store.num_rows for store in group.values()) == 20_000  # opens each of them again
assert len(os.listdir("/proc/self/fd")) < 300
"""
    finish(writer(script, tmp_path))


def test_a_forked_child_samples_the_group_and_finds_new_stores(tmp_path: Path) -> None:
    script = """
from group_model import LENGTH, check
from stream_store import WindowSampler
group = StoreGroup(sys.argv[1] + "/group", fields=FIELDS)
write(group, 0, 30)
sampler = WindowSampler(group, LENGTH, unit="row", batch_size=16, segment_by="done")
sampler.sample()
child = os.fork()
if child == 0:
    status = 1
    try:
        write(StoreGroup(sys.argv[1] + "/group"), 1, 30)
        began = time.monotonic()
        while sampler.num_starts != 2 * starts_of(30):
            assert time.monotonic() - began < PATIENCE
        check(sampler.sample())
        group.refresh()
        assert len(group) == 2
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(child, 0)[1] == 0
while sampler.num_starts != 2 * starts_of(30):
    pass
check(sampler.sample())
"""
    finish(writer(script, tmp_path))


def test_threads_share_a_group(tmp_path: Path) -> None:
    script = """
from threading import Thread
from group_model import LENGTH, check
from stream_store import WindowSampler
group = StoreGroup(sys.argv[1] + "/group", fields=FIELDS)
write(group, 0, 30)
failures, ends = [], []

def learn(seed):
    try:
        options = {"unit": "row", "batch_size": 16, "segment_by": "done", "seed": seed}
        sampler = WindowSampler(group, LENGTH, **options)
        while not ends or sampler.num_starts < 21 * starts_of(30):
            check(sampler.sample())
            group.refresh()
            list(group.items())
    except BaseException as error:
        failures.append(error)

threads = [Thread(target=learn, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for who in range(1, 21):
    write(group, who, 30)
ends.append(True)
for thread in threads:
    thread.join()
assert not failures, failures
"""
    finish(writer(script, tmp_path))
