"""Damaged, truncated and foreign stores: an error that names the file, or right values; no crash.

Each test damages copies of one store in a new process with little address space, so that a crash, a
hang or an unbounded allocation fails the test.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from model_process import run
from store_helpers import FILES, KINDS, chunk_name, data_file
from stream_store import CorruptStoreError, StreamStore, VersionError

FIELDS = {"n": "int64", "many": "int64[]", "text": "string", "frame": "packed uint8[3]"}

LOOK = """
import resource, shutil, random
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
source, work = sys.argv[1:3]
counts = {"errors": 0, "read": 0}

def everything(store):
    rows, size = store.num_rows, len(store)
    index = [tuple(map(int, entry)) for entry in store.index_table()]
    found = [rows, size, store.last_step, store.fields, store.num_field_writes, index]
    found += [array.tobytes() for array in store[:].values()]
    found += [repr(row) for row in store.rows()] + [repr(store)]
    if size:
        starts = np.arange(size)
        found += [store.windows(starts[: size - 3], 4)["values"].tobytes()]
        found += [store[starts[::-7]]["types"].tobytes(), store.row_of(starts).tobytes()]
    if rows:
        read = store.read_rows(np.arange(rows))
        found += [read["many"].tobytes(), read["text"], read["frame"].tobytes()]
        found += [store.position_of(np.arange(rows)).tobytes(), store.row_at(range(rows)).tobytes()]
    return found

def look(mode, path):
    with StreamStore(path, mode) as store:
        found = everything(store)
        if mode == "a":
            store.append_step({"n": 1, "text": "new"})
            assert store.row(-1)["text"] == "new"
    return found

def attempt(mode, name, expected, damage):
    copy = os.path.join(work, "copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    damage(os.path.join(copy, name))
    try:
        found = look(mode, copy)
    except (stream_store.Error, OSError) as error:
        counts["errors"] += 1
        assert copy in str(error), error
        return str(error)
    counts["read"] += 1
    if expected is not None:
        # repr() shows the mode and the path
        assert [x for x in found if "StreamStore" not in str(x)] == expected, (mode, name)

with StreamStore(source, "r") as store:
    TRUE = [x for x in everything(store) if "StreamStore" not in str(x)]
"""


def make(path: Path, rows: int = 120, seed: int = 1) -> Path:
    rng = np.random.default_rng(seed)
    with StreamStore(path, fields=FIELDS) as store:
        for i in range(rows):
            store.append_step(
                {"n": i, "many": rng.integers(0, 9, i % 5), "text": "x" * (i % 3)}, step=i + i // 9
            )
            if i % 2:
                store.append_step({"frame": [i % 256] * 3}, step=i + i // 9)
    return path


def crashed(path: Path) -> Path:
    """A store whose writer died after it had synced nothing but its open record."""
    run(
        """
        fields = {"n": "int64", "many": "int64[]", "text": "string", "frame": "packed uint8[3]"}
        store = StreamStore(sys.argv[1], fields=fields, capacity=1)
        for i in range(120):
            store.append_step({"n": i, "many": [i] * (i % 5), "frame": [1, 2, 3]})
            if i == 50: store.sync()
        os._exit(0)
        """,
        path,
    )
    return path


@pytest.fixture(params=["closed", "crashed"])
def store_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return (make if request.param == "closed" else crashed)(tmp_path / "run")


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits_are_errors_or_harmless(store_path: Path, tmp_path: Path, name: str) -> None:
    # Damage to hints, schema, control and lock is an error or changes nothing. Values, records and
    # layouts of a clean store are read unchecked: there, the only claim is that nothing crashes.
    script = """
name = sys.argv[3]
exact = "hints" in name or name in ("schema", "control", "lock")
rng = random.Random(name)
def flip(path):
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        used = [i for i, byte in enumerate(data) if byte] or range(len(data))
        for _ in range(rng.choice([1, 1, 3, 40])):
            if data:
                place = rng.choice([rng.choice(used), rng.randrange(len(data))])
                data[place] ^= 1 << rng.randrange(8)
        file.seek(0)
        file.write(data)
for trial in range(10):
    for mode in "ra":
        attempt(mode, name, TRUE if exact and mode == "r" else None, flip)
print(counts)
"""
    run(LOOK + script, store_path, tmp_path, name)


@pytest.mark.parametrize("name", FILES)
def test_overwritten_words_never_crash(store_path: Path, tmp_path: Path, name: str) -> None:
    script = """
rng = random.Random(sys.argv[3])
ODD = [0, 1, 2**16, 2**31, 2**32 - 1, 2**47, 2**48, 2**61, 2**63 - 1, 2**63, 2**64 - 1]
def overwrite(path):
    with open(path, "r+b") as file:
        words = max(os.path.getsize(path) // 8, 1)
        for _ in range(rng.choice([1, 2, 8])):
            file.seek(8 * rng.randrange(words))
            file.write(rng.choice(ODD).to_bytes(8, "little"))
for trial in range(10):
    for mode in "ra":
        attempt(mode, sys.argv[3], None, overwrite)
print(counts)
"""
    run(LOOK + script, store_path, tmp_path, name)


@pytest.mark.parametrize("name", FILES)
def test_truncated_and_missing_files_are_errors(
    store_path: Path, tmp_path: Path, name: str
) -> None:
    script = """
name = sys.argv[3]
kind = name.partition(".")[0]
size = os.path.getsize(os.path.join(source, name))
def check(damage, why):
    for mode in "ra":
        said = attempt(mode, name, TRUE if mode == "r" else None, damage)
        assert said is None or kind in said, (why, said)
for part in sorted({0, 1, 7, 8, 100, size // 2, size - 8, size - 1}):
    if 0 <= part < size:
        try:
            check(lambda path: os.truncate(path, part), part)
        except AssertionError:
            # A store whose writer died may end anywhere: a correct prefix is right as well.
            if kind not in ("values", "records", "layouts"):
                raise
check(os.unlink, "missing")
def directory(path): os.unlink(path); os.mkdir(path)
def link(path): os.rename(path, path + ".x"); os.symlink(path + ".x", path)
def pipe(path): os.unlink(path); os.mkfifo(path)
for damage in (directory, link, pipe):
    check(damage, damage.__name__)
print(counts)
"""
    run(LOOK + script, store_path, tmp_path, name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_store_is_an_error(store_path: Path, tmp_path: Path, name: str) -> None:
    same = make(tmp_path / "same", seed=2)
    with StreamStore(tmp_path / "other", fields={"a": "float32[]", "b": "int8"}) as store:
        store.append_step({"a": np.arange(5000.0), "b": 1})
    script = """
name = sys.argv[3]
for other in sys.argv[4:]:
    for mode in "ra":
        attempt(mode, name, None, lambda path: shutil.copy(os.path.join(other, name), path))
if name in ("schema", "control"):
    assert counts["read"] == 0, counts
print(counts)
"""
    run(LOOK + script, store_path, tmp_path, name, same, tmp_path / "other")


def listing(path: Path) -> list[tuple[str, int, bytes]]:
    return sorted(
        (str(p.relative_to(path)), p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in path.rglob("*")
    )


@pytest.mark.parametrize(
    "names", [["notes.txt"], [chunk_name("values")], ["schema", "control"], ["lock"]]
)
def test_a_directory_without_a_store_is_left_unchanged(tmp_path: Path, names: list[str]) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    for name in names:
        (place / name).write_text("mine\n" * 100)
    before = listing(tmp_path)
    for mode in ("a", "x", "r"):
        for fields in (None, FIELDS):
            with pytest.raises((OSError, CorruptStoreError), match="mine"):
                StreamStore(place, mode, fields=fields).append_step({"n": 1})  # type: ignore[arg-type]
            assert listing(tmp_path) == before


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.write_text("a file")
    for path in (place, place / "below"):
        for mode in ("a", "x", "r"):
            with pytest.raises(OSError, match="mine"):
                StreamStore(path, mode, fields=FIELDS)  # type: ignore[arg-type]
    assert place.read_text() == "a file"
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_missing_parent_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no"):
        StreamStore(tmp_path / "no" / "no" / "run", "r")
    (tmp_path / "loop").symlink_to("loop")
    for mode in ("a", "x", "r"):
        with pytest.raises(OSError, match="loop"):
            StreamStore(tmp_path / "loop" / "run", mode, fields=FIELDS)  # type: ignore[arg-type]
    with pytest.raises((OSError, ValueError)):
        StreamStore(tmp_path / ("x" * 300), fields=FIELDS)
    with pytest.raises((OSError, ValueError)):
        StreamStore(f"{tmp_path}/nul\0inside", fields=FIELDS)


@pytest.mark.parametrize("start", [1 << 30, 1 << 63])
def test_a_snapshot_that_would_end_after_the_store_is_an_error(tmp_path: Path, start: int) -> None:
    with StreamStore(tmp_path / "s", fields={"a": "int64[3]"}) as store:
        store.extend({"a": np.zeros((300, 3))})
    with data_file(tmp_path / "s", "records").open("r+b") as file:
        file.seek(100 * 32)
        file.write(start.to_bytes(8, "little"))
    with (
        StreamStore(tmp_path / "s", "r") as reader,
        pytest.raises(
            CorruptStoreError, match="record 100: expected to start at or before position 900"
        ),
    ):
        reader.snapshot(100)


def set_version(path: Path, version: int) -> None:
    control = bytearray((path / "control").read_bytes())
    control[8] = version
    (path / "control").write_bytes(control)


@pytest.mark.parametrize("version", [1, 99])
def test_another_format_is_refused_by_version(tmp_path: Path, version: int) -> None:
    path = make(tmp_path / "run", 3)
    set_version(path, version)
    for mode in ("r", "a"):
        with pytest.raises(VersionError, match=f"version {version}; this build reads 2"):
            StreamStore(path, mode)  # type: ignore[arg-type]


def test_the_files_of_format_1_are_recognised_and_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "run", 3)
    set_version(path, 1)
    for kind in KINDS:
        data_file(path, kind).rename(path / kind)
    before = listing(path)
    for mode in ("r", "a"):
        with pytest.raises(VersionError, match="version 1; this build reads 2"):
            StreamStore(path, mode)  # type: ignore[arg-type]
    assert listing(path) == before


def test_a_store_without_permissions_is_an_oserror(tmp_path: Path) -> None:
    path = make(tmp_path / "run", 3)
    if os.geteuid() == 0:
        return  # root may read everything
    path.chmod(0)
    try:
        for mode in ("r", "a"):
            with pytest.raises(PermissionError, match="run"):
                StreamStore(path, mode)  # type: ignore[arg-type]
    finally:
        path.chmod(0o700)
