"""The command `stream-store` with stores that drop rows: info, rows, drop, retain and verify."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cli_helpers import cli
from model_process import line_of, start
from stream_store import Retention, StreamStore

pytest.importorskip("typer")

CHUNK = 2**20
COUNT, FIRST = 60, 25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of rows FIRST to COUNT - 1, of COUNT; episodes of ten rows."""
    fields = {"episode": "int64", "value": "int64"}
    with StreamStore(tmp_path / "run", fields=fields, chunk_bytes=CHUNK) as store:
        rows = np.arange(COUNT)
        store.extend({"episode": rows // 10, "value": rows}, steps=3 * rows)
        store.drop_before(FIRST)
    return tmp_path / "run"


def test_info_shows_limits_and_what_is_left(path: Path) -> None:
    facts = json.loads(cli("info", path, "--json", "--by", "episode"))
    assert (facts["first_row"], facts["rows"], facts["kept_rows"]) == (FIRST, COUNT, COUNT - FIRST)
    assert facts["values"] == 2 * (COUNT - FIRST)
    assert facts["steps"] == {"first": 3 * FIRST, "last": 3 * (COUNT - 1)}
    assert facts["segments"] == 4
    assert facts["retention"] == {"rows": None, "bytes": None, "segments": None, "segment_by": []}
    assert facts["held"] == {"chunks": 0, "bytes": 0, "unread": facts["held"]["unread"]}
    disk = sum(512 * file.stat().st_blocks for file in path.iterdir())
    assert facts["bytes"]["disk"] == disk
    text = cli("info", path)
    for words in ("retains", "everything", f"{COUNT - FIRST} from row {FIRST} on", "on disk"):
        assert words in text
    StreamStore(path, retain_rows=1234).close()
    assert "at most 1,234 rows" in cli("info", path)
    assert json.loads(cli("info", path, "--json"))["retention"]["rows"] == 1234


def test_info_and_verify_show_what_readers_hold(tmp_path: Path) -> None:
    path = tmp_path / "run"
    store = StreamStore(path, fields={"value": "int64"}, chunk_bytes=CHUNK)
    store.extend({"value": np.arange(CHUNK // 2)})  # four chunks of values
    script = "snapshot = StreamStore(sys.argv[1], 'r').snapshot(); print(flush=True); input()"
    with start(script, path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        store.drop_before(CHUNK // 2 - 1)
        held = json.loads(cli("info", path, "--json"))["held"]
        assert held["chunks"] >= 3
        assert held["bytes"] >= 3 * CHUNK
        assert f"{held['bytes']:,} bytes in {held['chunks']} dropped chunks" in cli("info", path)
        assert f"held by readers: {held['bytes']:,} bytes" in cli("verify", path)
        assert json.loads(cli("verify", path, "--json"))["held_bytes"] == held["bytes"]
        child.communicate("\n")
    assert json.loads(cli("info", path, "--json"))["held"]["chunks"] == 0
    store.close()


def test_rows_are_shown_from_the_first_row_on(path: Path, tmp_path: Path) -> None:
    for name, expected in (("head", range(FIRST, FIRST + 3)), ("tail", range(COUNT - 3, COUNT))):
        lines = [json.loads(line) for line in cli(name, path, "-n", 3, "--json").splitlines()]
        assert [line["row"] for line in lines] == list(expected)
        assert [line["step"] for line in lines] == [3 * row for row in expected]
    lines = cli("follow", path, "-n", 1000, "--idle", 0, "--json").splitlines()
    assert [json.loads(line)["row"] for line in lines] == list(range(FIRST, COUNT))
    assert len(cli("tail", path, "-n", 1000).splitlines()) == COUNT - FIRST
    cli("export", path, tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text().splitlines()[1] == f"{FIRST // 10},{FIRST}"
    assert f"row {FIRST}" in cli("export", path, tmp_path / "old.csv", "--start", 3, code=3)
    assert cli("checkpoint", path, tmp_path / "copy").strip().endswith("rows")
    with StreamStore(tmp_path / "copy", "r") as copy:
        assert (copy.first_row, copy.num_rows) == (FIRST, COUNT)


def test_drop_asks_and_drops(path: Path) -> None:
    assert "15 rows dropped; 20 rows left" in cli("drop", path, 40, "--yes")
    with StreamStore(path, "r") as store:
        assert (store.first_row, store.num_rows) == (40, COUNT)
    assert "0 rows dropped" in cli("drop", path, 40)
    assert "row 40" in cli("drop", path, 30, code=3)
    assert str(COUNT) in cli("drop", path, COUNT, "--yes", code=3)
    assert "nothing was changed" in cli("drop", path, 50, code=3)  # without an answer
    assert "nothing was changed" in cli("retain", path, "--rows", 1, code=3)
    assert "nothing was changed" in cli("truncate", path, 50, code=3)
    with StreamStore(path, "r") as store:
        assert store.first_row == 40
    cli("drop", path.parent / "nothing", 1, code=3)
    assert not (path.parent / "nothing").exists()


def test_retain_changes_the_limits_of_a_store(path: Path) -> None:
    said = cli("retain", path, "--rows", 30, "--yes")
    assert "retains at most 30 rows; before: everything" in said
    assert "5 rows dropped; 30 rows left" in said
    cli("retain", path, "--segments", 2, "--by", "episode", "--rows", "inf", "--yes")
    with StreamStore(path, "r") as store:
        assert store.retention == Retention(segments=2, segment_by=("episode",))
        assert store.first_row == 40
    assert "--rows" in cli("retain", path, "--yes", code=2)
    assert "'0'" in cli("retain", path, "--bytes", 0, "--yes", code=2)
    assert "'x'" in cli("retain", path, "--segments", "x", "--yes", code=2)
    assert "1048576" in cli("retain", path, "--bytes", 1000, "--yes", code=3)
    assert "nope" in cli("retain", path, "--rows", 3, "--by", "nope", "--yes", code=3)
    with StreamStore(path, "r") as store:
        assert store.retention == Retention(segments=2, segment_by=("episode",))
        assert store.first_row == 40
    cli("retain", path.parent / "nothing", "--rows", 1, "--yes", code=3)
    assert not (path.parent / "nothing").exists()


def test_follow_goes_on_while_rows_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "run"
    script = """
    store = StreamStore(sys.argv[1], fields={"value": "int64"}, retain_rows=50)
    for turn in range(40):
        store.extend({"value": np.arange(100)})
        time.sleep(0.01)
    store.close()
    print("done", flush=True)
    """
    with start(script, path) as child:
        lines = cli("follow", path, "--wait", 60, "--idle", 1, "--json").splitlines()
        assert line_of(child.stdout) == "done"
    rows = [json.loads(line)["row"] for line in lines]
    assert rows == sorted(set(rows))
    assert rows[-1] == 3999
