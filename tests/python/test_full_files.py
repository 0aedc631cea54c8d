"""Files that cannot be written: the error names the file, and nothing is left.

A limit on the size of files has the same effect as a full disk, and needs no disk of its own.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream_store import Priorities, StreamStore, WindowSampler

_LIMIT = 4096
_PROGRAM = "from stream_store._cli import main; main()"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store whose exports are larger than the limit."""
    with StreamStore(tmp_path / "run", fields={"obs": "float32[64]"}) as store:
        store.extend({"obs": np.random.default_rng(0).normal(size=(500, 64))})
    return tmp_path / "run"


def command_on_full_disk(
    *arguments: object, out: int | None = subprocess.PIPE, unbuffered: str = ""
) -> str:
    """What a command prints on standard error that cannot write its file."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", _PROGRAM, *map(str, arguments)],  # no short file with bytecode
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, _LIMIT)),
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    return done.stderr


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".arrows"])
def test_export_names_the_file(path: Path, suffix: str) -> None:
    pytest.importorskip("typer")
    pytest.importorskip("pyarrow")
    out = path.with_name(f"rows{suffix}")
    error = command_on_full_disk("export", path, out)
    assert f"{out}: export: File too large" in error
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "{}", "-", "--format", "csv"],
        ["info", "{}"],
        ["info", "{}", "--json"],
        ["stats", "{}"],
        ["tail", "{}", "-n", "400"],
        ["tail", "{}", "--json"],
        ["verify", "{}"],
        ["--version"],
        ["--help"],
        ["export", "--help"],
    ],
    ids=" ".join,
)
def test_a_command_names_standard_output(path: Path, arguments: list[str], unbuffered: str) -> None:
    """Its exit code is that of an error, also if Python writes the output when it ends."""
    pytest.importorskip("typer")
    given = [argument.format(path) for argument in arguments]
    with Path("/dev/full").open("wb") as full:
        error = command_on_full_disk(*given, out=full.fileno(), unbuffered=unbuffered)
    assert re.search("standard output: (export|write): No space left on device", error), error
    assert len(error.splitlines()) == 1


def test_view_names_the_page(path: Path) -> None:
    pytest.importorskip("typer")
    out = path.with_name("run.html")
    error = command_on_full_disk("view", path, "--html", out)
    assert f"{out}: view: File too large" in error
    assert [entry.name for entry in path.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("suffix", [".parquet", ".mcap"])
def test_convert_names_the_file(path: Path, suffix: str) -> None:
    pytest.importorskip("typer")
    pytest.importorskip("mcap")
    out = path.with_name(f"rows{suffix}")
    error = command_on_full_disk("convert", path, out)
    assert str(out) in error
    assert "File too large" in error


def test_save_priorities_names_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # or a short file with it stays
    store = StreamStore(path, "r")
    sampler = WindowSampler(store, 1, unit="row", batch_size=4, priorities=Priorities())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    target = path.with_name("priorities.npz")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
        with pytest.raises(OSError, match="File too large") as error:
            sampler.save_priorities(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.filename == str(target)
    assert not target.exists()
