"""The shell completes commands, options and names of fields of `stream-store`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream_store import StreamStore

pytest.importorskip("typer")

from typer.testing import CliRunner

from stream_store._cli.app import app

PROGRAM = "from stream_store._cli import main; main()"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the store `my_run` and the command `stream-store`."""
    monkeypatch.chdir(tmp_path)
    fields = {"obs": {"left": "float32", "right": "float32"}, "other": "int64", "reward": "float32"}
    with StreamStore(tmp_path / "my_run", fields=fields) as store:
        store.append_step({"reward": 1.0})
    script = tmp_path / "stream-store"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{PROGRAM}" "$@"\n')
    script.chmod(0o755)
    return tmp_path


def completed(*words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    environment = {
        "_STREAM_STORE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["stream-store", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = CliRunner().invoke(app, [], prog_name="stream-store", env=environment)
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_are_completed() -> None:
    assert completed("ver") == ["verify"]
    assert {"head", "tail", "follow"} <= set(completed(""))


def test_options_of_a_command_are_completed() -> None:
    assert completed("repair", "--tr") == ["--truncate-at-damage"]
    assert {"--rows", "--field", "--json"} <= set(completed("head", "my_run", "--"))


def test_names_of_fields_are_completed() -> None:
    assert completed("head", "my_run", "--field", "o") == ["obs", "other"]
    assert completed("head", "my_run", "-f", "obs", "-f", "re") == ["reward"]
    assert completed("export", "my_run", "x.csv", "--field", "") == [
        "obs", "other", "reward",
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["absent", "stream-store"])
def test_nothing_is_offered_without_a_store(directory: Path, place: str) -> None:
    assert completed("head", place, "--field", "") == []
    assert not (directory / "absent").exists()


def test_the_printed_script_completes_in_bash(directory: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is missing")
    script = """
eval "$(stream-store --show-completion)"
COMP_WORDS=(stream-store verify --js); COMP_CWORD=2
_stream_store_completion stream-store
echo "${COMPREPLY[@]}"
complete -p stream-store
"""
    environment = os.environ | {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        "SHELL": bash,
    }
    script = script.replace("--show-completion", "--show-completion bash")
    done = subprocess.run(
        [bash, "-c", script],
        cwd=directory, env=environment, check=True, text=True, capture_output=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "--json", done.stderr
    assert "_stream_store_completion stream-store" in done.stdout


def test_a_home_in_which_nothing_can_be_written_is_named() -> None:
    environment = os.environ | {
        "HOME": "/proc/1",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--install-completion", "bash"],
        env=environment, check=False, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("stream-store: /proc/1/.bash")
    assert len(done.stderr.splitlines()) == 1
