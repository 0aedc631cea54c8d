"""Run the command `stream-store` in this process."""

from __future__ import annotations


def cli(*arguments: object, code: int = 0) -> str:
    """The output of a run in this process that ends with exit code `code`; errors if not 0."""
    from typer.testing import CliRunner

    from stream_store._cli.app import app

    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout if code in (0, 1) else done.stderr
