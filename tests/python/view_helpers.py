"""Helpers of the tests of views: stores with every kind of field, and Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore

FIELDS = {
    "episode": "int64",
    "obs": "float32[2]",
    "reward": "float32",
    "done": "bool",
    "lidar": "float32[20]",
    "list": "float32[]",
    "note": "string",
    "frame": "packed uint8[6,4,3]",
    "when": "timestamp[us]",
    "arm": {"grip": "bool", "pos": "int16"},
}
EVIL = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e"


def fill(store: StreamStore, episodes: int, rows: int = 20) -> None:
    """Append episodes with missing rewards, a spike, NaN and an infinite value, and odd text."""
    rng = np.random.default_rng(0)
    for episode in range(episodes):
        obs = rng.normal(size=(rows, 2)).astype(np.float32)
        obs[rows // 2, 1] = 1000 + episode
        obs[0] = [np.nan, np.inf]
        place = np.arange(rows)
        store.extend(
            {
                "episode": np.full(rows, episode),
                "obs": obs,
                "reward": [1.0 if row % 4 else None for row in range(rows)],
                "done": place == rows - 1,
                "lidar": rng.normal(size=(rows, 20)),
                "list": [list(range(row % 3)) for row in range(rows)],
                "note": [EVIL if row == 3 else None for row in range(rows)],
                "frame": np.full((rows, 6, 4, 3), episode, np.uint8),
                "arm": {"grip": place % 2 == 0, "pos": place - 5},
            }
        )


def filled(path: Path, episodes: int = 5, **options: Any) -> StreamStore:
    """A store of some episodes, to read."""
    with StreamStore(path, fields=FIELDS, **options) as store:
        fill(store, episodes)
    return StreamStore(path, "r")


def chromium() -> str:
    """The command; the test is skipped without it."""
    command = shutil.which("chromium") or shutil.which("google-chrome")
    if command is None:
        pytest.skip("Chromium is missing (Debian: apt-get install chromium)")
    return command


def dump_dom(page: Path, folder: Path, anchor: str = "") -> str:
    """The HTML of a page after its script has run. Nothing outside of this machine is reached."""
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += ["--virtual-time-budget=3000", "--dump-dom", f"file://{page}{anchor}"]
    environment = os.environ | {"HOME": str(folder)}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=300, env=environment
    )
    return done.stdout
