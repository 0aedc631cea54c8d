"""Stores of every released format version open, and hold the same rows as when they were made.

scripts/make_golden.py made them once for each version. They must never be made again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from make_golden import describe
from stream_store import StreamStore, _core

GOLDEN = Path(__file__).parents[1] / "golden"
STORES = sorted(path for path in GOLDEN.glob("v*/*") if path.is_dir())


@pytest.fixture(params=STORES, ids=lambda path: f"{path.parent.name}-{path.name}")
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of a golden store, and its content."""
    source: Path = request.param
    copy = tmp_path / source.name
    shutil.copytree(source, copy)
    facts = json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))
    return copy, facts


def test_every_version_has_golden_stores() -> None:
    versions = {path.parent.name for path in STORES}
    assert versions == {f"v{version}" for version in range(2, _core.format_version + 1)}


def test_a_golden_store_is_read_as_it_was_written(golden: tuple[Path, dict[str, Any]]) -> None:
    path, facts = golden
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with StreamStore(path, mode="r") as store:
        assert describe(store) == facts
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_golden_store_can_be_continued(golden: tuple[Path, dict[str, Any]]) -> None:
    path, facts = golden
    with StreamStore(path) as store:
        assert store.recovery.state == facts["recovery"]
        store.append_step({})
    with StreamStore(path, mode="r") as store:
        found = describe(store)
    assert found["rows"] == [*facts["rows"], {}]
    assert found["values"] == facts["values"]
