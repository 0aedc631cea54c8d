"""The command `stream-store`: its output as text and as JSON, and its exit codes."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stream_store
from cli_helpers import cli
from model_process import PATIENCE, line_of, start, take_interrupts
from store_helpers import chunk_name, data_file, flip
from stream_store import StreamStore

pytest.importorskip("typer")

FIELDS = {
    "obs": "float32[3]",
    "many": "int64[]",
    "note": "string",
    "raw": "binary",
    "when": "timestamp[us]",
    "done": "bool",
}


def command(*arguments: object) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from stream_store._cli import main; main()",
        *map(str, arguments),
    ]


def fill(store: StreamStore, rows: int) -> None:
    first = store.num_rows
    for i in range(first, first + rows):
        step = {
            "obs": [i, np.nan, 0.5],
            "many": [i] * (i % 4),
            "when": 10**6 * i,
            "done": i % 10 == 9,
        }
        if i % 2:
            step |= {"note": f"row {i}, of many", "raw": b"\x00\xff"}
        store.append_step(step)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with StreamStore(tmp_path / "run", fields=FIELDS) as store:
        fill(store, 100)
    return tmp_path / "run"


def test_info_tells_what_is_there(path: Path) -> None:
    facts = json.loads(cli("info", path, "--json", "--by", "done"))
    with StreamStore(path, "r") as store:
        assert facts["rows"] == facts["complete_rows"] == facts["durable_rows"] == 100
        assert facts["values"] == len(store)
        assert facts["field_writes"] == store.num_field_writes
        assert facts["id"] == store.id
        assert facts["bytes"]["used"] == store.nbytes
    assert facts["state"] == "closed"
    assert facts["segments"] == 10
    assert facts["steps"] == {"first": 0, "last": 99}
    assert [field["name"] for field in facts["fields"]] == list(FIELDS)
    assert facts["bytes"]["files"][chunk_name("values")] == 8 * facts["values"]
    text = cli("info", path)
    for word in ("closed", "100", "obs", "float32[3]", "timestamp[us]", facts["id"]):
        assert word in text


def test_info_of_a_store_that_is_written_and_of_an_empty_one(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS, sync_seconds=None) as store:
        facts = json.loads(cli("info", tmp_path / "run", "--json"))
        assert (facts["state"], facts["rows"], facts["steps"]) == ("live", 0, None)
        fill(store, 5)
        store.sync()
        fill(store, 5)
        facts = json.loads(cli("info", tmp_path / "run", "--json"))
        assert (facts["rows"], facts["durable_rows"]) == (10, 5)
        assert "a writer has it open" in cli("info", tmp_path / "run")


def test_head_and_tail_show_rows(path: Path) -> None:
    for name, expected in (("head", range(3)), ("tail", range(97, 100))):
        lines = [json.loads(line) for line in cli(name, path, "-n", 3, "--json").splitlines()]
        assert [line["row"] for line in lines] == list(expected)
        assert [line["step"] for line in lines] == list(expected)
    last = lines[-1]["values"]
    assert last["obs"] == [99.0, "nan", 0.5]
    assert last["many"] == [99] * 3
    assert (last["note"], last["raw"], last["done"]) == ("row 99, of many", "00ff", True)
    assert last["when"].startswith("1970-01-01T00:01:39")
    assert lines[-2]["values"]["note"] is None
    text = cli("tail", path, "-n", 1, "-f", "note", "-f", "many")
    assert text == "99 (step 99): note='row 99, of many', many=[99, 99, 99]\n"
    assert cli("head", path, "-n", 0) == ""
    assert "Unknown field 'nope'" in cli("head", path, "-f", "nope", code=2)


def test_follow_prints_rows_as_they_come(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("follow", path := tmp_path / "run", "--wait", PATIENCE, "--json", "-f", "many"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=take_interrupts,  # noqa: PLW1509 (it only sets signals)
    )
    try:
        with StreamStore(path, fields=FIELDS) as store:
            for i in range(3):
                fill(store, 1)
                line = json.loads(line_of(process.stdout))
                assert line["row"] == i
                assert line["values"] == {"many": [i] * i}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 130
    finally:
        process.kill()
        _, err = process.communicate()
    assert "Traceback" not in err
    assert len(cli("follow", path, "--idle", 0.1, "-n", 2).splitlines()) == 2


def test_follow_refuses_a_time_that_never_passes(path: Path) -> None:
    assert "idle" in cli("follow", path, "--idle", "nan", code=2)


def test_verify_says_so_and_exits_with_one_for_damage(path: Path) -> None:
    assert "no damage; 100 of 100 rows" in cli("verify", path)
    report = json.loads(cli("verify", path, "--json"))
    assert report["ok"]
    assert report["findings"] == []
    flip(path, "records", 32 * 60 + 28)
    assert "record 60: expected checksum 0x" in cli("verify", path, code=1)
    report = json.loads(cli("verify", path, "--json", code=1))
    assert (report["damages"], report["good_rows"]) == (1, 60)
    assert report["findings"][0]["subject"] == "record 60"


def test_repair_and_checkpoint_copy(path: Path) -> None:
    copy = path.with_name("copy")
    assert json.loads(cli("checkpoint", path, copy, "--json")) == {"path": str(copy), "rows": 100}
    assert "100 rows" in cli("checkpoint", path, path.with_name("other"))
    assert "expected nothing or an empty directory" in cli("checkpoint", path, copy, code=3)
    assert cli("checkpoint", "--update", path, copy) == f"{copy}: 100 rows; 0 bytes copied\n"
    assert json.loads(cli("checkpoint", path, copy, "--update", "--json")) == {
        "path": str(copy),
        "rows": 100,
        "bytes_copied": 0,
    }
    flip(path, "records", 32 * 60 + 28)
    report = json.loads(cli("repair", path, path.with_name("saved"), "--json"))
    assert (report["rows"], report["rows_lost"]) == (99, 1)
    assert report["gaps"][0]["first_row"] == 60
    text = cli("repair", path, path.with_name("again"))
    assert "gap: row 60 is lost (row 60 of the new store follows): record 60: its" in text
    assert "99 rows; rows known to be lost: 1, in 1 gap" in text
    text = cli("repair", path, path.with_name("prefix"), "--truncate-at-damage")
    assert "60 rows; rows known to be lost: 40, in 1 gap" in text
    assert "inside" in cli("repair", path, path / "in", code=3)
    assert stream_store.verify(path.with_name("saved")).ok
    assert "record 60 of 100" in cli("checkpoint", path, path.with_name("not"), code=3)


def test_all_of_it_works_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "run"
    writer = start(
        """
store = StreamStore(sys.argv[1], fields={"n": "int64"}, capacity=1000)
for i in range(10**9):
    store.append_step({"n": i})
    if i == 1000: print("ready", flush=True)
""",
        path,
    )
    try:
        line_of(writer.stdout)
        assert json.loads(cli("info", path, "--json"))["state"] == "live"
        assert len(cli("tail", path, "-n", 4).splitlines()) == 4
        assert json.loads(cli("verify", path, "--json"))["live"]
        assert json.loads(cli("checkpoint", path, tmp_path / "copy", "--json"))["rows"] > 1000
        assert json.loads(cli("export", path, tmp_path / "rows.csv", "--json"))["rows"] > 1000
    finally:
        writer.kill()
        writer.communicate()
    assert stream_store.verify(tmp_path / "copy").findings == ()
    assert json.loads(cli("info", path, "--json"))["state"] == "killed"


# --- export ---


def test_export_to_parquet_and_arrow(path: Path) -> None:
    pytest.importorskip("datasets")
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert "100 rows" in cli("export", path, path.with_name("rows.parquet"))
    table = pq.read_table(path.with_name("rows.parquet"))
    assert table.num_rows == 100
    assert table.column_names == list(FIELDS)
    assert table["many"].to_pylist() == [[i] * (i % 4) for i in range(100)]
    assert table["note"].to_pylist()[:2] == [None, "row 1, of many"]
    assert table["raw"].to_pylist()[1] == b"\x00\xff"
    assert table["done"].to_pylist() == [i % 10 == 9 for i in range(100)]
    assert table["obs"].to_pylist()[7][0] == 7
    cli("export", path, path.with_name("rows"), "--format", "arrow", "--start", 10, "--stop", 20,
        "-f", "done", "-f", "many")  # fmt: skip
    with pa.OSFile(str(path.with_name("rows"))) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column_names == ["done", "many"]
    assert table["many"].to_pylist() == [[i] * (i % 4) for i in range(10, 20)]


def test_export_to_csv(path: Path) -> None:
    out = path.with_name("rows.csv")
    assert json.loads(cli("export", path, out, "--json", "--start", -3)) == {
        "path": str(out),
        "rows": 3,
    }
    with out.open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == list(FIELDS)
    assert rows[0] == ["[97.0, \"nan\", 0.5]", "[97]", "row 97, of many", "00ff",
                       "1970-01-01T00:01:37.000000", "False"]  # fmt: skip
    assert rows[1][2:4] == ["", ""]
    assert len(rows) == 3


def test_an_empty_string_differs_from_a_missing_one_in_csv(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={"note": "string", "n": "int64"}) as store:
        store.append_step({"note": "", "n": 1})
        store.append_step({"n": 2})
        store.append_step({"note": 'a "quoted", text\n'})
    cli("export", tmp_path / "run", tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == (
        b'note,n\r\n"",1\r\n,2\r\n"a ""quoted"", text\n",\r\n'
    )


ARRAY_FIELDS = {
    "frame": "packed uint8[2,2,3]",
    "pose": "float32[2,2]",
    "many": "int64[]",
    "label": None,  # a ClassLabel
    "info": {"x": "float64", "name": "string"},
}


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    fields = {**ARRAY_FIELDS, "label": datasets.ClassLabel(names=["no", "yes"])}
    with StreamStore(tmp_path / "arrays", fields=fields) as store:
        for i in range(50):
            step = {"frame": np.full((2, 2, 3), i), "pose": np.full((2, 2), i / 2), "label": i % 2}
            if i % 3:
                step |= {"many": [i] * (i % 4), "info": {"x": i, "name": None}}
            store.append_step(step, step=10 * i)
    return tmp_path / "arrays"


def test_an_exported_parquet_file_has_the_features_of_the_store(arrays: Path) -> None:
    datasets = pytest.importorskip("datasets")
    import pyarrow.parquet as pq

    out, expected = arrays.with_name("rows.parquet"), arrays.with_name("expected.parquet")
    cli("export", arrays, out)
    with StreamStore(arrays, "r") as store:
        ds = store.to_dataset()
        ds.to_parquet(expected)
        features = store.features
    assert pq.read_schema(out).equals(pq.read_schema(expected), check_metadata=True)
    loaded = datasets.Dataset.from_parquet(str(out), cache_dir=str(arrays.with_name("cache")))
    assert loaded.features == features == ds.features
    assert loaded[:] == ds[:]
    with StreamStore() as again:
        again.load_dataset("parquet", "train", data_files=str(out))
        assert again.features == features
        assert again.row(7)["pose"].tolist() == [[3.5, 3.5], [3.5, 3.5]]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrow-stream", "csv"])
def test_an_export_can_have_the_steps_in_a_column(arrays: Path, kind: str) -> None:
    out = arrays.with_name("rows")
    cli("export", arrays, out, "--format", kind, "--step-column", "when", "-f", "label",
        "--start", 10, "--stop", 20)  # fmt: skip
    assert columns_of(out.read_bytes(), kind) == {
        "when": [10 * i for i in range(10, 20)],
        "label": [i % 2 for i in range(10, 20)],
    }
    said = cli("export", arrays, out, "--format", kind, "--step-column", "pose", code=2)
    assert "'pose' is the name of a field" in said


def columns_of(content: bytes, kind: str) -> dict[str, list[int]]:
    """The columns of integers in a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "csv":
        names, *rows = csv.reader(content.decode().splitlines())
        return {name: [int(row[i]) for row in rows] for i, name in enumerate(names)}
    reads = {
        "parquet": lambda: pq.read_table(pa.BufferReader(content)),
        "arrow": lambda: pa.ipc.open_file(content).read_all(),
        "arrow-stream": lambda: pa.ipc.open_stream(content).read_all(),
    }
    columns: dict[str, list[int]] = reads[kind]().to_pydict()
    return columns


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrow-stream", "csv"])
def test_an_export_to_standard_output_is_the_same_as_to_a_file(arrays: Path, kind: str) -> None:
    out = arrays.with_name("rows")
    cli("export", arrays, out, "--format", kind)
    done = subprocess.run(
        command("export", arrays, "-", "--format", kind), capture_output=True, check=True
    )
    assert done.stdout == out.read_bytes()
    assert done.stderr == b""
    assert "or --format" in cli("export", arrays, "-", code=2)


def test_wrong_arguments_of_an_export_exit_with_two(path: Path) -> None:
    known = cli("export", path, path.with_name("x.json"), code=2)
    for name in (".parquet", ".arrow", ".arrows", ".csv", "arrow-stream", "'x.json'"):
        assert name in known
    assert "--format json" in cli("export", path, "x.csv", "--format", "json", code=2)
    assert "Unknown field" in cli("export", path, "x.csv", "-f", "nope", code=2)
    assert "empty" in cli("export", path, "x.csv", "--step-column", "", code=2)


def test_an_export_that_fails_leaves_nothing(path: Path) -> None:
    out = path.with_name("rows.csv")
    flip(path, "records", 32 * 60 + 27)  # its layout
    cli("export", path, out, code=3)
    assert "or --format" in cli("export", path, path.with_name("rows.xyz"), code=2)
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_an_export_verifies_the_records_of_its_rows(path: Path, kind: str) -> None:
    with StreamStore(path, "r") as store:
        position = store.position_of(60)  # of the first value of row 60
    flip(path, "values", 8 * position)
    out = path.with_name("rows")
    said = cli("export", path, out, "--format", kind, code=3)
    assert "record 60" in said
    assert not out.exists()
    assert "record 60" in cli("export", path, out, "--format", kind, "--start", 60, code=3)
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]
    for options in (("--stop", 60), ("--start", 61)):
        cli("export", path, out, "--format", kind, *options)
        assert out.exists()
        out.unlink()


def test_every_type_is_shown_and_exported(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from feature_table import ROWS, canonical

    for row in ROWS:
        with StreamStore(tmp_path / row.name.replace("/", " "), fields=None) as store:
            store.from_arrow(row.table())
            path = store.path
        lines = cli("head", path, "--json").splitlines()
        assert len(lines) == len(row.values)
        missing = [json.loads(line)["values"]["x"] is None for line in lines]
        assert missing == [canonical(value, row.arrow) is None for value in row.values]
        cli("export", path, tmp_path / "x.csv", "--step-column", "step")
        with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
            _, *cells = csv.reader(file)
        assert [int(cell[0]) for cell in cells] == list(range(len(row.values)))
        said = cli("export", path, tmp_path / "x.arrow")
        assert f"{len(row.values)} rows" in said


# --- the command itself ---


def test_an_export_replaces_files_only_and_none_of_a_store(path: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # as /dev/stdout is, under `| head`
    os.mkfifo(pipe)
    for out, why in (
        (pipe, "found something else"),
        (tmp_path, "found something else"),
        (data_file(path, "values"), f"outside of the store {path}"),
        (tmp_path / "nowhere" / "x.csv", "no directory"),
    ):
        said = cli("export", path, out, "--format", "csv", code=3)
        assert str(out) in said
        assert why in said
    assert pipe.is_fifo()
    assert stream_store.verify(path).ok
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "behind.csv")
    cli("export", path, link)
    assert link.is_symlink()
    assert (tmp_path / "behind.csv").is_file()


def test_what_is_no_store_is_one_line_and_three(tmp_path: Path) -> None:
    for name in ("info", "head", "tail", "follow", "verify"):
        text = cli(name, tmp_path / "nothing", code=3)
        assert text.startswith("stream-store: ")
        assert "no such store" in text
        assert text.count("\n") == 1
    for wrong in ((), ("nope",), ("info",), ("head", tmp_path, "-n", "-1")):
        subprocess_code = subprocess.run(
            command(*wrong), capture_output=True, check=False
        ).returncode
        assert subprocess_code == 2


def test_without_typer_it_says_what_to_install(path: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; from stream_store._cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "info", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "pip install 'stream-store[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(path: Path) -> None:
    with StreamStore(path) as store:
        fill(store, 20_000)
    process = subprocess.Popen(
        command("head", path, "-n", 20_000), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_progress_is_shown_on_a_terminal(path: Path) -> None:
    master, terminal = pty.openpty()
    done = subprocess.run(
        command("checkpoint", path, path.with_name("copy")),
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "checkpoint" in shown
    assert "100 rows" in done.stdout


def test_the_script_is_installed() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="console_scripts", name="stream-store")
    assert found.value == "stream_store._cli:main"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_rows_are_shown_where_their_text_cannot_be(tmp_path: Path, encoding: str) -> None:
    with StreamStore(tmp_path / "run", fields={"note": "string"}) as store:
        store.append_step({"note": "größer 漢"})
    environment = {**os.environ, "PYTHONIOENCODING": encoding}

    def shown(*options: str) -> str:
        line = command("head", tmp_path / "run", *options)
        return subprocess.run(line, check=True, env=environment, capture_output=True).stdout.decode(
            encoding
        )

    assert json.loads(shown("--json"))["values"]["note"] == "größer 漢"
    assert "gr" in shown()
