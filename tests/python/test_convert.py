"""Imports of sources into stores: what is visible when, errors, kills, and the formats."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import stream_store
from stream_store import StreamStore
from stream_store._convert import importing
from stream_store._convert.exporting import episodes_of, new_directory, new_file
from stream_store._convert.importing import import_source
from stream_store._convert.registry import detect
from stream_store._convert.source import Block, Source, choose_fields

ROWS = 3  # of a block


class Episodes(Source):
    """Episodes of one or several blocks; `fail` raises, `kill` kills the process, before one."""

    format = "test"
    fields = MappingProxyType({"a": "float32[2]", "text": "string", "inner": {"x": "int8"}})

    def __init__(self, count: int = 5, parts: int = 1, *, steps: bool = False, **stop: int) -> None:
        self.path = Path("source")
        self.count, self.parts, self.has_steps, self.stop = count, parts, steps, stop
        self.closed = False

    def blocks(self, first_episode: int = 0) -> Iterator[Block]:
        for episode in range(first_episode, self.count):
            for part in range(self.parts):
                last = part == self.parts - 1
                if last and self.stop.get("fail") == episode:
                    raise RuntimeError("the source failed")
                if last and self.stop.get("kill") == episode:
                    os.kill(os.getpid(), signal.SIGKILL)
                number = episode * self.parts + part
                columns = {
                    "a": np.full((ROWS, 2), number, np.float32),
                    "text": ["x", None, str(number)],
                    "inner": {"x": [1, None, number]},
                }
                steps = number * 100 + np.arange(ROWS) if self.has_steps else None
                yield Block(columns, steps, episode, last)

    def close(self) -> None:
        self.closed = True


def expected_numbers(source: Episodes) -> list[float]:
    return np.repeat(np.arange(source.count * source.parts), ROWS).tolist()


def stored_numbers(store: StreamStore) -> list[float]:
    return [float(row["a"][0]) for row in store.rows()]


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("path", [None, "run"])
def test_imports_all_rows_and_steps(
    tmp_path: Path, parts: int, steps: bool, path: str | None
) -> None:
    source = Episodes(parts=parts, steps=steps)
    with StreamStore(None if path is None else tmp_path / path) as store:
        report = import_source(store, source, check=True)
        assert stored_numbers(store) == expected_numbers(source)
        assert store.row(2)["inner"] == {"x": 0}
        assert store.row(1)["text"] is None
        last = (5 * parts - 1) * 100 + 2 if steps else 5 * parts * ROWS - 1
        assert store.last_step == last
    assert (report.rows, report.episodes) == (5 * parts * ROWS, 5)
    assert report.checked_values == report.rows * 3
    assert source.closed
    assert not (tmp_path / "run.import").exists()


@pytest.mark.parametrize("parts", [1, 2])
def test_error_leaves_a_new_store_without_fields(tmp_path: Path, parts: int) -> None:
    with StreamStore(tmp_path / "run") as store:
        with pytest.raises(RuntimeError, match="the source failed"):
            import_source(store, Episodes(parts=parts, fail=3))
        assert store.fields == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parts", [1, 2])
def test_error_leaves_the_rows_of_the_store(tmp_path: Path, parts: int) -> None:
    with StreamStore(tmp_path / "run", fields=Episodes.fields) as store:
        store.append_step({"text": "mine"})
        with pytest.raises(RuntimeError, match="the source failed"):
            import_source(store, Episodes(parts=parts, fail=3), append=True)
        assert [row["text"] for row in store.rows()] == ["mine"]
        assert import_source(store, Episodes(), append=True).rows == 15
        assert store.num_rows == 16
    assert not (tmp_path / "run.import").exists()


def test_error_leaves_the_rows_of_a_temporary_store() -> None:
    with StreamStore(fields=Episodes.fields) as store:
        store.append_step({"text": "mine"})
        with pytest.raises(RuntimeError):
            import_source(store, Episodes(fail=3))
        assert store.row(0)["text"] == "mine"
        import_source(store, Episodes())
        assert store.num_rows == 15


def import_and_die(path: Path, parts: int, kill: int) -> None:
    """Import in a process that kills itself before the last block of an episode."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_convert as t\n"
        "t.importing.COMMIT_BYTES = 0\n"
        "t.import_source(t.StreamStore(sys.argv[2]), t.Episodes(6, int(sys.argv[3]), "
        "kill=int(sys.argv[4])))"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(path), str(parts), str(kill)], check=False
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("parts", [1, 2])
def test_killed_import_has_whole_episodes_and_resumes(tmp_path: Path, parts: int) -> None:
    path = tmp_path / "run"
    import_and_die(path, parts, 3)
    source = Episodes(6, parts)
    with StreamStore(path) as store:
        assert stored_numbers(store) == expected_numbers(Episodes(3, parts))
        with pytest.raises(ValueError, match="resume=True continues it"):
            import_source(store, source)
        other = Episodes(6, parts)
        other.options = {"map": {"a": "b"}}
        with pytest.raises(ValueError, match="the interrupted import had options"):
            import_source(store, other, resume=True)
        report = import_source(store, source, resume=True, check=True)
        assert stored_numbers(store) == expected_numbers(source)
    assert (report.episodes, report.resumed_episodes) == (3, 3)
    assert not (tmp_path / "run.import").exists()


def test_resume_refuses_a_store_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    import_and_die(path, 1, 3)
    with StreamStore(path) as store:
        store.extend({"text": ["mine"] * 10})
        with pytest.raises(ValueError, match="it was changed since the import"):
            import_source(store, Episodes(6), resume=True)
        assert store.num_rows == 19


def test_resume_repeats_a_commit_that_a_power_cut_has_cut(tmp_path: Path) -> None:
    path = tmp_path / "run"
    import_and_die(path, 1, 4)
    with StreamStore(path) as store:
        store.truncate(store.num_rows - ROWS - 1)
        import_source(store, Episodes(6), resume=True)
        assert stored_numbers(store) == expected_numbers(Episodes(6))


def test_check_finds_a_value_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = importing.check_rows

    def change_then_compare(store: StreamStore, source: Source, first: int) -> int:
        source.count = 6  # type: ignore[attr-defined]
        return compare(store, source, first)

    monkeypatch.setattr(importing, "check_rows", change_then_compare)
    with StreamStore(tmp_path / "run", fields=Episodes.fields) as store:
        with pytest.raises(stream_store.CheckError, match="expected at least 18 rows"):
            import_source(store, Episodes(), check=True)
        assert store.num_rows == 0


def test_refuses_fields_that_the_store_lacks() -> None:
    with (
        StreamStore(fields={"a": "float32[2]"}) as store,
        pytest.raises(ValueError, match="no field 'text', 'inner'"),
    ):
        import_source(store, Episodes())


def test_choose_fields_names_what_exists() -> None:
    assert choose_fields({"x/y": "y"}, None, "src") == {"y": "x/y"}
    assert choose_fields(["x", "y"], {"mine": "y"}, "src") == {"mine": "y"}
    with pytest.raises(ValueError, match=r"src: map names 'z' for field 'a', .* only x, y"):
        choose_fields(["y", "x"], {"a": "z"}, "src")
    with pytest.raises(TypeError, match="mapping of field name"):
        choose_fields(["x"], {"a": 1}, "src")  # type: ignore[dict-item]


def test_targets_appear_at_the_end_and_are_not_replaced(tmp_path: Path) -> None:
    for make in (new_directory, new_file):
        target = tmp_path / make.__name__
        with pytest.raises(ZeroDivisionError), make(target, "test") as partial:
            (partial / "x" if make is new_directory else partial).write_text(str(1 // 0))
        assert list(tmp_path.glob("*new*")) == list(tmp_path.glob(".*new*")) == []
        with make(target, "test") as partial:
            (partial / "x" if make is new_directory else partial).write_text("whole")
            assert not target.exists()
        with pytest.raises(FileExistsError, match="nothing is replaced"), make(target, "test"):
            pass
        (target / "x" if target.is_dir() else target).unlink()
        if target.is_dir():
            target.rmdir()


def test_episodes_are_segments(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields={"done": "bool"}) as store:
        store.extend({"done": [False, True, False, False, True, False]})
        episodes = episodes_of(store.snapshot(), "done", None, "export")
        found = [(one.first, one.last + 1) for one in episodes]
        assert found == [tuple(pair) for pair in store.segments("done").tolist()]
        assert [one.rows for one in episodes_of(store.snapshot(), (), None, "export")] == [6]


# --- formats ---


def test_formats_are_recognised_by_content(tmp_path: Path) -> None:
    StreamStore(tmp_path / "run", fields={"x": "int8"}).close()
    contents = {"mcap": b"\x89MCAP0\r\n", "hdf5": bytes(512) + b"\x89HDF\r\n\x1a\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in ("zarr/.zgroup", "minari/data/metadata.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "lerobot" / "meta").mkdir(parents=True)
    (tmp_path / "lerobot" / "meta" / "info.json").write_text('{"codebase_version": "v3.0"}')
    for form, name in (("mcap", "bag/a_0.mcap"), ("hdf5", "demos/a.h5")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(contents[form])
        (tmp_path / name).with_name("metadata.yaml").write_text("")
        assert detect((tmp_path / name).parent).name == form
    (tmp_path / "demos" / "a.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="an HDF5 file or a directory of them"):
        detect(tmp_path / "demos")
    for name in (*contents, "zarr", "minari", "lerobot"):
        assert detect(tmp_path / name).name == name
    assert detect(tmp_path / "run").name == "store"
    (tmp_path / "other").write_text("text")
    with pytest.raises(ValueError, match=r"a LeRobotDataset v3.0 .* found none of them"):
        detect(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        detect(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.arrows"])
def test_convert_writes_and_reads_files(tmp_path: Path, name: str) -> None:
    with StreamStore(tmp_path / "run", fields={"x": "float32", "text": "string"}) as store:
        store.extend({"x": [0.5, np.nan, None], "text": ["a", None, "ä"]})
    report = stream_store.convert(tmp_path / "run", tmp_path / name, check=True)
    assert (report.rows, report.checked_values) == (3, 6)
    report = stream_store.convert(tmp_path / name, tmp_path / "copy", check=True)
    with StreamStore(tmp_path / "copy", "r") as copy:
        assert [row["text"] for row in copy.rows()] == ["a", None, "ä"]
    with pytest.raises(FileExistsError):
        stream_store.convert(tmp_path / "run", tmp_path / name)
    with pytest.raises(ValueError, match="has no option 'fps'"):
        stream_store.convert(tmp_path / "run", tmp_path / "b.parquet", fps=3)
    with pytest.raises(ValueError, match="both are stores"):
        stream_store.convert(tmp_path / "run", tmp_path / "other")


def test_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but nothing else")
    with pytest.raises(ValueError, match="cannot be read"):
        stream_store.convert(tmp_path / "bad.parquet", tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "from stream_store._cli import main; main()"
    command = [sys.executable, "-c", code, "convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_prints_the_report(tmp_path: Path) -> None:
    pytest.importorskip("typer")
    with StreamStore(tmp_path / "run", fields={"episode_index": "int64", "x": "float32"}) as store:
        store.extend({"episode_index": [0, 0, 1], "x": [1.0, 2.0, 3.0]})
    out = tmp_path / "set"
    done = run_command(
        tmp_path / "run", out, "--to", "lerobot", "--fps", 10, "-o", "task=push", "--check"
    )
    assert done.returncode == 0, done.stderr
    assert "lerobot: 3 rows in 2 episodes, 1 field: x" in done.stdout
    done = run_command(out, tmp_path / "back", "--map", "y=x", "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (answer["rows"], answer["fields"]) == (3, ["y"])
    done = run_command(out, tmp_path / "other", "--map", "y")
    assert done.returncode == 2
    assert "expected FIELD=PATH, found 'y'" in done.stderr
