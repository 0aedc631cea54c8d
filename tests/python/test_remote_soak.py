"""Shipper, mirror and server are killed at random. `remote_soak.py` does it for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("moto")

from remote_soak import soak


@pytest.mark.parametrize("seed", [1])
def test_a_replica_survives_kills_of_everything(tmp_path: Path, seed: int) -> None:
    facts = soak(tmp_path, seconds=15, seed=seed)
    assert facts["rows"]
