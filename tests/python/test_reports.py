"""verify, repair, checkpoint and wait, on valid, damaged and growing stores."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import stream_store
from model_process import PATIENCE, line_of, start
from store_helpers import chunk_name, flip
from stream_store import (
    CorruptStoreError,
    Finding,
    Gap,
    RepairReport,
    StreamStore,
    VerifyReport,
    VersionError,
)

FIELDS = {"n": "int64", "many": "int64[]", "text": "string"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def fill(store: StreamStore, rows: int) -> None:
    first = store.num_rows
    for i in range(first, first + rows):
        store.append_step({"n": i, "many": [i] * (i % 5), "text": f"row {i}"})


def make(path: Path, rows: int = 1000) -> None:
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, rows)


def test_a_valid_store_has_no_findings(path: Path) -> None:
    make(path)
    report = stream_store.verify(path)
    assert isinstance(report, VerifyReport)
    assert report.ok
    assert report.findings == ()
    assert (report.rows, report.good_rows, report.records) == (1000, 1000, 1000)
    assert report.bytes > report.values * 8
    assert not report.live
    for given in (str(path), bytes(path)):
        assert stream_store.verify(given) == report


def test_the_writer_and_readers_verify_too(path: Path) -> None:
    temporary = StreamStore(fields=FIELDS)
    stored = StreamStore(path, fields=FIELDS)
    for store in (stored, temporary):
        fill(store, 300)
        for view in (store, store.snapshot(100)):
            report = view.verify()
            assert report.ok
            assert report.good_rows == view.num_rows
    assert StreamStore(path, "r").verify().live
    assert stream_store.verify(path).good_rows == 300
    with pytest.raises(RuntimeError, match="define_fields"):
        StreamStore().verify()
    temporary.close()
    with pytest.raises(ValueError, match="closed"):
        temporary.verify()


def test_damage_is_reported_with_its_place_and_not_raised(path: Path) -> None:
    make(path)
    flip(path, "records", 32 * 700 + 28)
    report = stream_store.verify(path)
    assert not report.ok
    assert (report.damages, report.good_rows, report.rows) == (1, 700, 1000)
    (finding,) = report.findings
    assert isinstance(finding, Finding)
    file = chunk_name("records")
    assert (finding.severity, finding.file, finding.offset) == ("damage", file, 32 * 700 + 28)
    assert finding.subject == "record 700"
    assert finding.expected.startswith("checksum 0x")
    assert str(finding).startswith(f"{file}, byte 22428: record 700: expected checksum 0x")


@pytest.mark.parametrize("record", [0, 1, 998, 999])
def test_damage_to_the_first_and_to_the_last_record_is_found(path: Path, record: int) -> None:
    make(path)
    flip(path, "records", 32 * record + 28)
    report = stream_store.verify(path)
    assert [finding.subject for finding in report.findings] == [f"record {record}"]
    assert (report.good_rows, report.rows) == (record, 1000)


def test_damage_to_the_last_value_is_found(path: Path) -> None:
    with StreamStore(path, fields={"n": "int64"}) as store:
        store.extend({"n": range(1000)})
    flip(path, "values", 8 * 999)
    report = stream_store.verify(path)
    assert [finding.subject for finding in report.findings] == ["record 999"]
    assert report.good_rows == 999


def test_verify_and_repair_refuse_paths_without_a_store(path: Path) -> None:
    for call in (stream_store.verify, lambda at: stream_store.repair(at, path.with_name("new"))):
        with pytest.raises(FileNotFoundError, match="run"):
            call(path)
        with pytest.raises(ValueError, match="empty"):
            call("")
    make(path)
    control = bytearray((path / "control").read_bytes())
    control[8] = 99
    (path / "control").write_bytes(bytes(control))
    with pytest.raises(VersionError, match="99"):
        stream_store.verify(path)


def test_truncating_repair_saves_the_rows_before_the_damage(path: Path) -> None:
    make(path)
    flip(path, "values", 8 * 3000)
    into = path.with_name("repaired")
    report = stream_store.repair(path, into, truncate_at_damage=True)
    assert isinstance(report, RepairReport)
    assert 0 < report.rows < 1000
    assert report.rows + report.rows_lost == 1000
    assert report.findings[0].severity == "damage"
    assert [gap.first_row for gap in report.gaps] == [report.rows]
    assert stream_store.verify(into).findings == ()
    with StreamStore(into) as store:
        assert store.recovery.state == "clean"
        assert store.num_rows == report.rows
        assert [int(row["n"]) for row in store.rows()] == list(range(report.rows))
        fill(store, 1)
    assert not stream_store.verify(path).ok
    with pytest.raises(FileExistsError):
        stream_store.repair(path, into)


def numbers(path: Path) -> list[int]:
    return [int(row["n"]) for row in StreamStore(path, "r").rows()]


@pytest.mark.parametrize("lost", [[0], [999], [500], [3, 4, 700]])
def test_repair_loses_only_the_damaged_rows(path: Path, lost: list[int]) -> None:
    make(path)
    for row in lost:
        flip(path, "records", 32 * row + 28)
    into = path.with_name("repaired")
    report = stream_store.repair(path, into)
    kept = [row for row in range(1000) if row not in lost]
    assert numbers(into) == kept
    assert (report.rows, report.rows_lost) == (len(kept), len(lost))
    told = [row for gap in report.gaps for row in range(gap.first_row, gap.first_row + gap.rows)]
    assert told == lost
    assert len(report.gaps) == report.gap_count
    gap = report.gaps[-1]
    assert isinstance(gap, Gap)
    assert gap.new_row == len([row for row in kept if row < gap.first_row])
    assert f"record {gap.first_row}: its checksum is wrong" in gap.reason
    assert f"row {lost[-1]} is lost" in str(gap) or f"rows {gap.first_row} to" in str(gap)
    assert stream_store.verify(into).findings == ()
    with StreamStore(into, "r") as store:
        steps = np.unique(store[:]["step"]).tolist()
        texts = [str(row["text"]) for row in store.rows()]
    assert steps == kept
    assert texts == [f"row {row}" for row in kept]


def test_a_row_of_several_appends_is_lost_as_a_whole(path: Path) -> None:
    with StreamStore(path, fields={"a": "int64", "b": "int64"}) as store:
        for step in range(100):
            store.append([step], ["a"], [step])
            store.append([step], ["b"], [step])
    flip(path, "records", 32 * 81 + 28)
    into = path.with_name("repaired")
    assert stream_store.repair(path, into).rows_lost == 1
    with StreamStore(into, "r") as store:
        assert [int(row["b"]) for row in store.rows()] == [n for n in range(100) if n != 40]


def test_copies_inside_the_store_are_refused(path: Path) -> None:
    make(path, 10)
    for into in (path / "copy", path / "deep" / "copy"):
        with pytest.raises(ValueError, match="inside"):
            stream_store.repair(path, into)
        with (
            StreamStore(path, "r") as store,
            pytest.raises(ValueError, match="inside"),
        ):
            store.checkpoint(into)
    assert stream_store.verify(path).ok


def test_repair_refuses_a_store_without_a_schema(path: Path) -> None:
    make(path, 3)
    (path / "schema").unlink()
    with pytest.raises(CorruptStoreError, match="schema"):
        stream_store.repair(path, path.with_name("new"))
    assert not path.with_name("new").exists()


def test_a_checkpoint_is_a_store_with_the_same_rows(path: Path) -> None:
    copy = path.with_name("copy")
    with StreamStore(path, fields=FIELDS) as store:
        fill(store, 100)
        assert store.checkpoint(copy) == 100
        fill(store, 50)
        assert store.snapshot(20).checkpoint(path.with_name("twenty")) == 20
        assert StreamStore(path, "r").checkpoint(path.with_name("later")) == 150
        with pytest.raises(FileExistsError):
            store.checkpoint(copy)
        assert store.checkpoint(path.with_name("by text").as_posix()) == 150
    with StreamStore(copy) as store:
        assert store.recovery.state == "clean"
        assert store.num_rows == 100
        assert store.id != StreamStore(path, "r").id
        assert store.row(99)["text"] == "row 99"
        fill(store, 10)
    assert stream_store.verify(copy).ok


def test_a_checkpoint_keeps_a_temporary_store(path: Path) -> None:
    store = StreamStore(fields=FIELDS)
    fill(store, 10)
    store.checkpoint(path)
    store.close()
    assert StreamStore(path, "r").row(9)["n"] == 9


def test_damage_is_not_copied(path: Path) -> None:
    make(path, 100)
    flip(path, "records", 32 * 70 + 28)
    with pytest.raises(CorruptStoreError, match=r"record 70 .*repair"):
        StreamStore(path, "r").checkpoint(path.with_name("copy"))
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]


def test_a_checkpoint_may_be_taken_while_another_process_appends(path: Path) -> None:
    writer = start(
        """
store = StreamStore(sys.argv[1], fields={"n": "int64"}, capacity=1000)
print("ready", flush=True)
for i in range(10**9):
    store.append_step({"n": i})
""",
        path,
    )
    try:
        line_of(writer.stdout)
        reader = StreamStore(path, "r")
        for i in range(5):
            assert reader.wait(1000 * (i + 1), timeout=PATIENCE)
            copy = path.with_name(f"copy{i}")
            rows = reader.checkpoint(copy)
            assert rows >= 1000 * (i + 1)
            assert stream_store.verify(copy).findings == ()
            assert (StreamStore(copy, "r")[:]["values"] == np.arange(rows)).all()
            assert stream_store.verify(path).ok
            shutil.rmtree(copy)
    finally:
        writer.kill()
        writer.communicate()


def test_progress_is_reported_and_can_stop_the_work(path: Path) -> None:
    make(path, 3000)
    told: list[tuple[int, int]] = []
    StreamStore(path, "r").checkpoint(
        path.with_name("copy"), progress=lambda *now: told.append(now)
    )
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StreamStore(path, "r").checkpoint(path.with_name("other"), progress=stop)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["copy", "run"]
    with pytest.raises(TypeError, match="progress"):
        stream_store.verify(path, progress=3)  # type: ignore[arg-type]


# --- wait ---


def test_wait_returns_whether_the_rows_came() -> None:
    store = StreamStore(fields=FIELDS)
    assert store.wait(0, timeout=0)
    assert not store.wait(1, timeout=0)
    began = time.monotonic()
    assert not store.wait(1, timeout=0.2)
    assert 0.15 < time.monotonic() - began < 60
    fill(store, 3)
    assert store.wait(3)
    assert store.wait(-1)
    assert not store.snapshot().wait(4)
    with pytest.raises(ValueError, match="nan"):
        store.wait(9, timeout=float("nan"))
    with pytest.raises(TypeError, match=r"timeout must be seconds or None, not 'a' \(str\)"):
        store.wait(9, timeout="a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="num_rows"):
        store.wait(2.5)  # type: ignore[arg-type]


def test_wait_lets_another_thread_append_declare_and_close() -> None:
    store = StreamStore()
    done: list[object] = []

    def work() -> None:
        time.sleep(0.05)
        store.define_fields(FIELDS)
        time.sleep(0.05)
        fill(store, 2)
        done.append("appended")
        time.sleep(0.1)
        store.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert store.wait(2, timeout=PATIENCE)
    with pytest.raises(ValueError, match="closed"):
        store.wait(3, timeout=PATIENCE)
    thread.join()
    assert done
