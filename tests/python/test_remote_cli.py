"""The commands `ship`, `mirror` and `verify URL`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from model_process import PATIENCE, take_interrupts
from remote_helpers import FIELDS, append, assert_same, new_bucket, wait_until
from stream_store import StreamStore

pytest.importorskip("typer")


def command(*arguments: object) -> list[str]:
    code = "from stream_store._cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def cli(*arguments: object, code: int = 0) -> str:
    """The output of a run in this process that ends with exit code `code`; errors if not 0."""
    from typer.testing import CliRunner

    from stream_store._cli.app import app

    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout if code in (0, 1) else done.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with StreamStore(tmp_path / "source", fields=FIELDS) as store:
        append(store, 100)
    return tmp_path / "source"


def test_ship_mirror_and_verify(source: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    assert "100 rows; " in cli("ship", source, url)
    assert "100 rows; " in cli("mirror", url, tmp_path / "replica")
    assert_same(source, tmp_path / "replica")
    assert "no damage; 100 rows in 1 packs" in cli("verify", url)
    shipped = json.loads(cli("ship", source, url, "--json"))
    assert (shipped["records"], shipped["rows"], shipped["manifest"]) == (0, 100, 1)
    pulled = json.loads(cli("mirror", url, tmp_path / "other", "--json"))
    assert (pulled["rows"], pulled["manifest"]) == (100, 1)
    checked = json.loads(cli("verify", url, "--json"))
    assert (checked["ok"], checked["rows"], checked["findings"]) == (True, 100, [])


def test_damage_is_an_exit_code(source: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    cli("ship", source, url)
    (pack,) = (tmp_path / "remote" / "packs").iterdir()
    content = bytearray(pack.read_bytes())
    content[-1] ^= 1
    pack.write_bytes(content)
    assert pack.name in cli("verify", url, code=1)
    assert pack.name in cli("mirror", url, tmp_path / "replica", code=3)


def test_errors_are_one_line(source: Path, tmp_path: Path) -> None:
    assert "a remote store is a URL" in cli("ship", source, "somewhere", code=3)
    assert "no such store" in cli("ship", tmp_path / "none", f"file://{tmp_path}/r", code=3)
    assert "a time such as" in cli(
        *("ship", source, f"file://{tmp_path}/r", "--every", "soon"), code=2
    )
    assert not (tmp_path / "r").exists()
    assert "nothing was shipped there" in cli("verify", f"file://{tmp_path}/r", code=3)
    assert "nothing is there yet" in cli("mirror", f"file://{tmp_path}/r", tmp_path / "replica")


def options(endpoint: str) -> dict[str, str]:
    """The configuration of the server, in the environment."""
    return os.environ | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


def test_both_follow_until_ctrl_c(s3_endpoint: str, source: Path, tmp_path: Path) -> None:
    url, replica = new_bucket(s3_endpoint), tmp_path / "replica"
    arguments: list[Any] = ["ship", source, url, "--every", "20ms"]
    mirror = ["mirror", url, replica, "--follow", "--every", "20ms"]
    processes = [
        subprocess.Popen(
            command(*run),
            env=options(s3_endpoint),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=take_interrupts,  # noqa: PLW1509 (it only sets signals)
        )
        for run in (arguments, mirror)
    ]
    try:
        with StreamStore(replica, "r", wait=PATIENCE) as reader, StreamStore(source) as store:
            append(store, 50)
            store.sync()
            assert reader.wait(150, timeout=PATIENCE)
    finally:
        time.sleep(0.2)
        for process in processes:
            process.send_signal(signal.SIGINT)
        answers = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [130, 130], answers
    assert answers[0][1] == answers[1][1] == ""
    assert_same(source, replica)


def test_the_first_round_is_tried_again_too(source: Path, tmp_path: Path) -> None:
    remote, url = tmp_path / "remote", f"file://{tmp_path}/remote"
    remote.mkdir()
    (remote / "packs").touch()  # where a directory should be
    assert "packs" in cli("ship", source, url, code=3)
    process = subprocess.Popen(
        command("ship", source, url, "--every", "20ms"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=take_interrupts,  # noqa: PLW1509 (it only sets signals)
    )
    assert process.stderr is not None
    try:
        assert "trying again" in process.stderr.readline()
        (remote / "packs").unlink()
        wait_until(lambda: list(remote.glob("manifests/*.json")))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    cli("mirror", url, tmp_path / "replica")
    assert_same(source, tmp_path / "replica")
