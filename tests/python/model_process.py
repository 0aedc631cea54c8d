"""Runs scripts in other processes, so that a crash of one fails a test and does not end the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO

#: Seconds that a test waits for an event before it fails. It is longer than the most loaded
#: machine needs, so it does not measure speed.
PATIENCE = 600

PREAMBLE = f"""
import io, os, signal, sys, time
import numpy as np
import stream_store
from stream_store import StreamStore
PATIENCE = {PATIENCE}
"""


def take_interrupts() -> None:
    """Let a new process be ended by SIGINT, which Ray, for example, may have blocked here."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that runs `script`; sys.argv[1:] are the arguments as text."""
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", PREAMBLE + textwrap.dedent(script)]
        + [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = PATIENCE) -> str:
    """Return the output of the process. Fails with its stderr if the process failed."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"no end after {timeout} s:\n{out}\n{err}") from None
    assert process.returncode == 0, f"exit status {process.returncode}:\n{out}\n{err}"
    return out


def run(script: str, *arguments: object, timeout: float = PATIENCE) -> str:
    return finish(start(script, *arguments), timeout)


def line_of(stream: IO[str] | None) -> str:
    """Return the next line that a process prints. Fails if the process ends instead."""
    assert stream is not None
    line = stream.readline()
    assert line, "the process ended before it said anything"
    return line.strip()
