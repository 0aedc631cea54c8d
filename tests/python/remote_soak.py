"""Kills a shipper, a mirror and the server between them at random, and checks the replica.

    python tests/python/remote_soak.py --seconds 600 [--seed 1]

Three processes run: a collector that also ships, a mirror, and a server for S3. The collector and
the mirror are killed with SIGKILL and started again. The server keeps its objects in memory, so it
is stopped with SIGSTOP instead, until the others run into their timeouts, and continued.

- The replica is always a prefix of the rows that the collector appends, and never becomes shorter.
- At the end it has all rows, and store, replica and remote store verify.
- No pack is applied twice, and it is downloaded again only if the mirror was killed before it had
  applied it.
- The memory of both processes does not grow with the number of rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from model_process import start
from remote_helpers import Remote, new_bucket, s3_options, s3_server
from stream_store import Error, StreamStore, verify, verify_remote
from stream_store._remote.history import read_state

FIELDS = {"number": "int64", "list": "int64[]", "text": "string"}
ROWS_A_ROUND = 50

COLLECTOR = """
sys.path.insert(0, sys.argv[4])
from remote_soak import FIELDS, append_rows
from remote_helpers import s3_options
path, url, endpoint = sys.argv[1:4]
print(os.getpid(), flush=True)
shipper = stream_store.Shipper(
    path, url, every=0.05, grace=1.0, storage_options=s3_options(endpoint, "1s"))
with StreamStore(path, fields=FIELDS, sync_seconds=0.05) as store:
    shipper.start()
    while not os.path.exists(path + ".end"):
        append_rows(store)
        time.sleep(0.01)
        if shipper.error is not None and not shipper.error.transient:
            raise shipper.error
    store.sync()
    while True:
        try:
            shipper.close()
            break
        except stream_store.RemoteError as error:
            if not error.transient:
                raise
"""

MIRROR = """
sys.path.insert(0, sys.argv[4])
from remote_helpers import s3_options
from stream_store._remote import replicate
from stream_store._remote.bucket import Bucket
path, url, endpoint = sys.argv[1:4]
print(os.getpid(), flush=True)
log = open(path + ".log", "a")
get, apply = Bucket.get, replicate.Replicator._apply_pack

def logged_get(self, name):
    data = get(self, name)
    if name.startswith("packs/") and data is not None:
        print("get", name, file=log, flush=True)
    return data

def logged_apply(self, state, pack, data):
    before = self._replica.range()[1][0] if self._replica is not None else state.begin.record
    applied = apply(self, state, pack, data)
    print("apply", pack.first, pack.end, before, applied, file=log, flush=True)
    return applied

Bucket.get, replicate.Replicator._apply_pack = logged_get, logged_apply
mirror = stream_store.Mirror(url, path, every=0.05, storage_options=s3_options(endpoint, "1s"))
mirror.follow()
"""


def row(number: int) -> dict[str, object]:
    """The row of a number."""
    values = np.arange(number % 7) * number
    return {"number": number, "list": values, "text": f"row {number}" * (number % 3)}


def append_rows(store: StreamStore) -> None:
    """Append some rows, one of them in two calls."""
    first = store.num_rows
    for number in range(first, first + ROWS_A_ROUND):
        store.append_step(row(number), step=number)


def check_prefix(replica: Path, before: int) -> int:
    """The replica has the first rows of the collector; returns how many."""
    try:
        with StreamStore(replica, "r") as store:
            rows = store.num_rows
            assert store.first_row == 0
            if rows:
                numbers = store.read_rows(np.arange(max(rows - 500, 0), rows))
                expected = np.arange(max(rows - 500, 0), rows)
                assert (numbers["number"] == expected).all()
                assert store.row(rows // 2)["number"] == rows // 2
    except FileNotFoundError:
        rows = 0
    assert rows >= before, f"the replica had {before} rows, and has {rows}"
    return rows


def memory_of(pid: int) -> int:
    """Anonymous memory of a process in KiB; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if "RssAnon" in line), 0)


class Soak:
    """The processes, and the events of the run."""

    def __init__(self, directory: Path, seed: int, endpoint: str, server: int) -> None:
        self.directory = directory
        self.random = random.Random(seed)
        self.url = new_bucket(endpoint)
        self.endpoint = endpoint
        self.server = server
        self.source, self.replica = directory / "source", directory / "replica"
        self.collector = self.begin(COLLECTOR, self.source)
        self.mirror = self.begin(MIRROR, self.replica)
        self.kills = {"collector": 0, "mirror": 0, "server": 0}
        self.rows = 0
        self.memory = 0

    def begin(self, script: str, path: Path) -> subprocess.Popen[str]:
        process = start(script, path, self.url, self.endpoint, Path(__file__).parent)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def event(self) -> None:
        """Kill or stop one of the three."""
        which = self.random.choice(["collector", "mirror", "server"])
        self.kills[which] += 1
        if which == "server":
            os.kill(self.server, signal.SIGSTOP)
            time.sleep(self.random.uniform(0.1, 2.5))
            os.kill(self.server, signal.SIGCONT)
        elif which == "collector":
            self.end(self.collector)
            time.sleep(self.random.uniform(0, 0.5))
            self.collector = self.begin(COLLECTOR, self.source)
        else:
            self.end(self.mirror)
            time.sleep(self.random.uniform(0, 0.5))
            self.mirror = self.begin(MIRROR, self.replica)

    def end(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is not None:
            _, errors = process.communicate()
            raise AssertionError(f"a process ended by itself: {errors}")
        process.kill()
        process.communicate()

    def look(self) -> None:
        self.rows = check_prefix(self.replica, self.rows)
        for process in (self.collector, self.mirror):
            self.memory = max(self.memory, memory_of(process.pid))

    def finish(self) -> None:
        """Let both catch up, and compare everything."""
        (self.directory / "source.end").touch()
        _, errors = self.collector.communicate(timeout=300)
        assert self.collector.returncode == 0, errors
        with StreamStore(self.source, "r") as store:
            rows = store.num_rows
        deadline = time.monotonic() + 300
        while check_prefix(self.replica, self.rows) < rows:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.end(self.mirror)
        self.rows = check_prefix(self.replica, rows)
        self.compare()

    def compare(self) -> None:
        with StreamStore(self.source, "r") as one, StreamStore(self.replica, "r") as other:
            assert one.num_rows == other.num_rows
            assert (one[:]["values"] == other[:]["values"]).all()
        for path in (self.source, self.replica):
            report = verify(path)
            assert report.ok, report.findings
        remote = Remote("s3", self.url, s3_options(self.endpoint))
        report = verify_remote(remote.place, storage_options=remote.options)
        assert report.ok, report.findings
        state = read_state(remote.bucket)
        assert state is not None
        assert state.cuts == (), "a kill loses no rows, so nothing is to be cut"
        self.check_downloads()

    def check_downloads(self) -> None:
        """Packs are applied one after the other, and downloaded once unless a kill came between."""
        got: dict[str, int] = {}
        for line in (self.directory / "replica.log").read_text().splitlines():
            what, *facts = line.split()
            if what == "get":
                got[facts[0]] = got.get(facts[0], 0) + 1
            else:
                first, end, before, applied = map(int, facts)
                assert applied == end - before > 0
                assert first <= before
        again = sum(count - 1 for count in got.values())
        # At a kill, a few packs may have been downloaded ahead. A stopped server loses no answers.
        assert again <= 8 * self.kills["mirror"], got

    def close(self) -> None:
        for process in (self.collector, self.mirror):
            process.kill()
            process.communicate()


def soak(directory: Path, seconds: float, seed: int) -> dict[str, object]:
    """Run, and return the facts; raises AssertionError if anything is wrong."""
    with s3_server() as (endpoint, server):
        run = Soak(directory, seed, endpoint, server.pid)
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for _ in range(run.random.randrange(1, 8)):
                    time.sleep(0.2)
                    run.look()
                run.event()
            run.finish()
        finally:
            run.close()
        return {"rows": run.rows, **run.kills, "most_memory_kib": run.memory}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill shipper, mirror and server at random.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(soak(Path(directory), arguments.seconds, arguments.seed)))


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, Error) as error:
        sys.exit(f"failed: {error}")
