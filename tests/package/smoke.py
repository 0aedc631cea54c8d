"""Checks an installed package with nothing but NumPy: create, append, sample, reopen, command line.

usage: smoke.py    (prints one line if all is well; run it with the interpreter to check)

scripts/package.py runs it for each Python, cibuildwheel for each wheel. pytest is not needed.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import stream_store

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart.py"


def check(claim: bool, what: str) -> None:
    """Ends the program if a claim is false; ``assert`` would do nothing under ``python -O``."""
    if not claim:
        sys.exit(f"smoke test: expected that {what}")


def check_store(path: Path) -> None:
    """Creates, appends, samples, closes, reopens, reads."""
    fields = {"obs": "float32[2]", "action": "int64", "note": "string"}
    with stream_store.StreamStore(path, fields=fields) as store:
        for step in range(100):
            store.append_step({"obs": [step, -step], "action": step * 3, "note": f"n{step}"})
        try:
            store.append_step({"obs": [1.0], "action": 0})
        except ValueError as error:
            check("obs" in str(error), "the error names the field")
        else:
            sys.exit("smoke test: expected an error for a row of the wrong shape")
        check(store.num_rows == 100, "a failed append changes nothing")
        sampler = stream_store.WindowSampler(store, 4, batch_size=16, unit="row", seed=1)
        batch = sampler.sample()
    first = batch["action"][:, :1]
    check(batch["action"].shape == (16, 4), "a sample has the shape (16, 4)")
    check(bool((batch["action"] == first + 3 * np.arange(4)).all()), "windows are consecutive rows")
    check(bool((batch["obs"][..., 0] * 3 == batch["action"]).all()), "the fields of a row agree")
    with stream_store.StreamStore(path) as store:
        check(store.num_rows == 100, "all rows are there after closing")
        store.append_step({"obs": [0, 0], "action": 7, "note": "µ"})
    with stream_store.StreamStore(path, mode="r") as store:
        check(store.row(-1)["note"] == "µ", "the row that was appended last is read")


def check_command() -> None:
    """Without its extra, the command says what to install; with it, it prints help."""
    script = Path(sysconfig.get_path("scripts")) / "stream-store"
    done = subprocess.run([script, "--help"], check=False, text=True, capture_output=True)
    if done.returncode == 0:
        check("verify" in done.stdout, "the help lists the commands")
    else:
        check("pip install 'stream-store[cli]'" in done.stderr, "the message names the extra")
        check("Traceback" not in done.stderr, "a missing extra prints no traceback")


def main() -> None:
    """Runs all checks in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_store(Path("store"))
        check_command()
        runpy.run_path(str(QUICKSTART))
        os.chdir("/")
    print(f"smoke test of stream_store {stream_store.__version__}: all is well")


if __name__ == "__main__":
    main()
