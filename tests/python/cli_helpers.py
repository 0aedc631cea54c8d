"""Run the command `stream-store` in this process."""

from __future__ import annotations

import functools
from typing import Any

import pytest


@functools.cache
def _runner() -> Any:
    """Typer's runner. It builds all commands at every run, which takes longer than most runs."""
    testing = pytest.importorskip("typer.testing")
    testing._get_command = functools.cache(testing._get_command)
    return testing.CliRunner()


def cli_output(*arguments: object, code: int = 0) -> tuple[str, str]:
    """The output and the errors of a run in this process that ends with exit code `code`."""
    from stream_store._cli.app import app

    done = _runner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def cli(*arguments: object, code: int = 0) -> str:
    """The output of such a run; errors if `code` is neither 0 nor 1."""
    output, errors = cli_output(*arguments, code=code)
    return output if code in (0, 1) else errors
