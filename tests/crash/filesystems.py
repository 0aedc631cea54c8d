"""Tests on real file systems that shut down, fail to write back, or are full.

They need root and loop devices. `ONLY=ext4` runs those whose name contains it:

    CUTS=300 SEED=7 python tests/crash/filesystems.py

Forced shutdowns (ext4, XFS): a writer appends and syncs, pages are written back in random order,
and the file system is shut down without flushing its log, unmounted and mounted again, several
times with the same store. Failed write-back (ext4, XFS, Btrfs): a sparse image lies on a tmpfs that
is smaller than the image. Full disks: a small tmpfs, and a small ext4 on which space becomes free
again. Bounded stores (ext4, XFS, Btrfs, tmpfs): a writer appends ten times what the file system can
hold, while another process reads next to the first row. Held space (the same): the disk is full of
chunks that were dropped but that a snapshot holds for a second. Tests that cannot run on a machine
print "skipped".

Everything is mounted in a mount namespace of this process, so that nothing stays mounted however it
ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

import stream_store
from stream_store import StoreFullError, StreamStore

SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32): ext4 and XFS
NO_LOG_FLUSH = 2
CLONE_NEWNS = 0x20000
FIELDS = {"n": "int64", "many": "int64[]"}
LIBC = ctypes.CDLL(None, use_errno=True)


class Skipped(Exception):
    """The test cannot run on this machine; the text says why."""


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.decode().strip()}")


@contextlib.contextmanager
def mounted(kind: str, place: Path, size: str, limit: str | None = None) -> Iterator[Path]:
    """Mount a new file system from a loop device, its image on a tmpfs of `limit` if given."""
    if os.geteuid():
        raise Skipped("not root")
    if not shutil.which(f"mkfs.{kind}"):
        raise Skipped(f"mkfs.{kind} is not installed")
    if kind not in Path("/proc/filesystems").read_text() or not Path("/dev/loop-control").exists():
        raise Skipped(f"the kernel has no {kind} or no loop devices")
    below, point = place / "below", place / "mounted"
    for directory in (below, point):
        directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if limit:
            run("mount", "-t", "tmpfs", "-o", f"size={limit}", "tmpfs", below)
            stack.callback(lambda: run("umount", "-l", below))
        image = below / "image"
        run("truncate", "-s", size, image)
        stack.callback(lambda: image.unlink(missing_ok=True))
        run(f"mkfs.{kind}", "-q", *(["-f"] if kind != "ext4" else ["-F"]), image)
        try:
            run("mount", "-o", "loop", image, point)
        except OSError as error:
            raise Skipped(str(error)) from None
        stack.callback(lambda: subprocess.run(["umount", "-l", point], check=False))
        yield point


def check(store: StreamStore, first: int = 0) -> int:
    """Check that every row is the appended one."""
    rows = store.num_rows
    if rows > first:
        read = store.read_rows(np.arange(first, rows), max_length={"many": 40})
        assert (read["n"] == np.arange(first, rows)).all(), "rows are not what was appended"
        assert (read["_length"]["many"] == read["n"] % 40).all()
        assert (
            np.where(read["many"] == 0, read["n"][:, None], read["many"]) == read["n"][:, None]
        ).all()
    return rows


def write_forever(path: Path, seed: int, synced: np.memmap[int, np.dtype[np.int64]]) -> None:
    """Append, sync sometimes, and write pages back at random. Runs in a separate process."""
    rng = random.Random(seed)
    store = StreamStore(path, fields=FIELDS, capacity=2000, sync_seconds=None, sync_bytes=None)
    names = [f"{kind}.000000000000" for kind in ("values", "records", "layouts")]  # one chunk each
    files = [os.open(path / name, os.O_RDWR) for name in (*names, "control")]
    row = store.num_rows
    while True:
        for _ in range(rng.randrange(1, 60)):
            store.append_step({"n": row, "many": [row] * (row % 40)}, step=row)
            row += 1
        if rng.random() < 0.4:
            fd = rng.choice(files)
            length = os.fstat(fd).st_size
            at = rng.randrange(max(length, 1)) & ~4095
            LIBC.sync_file_range(
                fd, ctypes.c_long(at), ctypes.c_long(rng.choice([4096, 65536])), 2 | 4
            )
        if rng.random() < 0.05:
            synced[0] = store.sync()


def shutdowns(kind: str, place: Path, cuts: int, rng: random.Random) -> str:
    """Shut the file system down again and again; each store survives five shutdowns."""
    counter = place / "synced"
    done = kept = lost = 0
    with mounted(kind, place, "300M") as point:
        image = place / "below" / "image"
        while done < cuts:
            path = point / f"store{done}"
            synced = np.memmap(counter, np.int64, "w+", shape=(1,))
            for _ in range(min(5, cuts - done)):
                seed = rng.randrange(2**30)
                child = os.fork()
                if child == 0:
                    with contextlib.suppress(BaseException):  # calls fail after the shutdown
                        write_forever(path, seed, synced)
                    os._exit(0)
                time.sleep(0.02 + rng.random() * 0.15)
                fd = os.open(point, os.O_RDONLY)
                fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
                os.close(fd)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                acknowledged = int(synced[0])
                for _ in range(100):  # until the dead writer's mappings are gone
                    if (
                        subprocess.run(
                            ["umount", point], capture_output=True, check=False
                        ).returncode
                        == 0
                    ):
                        break
                    time.sleep(0.02)
                run("mount", "-o", "loop", image, point)
                done += 1
                if not path.exists():
                    assert acknowledged == 0, f"{acknowledged} synced rows are gone with the store"
                    continue
                with StreamStore(path, "r") as reader:
                    rows = check(reader)
                    assert reader.verify().ok
                assert rows >= acknowledged, f"{acknowledged} rows were synced, {rows} are there"
                kept += acknowledged
                lost += max(acknowledged - rows, 0)
            shutil.rmtree(path, ignore_errors=True)
    return f"{kind}: {done} forced shutdowns, {kept} synced rows, {lost} lost, 0 invalid prefixes"


def failed_writeback(kind: str, place: Path) -> str:
    """Let the device run out of space below a file system that has promised it."""
    rounds = failures = 0
    size, limit = ("600M", "150M") if kind in {"btrfs", "xfs"} else ("400M", "72M")
    for _ in range(3):
        with mounted(kind, place, size, limit) as point:
            path = point / "store"
            synced = 0
            store = StreamStore(path, fields=FIELDS, sync_seconds=None, sync_bytes=None)
            try:
                for row in range(4_000_000):
                    store.append_step({"n": row, "many": [row] * (row % 40)}, step=row)
                    if row % 200_000 == 199_999:
                        synced = store.sync()
            except OSError:
                failures += 1
            else:
                raise Skipped("the medium never filled up")
            for call in (store.sync, partial(store.append_step, {"n": 0})):
                try:
                    call()
                except StoreFullError:
                    continue  # a growth without space is not a failed sync
                except OSError:
                    continue
                raise AssertionError("a success after a failed sync")
            with contextlib.suppress(OSError):
                store.close()
            Path("/proc/sys/vm/drop_caches").write_text("3")
            try:
                with StreamStore(path, "r") as reader:
                    rows = check(reader)
                assert rows >= synced, f"{synced} rows were synced, {rows} are there"
            except (OSError, stream_store.CorruptStoreError):
                # The medium has lost synced or metadata blocks. That must be reported, not hidden.
                assert kind == "btrfs", "a store that was synced cannot be read"
        rounds += 1
    return (
        f"{kind}: {rounds} rounds of failed write-back, {failures} syncs failed, 0 false successes"
    )


def full_disk(place: Path) -> str:
    """Fill a tmpfs again and again, at every growth of a store."""
    if os.geteuid():
        raise Skipped("not root")
    point = place / "full"
    point.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", point)
    refusals = 0
    try:
        filler = point / "filler"
        filler.write_bytes(b"x" * (22 << 20))
        with StreamStore(point / "store", fields=FIELDS, capacity=100) as store:
            row = 0
            while filler.stat().st_size > 256 << 10:
                try:
                    store.append_step({"n": row, "many": [row] * (row % 40)}, step=row)
                    row += 1
                except StoreFullError:
                    refusals += 1
                    assert check(store, max(row - 1000, 0)) == row
                    os.truncate(filler, filler.stat().st_size - (256 << 10))
            assert store.sync() == row
            check(store)
        assert stream_store.verify(point / "store").findings == ()
    finally:
        run("umount", "-l", point)
    return f"full disk: {refusals} refusals while {row} rows were appended, 0 lost"


def fill(store: StreamStore) -> int:
    """Append rows of 100 floats until the disk has refused one 50 times; return how many."""
    rows = refusals = 0
    while refusals < 50:
        try:
            store.append_step({"x": np.full(100, store.num_rows, np.float64)})
            rows += 1
        except StoreFullError:
            refusals += 1
    return rows


def freed_space(kind: str, place: Path) -> str:
    """Fill a file system, delete a file, and fill it again: all of the free space must be used."""
    ballast = 4 << 20
    size = "32M" if kind == "ext4" else "320M"
    row_bytes = 100 * 8 + 32  # values and record; layouts and hints are few
    with mounted(kind, place, size) as point:
        for name in ("first", "second"):
            with (point / name).open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, ballast)
        fields = {"x": "float64[100]"}
        with StreamStore(
            point / "store", fields=fields, sync_seconds=None, sync_bytes=None
        ) as store:
            more = []
            before = fill(store)
            for name in ("first", "second"):
                (point / name).unlink()
                status = os.statvfs(point)
                possible = status.f_bavail * status.f_frsize // row_bytes
                began = time.perf_counter()
                more.append(fill(store))
                took = time.perf_counter() - began
                assert more[-1] > 0.95 * possible, f"{more[-1]} rows where {possible} have space"
                assert took < 5, f"{more[-1]} rows took {took:.1f} s"
            rows = store.num_rows
            read = store.read_rows(np.arange(rows))["x"]
            assert (read == np.arange(rows)[:, None]).all(), "rows are not what was appended"
        assert stream_store.verify(point / "store").findings == ()
    return f"{kind}: {before} rows, then {more} in freed space, 0 lost"


@contextlib.contextmanager
def memory(place: Path, size: str) -> Iterator[Path]:
    """Mount a new tmpfs."""
    if os.geteuid():
        raise Skipped("not root")
    point = place / "memory"
    point.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", point)
    try:
        yield point
    finally:
        run("umount", "-l", point)


def read_next_to_first_row(path: Path, counts: np.memmap[int, np.dtype[np.int64]]) -> None:
    """Read the oldest rows until counts[1] is set; counts[0] is how many. In its own process."""
    rng = random.Random(1)
    with StreamStore(path, "r") as store:
        while not counts[1]:
            view = store.snapshot()
            for _ in range(20):
                first = view.first_row + rng.randrange(8)
                rows = np.arange(first, min(first + 16, view.num_rows))
                if not rows.size:
                    continue
                read = view.read_rows(rows)
                assert (read["n"] == rows).all(), f"row {first} is not what was appended"
                assert (read["x"] == rows[:, None]).all(), f"row {first} has other values"
                counts[0] += rows.size
            if view.first_row > 0:
                with contextlib.suppress(stream_store.DroppedError):
                    view.read_rows(np.array([view.first_row - 1]))
                    raise AssertionError("a dropped row was read")


def reader_beside(path: Path, counts: np.memmap[int, np.dtype[np.int64]]) -> int:
    """Start read_next_to_first_row() in a new process and return its number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            read_next_to_first_row(path, counts)
            status = 0
        except BaseException as error:
            print(f"reader: {type(error).__name__}: {error}", flush=True)
        os._exit(status)
    return child


def disk_bytes(path: Path) -> int:
    """Return what the files of a store take."""
    total = 0
    for file in path.iterdir():
        with contextlib.suppress(FileNotFoundError):  # a chunk was dropped meanwhile
            total += file.stat().st_blocks * 512
    return total


#: Small file systems: XFS needs 300 MiB; of 128 MiB, Btrfs takes 80 for itself.
SMALL = {"tmpfs": "64M", "ext4": "80M", "xfs": "320M", "btrfs": "128M"}


def small(kind: str, place: Path) -> contextlib.AbstractContextManager[Path]:
    """Mount a file system of a kind, as small as is useful."""
    return memory(place, SMALL[kind]) if kind == "tmpfs" else mounted(kind, place, SMALL[kind])


def free_bytes(point: Path) -> int:
    """Return what a user may allocate."""
    status = os.statvfs(point)
    return status.f_bavail * status.f_frsize


def bounded(kind: str, place: Path) -> str:
    """Append ten times what a file system can hold to a bounded store."""
    chunk, limit = 1 << 20, (16 if kind == "btrfs" else 32) << 20
    row_bytes = 101 * 8 + 32
    fields = {"n": "int64", "x": "float64[100]"}
    counts = np.memmap(place / "counts", np.int64, "w+", shape=(2,))
    most = 0
    with small(kind, place) as point:
        path = point / "store"
        total = 10 * free_bytes(point)
        StreamStore(path, fields=fields, retain_bytes=limit, chunk_bytes=chunk).close()
        child = reader_beside(path, counts)  # before this process has threads
        try:
            with StreamStore(path, sync_seconds=0.2) as store:
                for row in range(total // row_bytes):
                    store.append_step({"n": row, "x": np.full(100, row, np.float64)}, step=row)
                    if row % 1000 == 0:
                        most = max(most, disk_bytes(path))
                first, rows = store.first_row, store.num_rows
                read = store.read_rows(np.arange(first, rows))
                assert (read["n"] == np.arange(first, rows)).all(), "rows are not as appended"
        finally:
            counts[1] = 1
            _, status = os.waitpid(child, 0)
        assert status == 0, f"the reader ended with status {status}"
        # Space for three chunks is allocated beyond the limit, and a drop may come a chunk later.
        # The limit does not count the control file and the schema.
        assert most <= limit + 5 * chunk, f"{most} bytes of disk under a limit of {limit}"
        assert (rows - first) * row_bytes > limit // 2, f"only {rows - first} rows are retained"
        assert stream_store.verify(path).findings == ()
    return (
        f"{kind}: {rows} rows appended, {rows - first} retained in at most {most >> 20} MiB, "
        f"{int(counts[0])} rows read next to the first one, 0 wrong"
    )


def held_space(kind: str, place: Path) -> str:
    """Let a snapshot hold what is dropped until the disk is full: appends must wait for it."""
    chunk, limit = 1 << 20, 12 << 20
    waits = 0
    with small(kind, place) as point:
        with (point / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free_bytes(point) - (28 << 20))
        store = StreamStore(
            point / "store",
            fields={"x": "float64[100]"},
            retain_bytes=limit,
            chunk_bytes=chunk,
            sync_seconds=0.2,
        )
        with store:
            for row in range(40 * limit // 832):
                if row % 50_000 == 10_000:  # held for a second: the disk is full before that
                    held = [store.snapshot()]
                    timer = threading.Timer(1, held.clear)
                    timer.start()
                began = time.perf_counter()
                store.append_step({"x": np.full(100, row, np.float64)})
                waits += time.perf_counter() - began > 0.3
            timer.join()
            first, rows = store.first_row, store.num_rows
            read = store.read_rows(np.arange(first, rows))["x"]
            assert (read == np.arange(first, rows)[:, None]).all(), "rows are not as appended"
        assert waits > 0, "the disk was never full"
        assert stream_store.verify(point / "store").findings == ()
    return f"{kind}: {rows} rows appended, {waits} of them waited for space, 0 refused"


def mount_privately() -> None:
    """Enter a mount namespace, which ends with this process, and make SIGTERM an exception."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if os.geteuid() == 0 and LIBC.unshare(CLONE_NEWNS) == 0:
        run("mount", "--make-rprivate", "/")


def main() -> int:
    mount_privately()
    cuts = int(os.environ.get("CUTS", "50"))
    rng = random.Random(int(os.environ.get("SEED", "1")))
    place = Path(tempfile.mkdtemp(prefix="stream_store_fs_", dir="/dev/shm"))
    failed = 0
    works = [("full disk", lambda: full_disk(place))]
    for kind in ("ext4", "xfs"):
        works.append((f"freed space of {kind}", lambda kind=kind: freed_space(kind, place)))
    for kind in ("ext4", "xfs"):
        works.append((f"shutdowns of {kind}", lambda kind=kind: shutdowns(kind, place, cuts, rng)))
    for kind in ("ext4", "xfs", "btrfs"):
        works.append((f"write-back of {kind}", lambda kind=kind: failed_writeback(kind, place)))
    for kind in ("ext4", "xfs", "btrfs", "tmpfs"):
        works.append((f"bounded store on {kind}", lambda kind=kind: bounded(kind, place)))
        works.append((f"held space of {kind}", lambda kind=kind: held_space(kind, place)))
    try:
        for name, work in works:
            if os.environ.get("ONLY", "") not in name:
                continue
            try:
                print(work(), flush=True)
            except Skipped as reason:
                print(f"skipped {name}: {reason}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    finally:  # the user may have pressed Ctrl-C
        shutil.rmtree(place, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
