"""The directory of a store under its writer, its parents, its lock, and what closing releases."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from model_process import run
from stream_store import LockedError, StreamStore

FIELDS = {"number": "int64", "flag": "bool"}


def uses(place: Path) -> int:
    """How many descriptors and mappings of this process refer to files in `place`."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += str(link.readlink()).startswith(str(place))
        except OSError:  # the descriptor that listed the directory
            continue
    return found + Path("/proc/self/maps").read_text().count(str(place))


def written(path: Path) -> StreamStore:
    store = StreamStore(path, fields=FIELDS)
    store.append_step({"number": 7})
    return store


def test_a_closed_store_holds_nothing(tmp_path: Path) -> None:
    closed = []
    for _ in range(100):
        store = written(tmp_path / "run")
        assert uses(tmp_path) > 5
        store.close()
        assert uses(tmp_path) == 0
        closed.append(store)
    with StreamStore(tmp_path / "run", "r") as reader:
        assert reader.num_rows == 100
    assert uses(tmp_path) == 0


def test_a_closed_temporary_store_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    store = StreamStore(fields=FIELDS)
    store.append_step({"number": 7})
    assert uses(tmp_path) > 5
    store.close()
    assert uses(tmp_path) == 0


def test_a_snapshot_keeps_the_files_of_a_closed_store(tmp_path: Path) -> None:
    store = written(tmp_path / "run")
    shown = store.snapshot()
    store.close()
    assert shown.row(0)["number"] == 7
    assert uses(tmp_path) > 5
    shown.close()
    assert uses(tmp_path) == 0


#: A process with several writers keeps no descriptor of the directories of the later ones. If other
#: tests have left some, the directory is missed first.
MISSED = "the directory was deleted, moved or replaced while the store in it was open"


@pytest.mark.parametrize("end", ["sync", "close"])
def test_a_deleted_directory_is_an_error(tmp_path: Path, end: str) -> None:
    store = written(tmp_path / "run")
    store.sync()
    store.append_step({"number": 8})
    shutil.rmtree(tmp_path / "run")
    deleted = f"{end}: .*was deleted or replaced while the store was open"
    with pytest.raises(OSError, match=f"{deleted}|{MISSED}"):
        getattr(store, end)()
    store.close()
    assert uses(tmp_path) == 0


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("end", ["sync", "close"])
def test_a_moved_directory_is_an_error(tmp_path: Path, end: str, replaced: bool) -> None:
    store = written(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "away")
    other = written(tmp_path / "run") if replaced else None
    with pytest.raises(OSError, match=f"{end}: the store is no longer at its path|{MISSED}"):
        getattr(store, end)()
    store.close()
    with StreamStore(tmp_path / "away") as moved:
        assert moved.num_rows == 1
    if other is not None:
        other.close()


def test_missing_parents_are_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with StreamStore("runs/today/a", fields=FIELDS) as store:
        store.append_step({"number": 1})
        store.checkpoint("copies/today/a")
    with StreamStore("copies/today/a", "r") as copy:
        assert copy.num_rows == 1


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"expected its parent .*/file to be a directory"):
        StreamStore(tmp_path / "file" / "run", fields=FIELDS)
    assert (tmp_path / "file").read_text() == "x"


def test_the_lock_of_this_process_is_named(tmp_path: Path) -> None:
    store = written(tmp_path / "run")
    with pytest.raises(
        LockedError, match=rf"this process already has it open .*\(pid {os.getpid()}"
    ):
        StreamStore(tmp_path / "run")
    store.close()
    StreamStore(tmp_path / "run").close()


INVALID = """
class Odd:
    pass

def invalid(store):
    return [
        lambda: store.append([0], ["number"], [Odd()]),
        lambda: store.append([0], ["nonsense"], [1]),
        lambda: store.append("steps", 3, None),
        lambda: store.append_step({"nonsense": 1}),
        lambda: store.append_step({"number": "text"}),
        lambda: store.append_step(5),
        lambda: store.extend({"nonsense": [1]}),
        lambda: store.extend({"number": ["text"]}),
        lambda: store.extend(5),
        lambda: store.extend({"number": [1, 2], "flag": [True]}),
    ]
"""


def test_an_invalid_call_says_that_the_store_is_closed() -> None:
    run(
        INVALID
        + """
import pytest
store = StreamStore(fields={"number": "int64", "flag": "bool"})
for call in invalid(store):
    with pytest.raises((TypeError, ValueError)) as info:
        call()
    assert "closed" not in str(info.value)
store.close()
for call in invalid(store):
    with pytest.raises(ValueError, match="the store is closed"):
        call()
"""
    )


def test_an_invalid_call_in_a_forked_child_says_that_it_may_not_write() -> None:
    run(
        INVALID
        + """
import io, traceback
import pytest
store = StreamStore(fields={"number": "int64", "flag": "bool"})
store.append_step({"number": 1})
bare = StreamStore()
child = os.fork()
if child == 0:
    status = 1
    try:
        for call in invalid(store):
            with pytest.raises(io.UnsupportedOperation, match="in a forked child"):
                call()
        bare.define_fields(["a"])  # nothing was on disk, so the child may own it
        bare.append_step({"a": 1})
        assert len(bare) == 1 and len(store) == 1
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    )
