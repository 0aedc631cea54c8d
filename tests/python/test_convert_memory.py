"""Conversions of stores of large rows need little memory, also if they read one small field.

Mapped pages count as memory of a process, and a kernel maps some pages around each one that is
read. So the peak of the resident memory is measured, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream_store import StreamStore

ROWS = 8000
FIELDS = {
    "image": "packed uint8[128,128,3]",
    "action": "float32[2]",
    "episode": "int64",
    "env": "int64",
}
MEGABYTES = 250  # the store has 400, and PyArrow itself takes 100

PROGRAM = """
import sys
from pathlib import Path
from stream_store import StreamStore

with StreamStore(sys.argv[1], "r") as store:
    {}
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(int(peak) // 1000)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "run"
    row = np.arange(ROWS)
    with StreamStore(path, fields=FIELDS) as store:
        for some in np.split(row, 40):
            store.extend(
                {
                    "image": np.zeros((len(some), 128, 128, 3), np.uint8),
                    "action": np.ones((len(some), 2), np.float32),
                    "episode": some // 50,
                    "env": some % 2,
                }
            )
    return path


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("pyarrow", "store.to_lerobot(sys.argv[2], fps=10, by='episode', fields=['action'])"),
        (
            "pyarrow",
            "store.to_lerobot(sys.argv[2], fps=10, by='episode', lane_by='env', fields=['action'])",
        ),
        ("mcap", "store.to_mcap(sys.argv[2] + '.mcap')"),
    ],
    ids=["lerobot", "lanes", "mcap"],
)
def test_a_conversion_holds_a_part_of_the_store(
    path: Path, module: str, call: str, tmp_path: Path
) -> None:
    pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call), path, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < MEGABYTES
