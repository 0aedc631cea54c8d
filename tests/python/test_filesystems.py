"""Short runs of tests/crash/filesystems.py, on machines that give root and loop devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "crash" / "filesystems.py"


@pytest.mark.parametrize("work", ["full disk", "shutdowns of ext4"])
def test_nothing_synced_is_lost(work: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, "ONLY": work, "CUTS": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if done.stdout.startswith("skipped"):
        pytest.skip(done.stdout.strip())
    assert "0 lost" in done.stdout
