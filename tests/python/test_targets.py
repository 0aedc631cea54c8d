"""Files that commands and methods write: a target inside a store is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stream_store
from stream_store import Priorities, StreamStore, WindowSampler

pytest.importorskip("pyarrow")
typer = pytest.importorskip("typer")
from cli_helpers import cli  # noqa: E402

Write = Callable[[Path], object]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    fields = {"episode": "int64", "obs": "float32[2]", "action": "float32[2]"}
    fields |= {"reward": "float32", "terminated": "bool", "truncated": "bool"}
    with StreamStore(tmp_path / "run", fields=fields) as store:
        columns = {"episode": np.zeros(3), "obs": np.ones((3, 2)), "action": np.ones((3, 2))}
        columns |= {name: np.zeros(3) for name in ("reward", "terminated", "truncated")}
        store.extend(columns)
    return tmp_path / "run"


def command(*arguments: object) -> None:
    """A command that must end with exit code 3; its message is raised."""
    raise ValueError(cli(*arguments, code=3))


def save_priorities(store: StreamStore, path: Path) -> None:
    sampler = WindowSampler(store, 2, batch_size=2, priorities=Priorities())
    sampler.save_priorities(path)


def writers(run: Path) -> Iterator[Write]:
    """All that write into a file or a directory that the user names."""
    store = StreamStore(run, "r")
    rows = run.with_name("rows.arrow")
    stream_store.convert(run, rows)
    yield lambda path: command("view", run, "--html", path)
    for kind in ("csv", "parquet", "arrow"):
        yield lambda path, kind=kind: command("export", run, path, "--format", kind)
    yield lambda path: command("convert", rows, path, "--to", "parquet")
    yield lambda path: command("convert", rows, path, "--to", "store")
    yield lambda path: save_priorities(store, path)
    yield lambda path: store.to_lerobot(path, fps=10, by="episode")
    yield lambda path: store.to_lerobot(path, fps=10, by="episode", append=True)
    yield store.to_mcap
    yield lambda path: store.to_minari(path, dataset_id="a-v0")


def test_targets_inside_a_store_are_refused(run: Path, tmp_path: Path) -> None:
    """`view --html run/control` replaced a file of the store, which could not be opened again."""
    writes = list(writers(run))
    with StreamStore(tmp_path / "other", fields={"x": "int8"}) as other:
        other.append_step({"x": 1})
    (run / "inner").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    (tmp_path / "file.html").symlink_to(run / "schema")
    before = files_of(tmp_path)
    targets = ["run/new", "run/control", "run/inner/new", "other/control", "link/new"]
    for write in writes:
        for name in [*targets, "link/../other/new", "file.html"]:
            with pytest.raises((ValueError, FileExistsError)) as refused:
                write(tmp_path / name)
            text = str(refused.value)
            assert "outside of the store" in text or name == "file.html", text
    assert files_of(tmp_path) == before
    assert StreamStore(run, "r").num_rows == 3


def test_targets_beside_a_store_are_written(run: Path, tmp_path: Path) -> None:
    target = run / ".." / "out.html"
    cli("view", run, "--html", target)
    assert (tmp_path / "out.html").stat().st_size


def test_shipping_into_a_store_is_refused(run: Path) -> None:
    pytest.importorskip("obstore")
    before: Any = files_of(run)
    for target in (run, run / "inner"):
        with pytest.raises(ValueError, match="ship: expected a path outside of the store"):
            stream_store.Shipper(run, f"file://{target}")
    assert files_of(run) == before
