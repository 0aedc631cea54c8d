"""The guard of the hot paths fails for a slower path, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import speed_guard

STORED = speed_guard.Counts(
    compiler="g++ 12.2",
    libc="glibc 2.36",
    instruction_set="x86-64 with AVX2",
    operations={"append": 500.0, "gather": 200.0},
    units={"append": "step", "gather": "value"},
)


def found(**operations: float) -> speed_guard.Counts:
    return replace(STORED, operations=operations, units=dict.fromkeys(operations, "unit"))


def test_counts_within_the_margin_pass() -> None:
    assert speed_guard.check_counts(STORED, found(append=514.0, gather=150.0)) == []


def test_a_slower_path_is_reported_with_both_figures() -> None:
    (line,) = speed_guard.check_counts(STORED, found(append=520.0, gather=200.0))
    assert "append: 4.0 % more" in line
    assert "stored 500.0 a step" in line
    assert "found 520.0" in line


def test_an_operation_without_a_stored_figure_fails() -> None:
    (missing, new) = speed_guard.check_counts(STORED, found(append=500.0, other=1.0))
    assert missing.startswith("gather: ")
    assert new.startswith("other: ")


@pytest.mark.parametrize(
    "other", [{"compiler": "g++ 13.1"}, {"compiler": "clang++ 12.2"}, {"libc": "glibc 2.41"}]
)
def test_with_other_tools_only_a_doubled_figure_fails(other: dict[str, str]) -> None:
    assert speed_guard.check_counts(STORED, replace(found(append=990.0, gather=1.0), **other)) == []
    (line,) = speed_guard.check_counts(STORED, replace(found(append=1010, gather=1.0), **other))
    assert line.startswith("append: ")


def test_a_minor_version_of_the_compiler_is_the_same_compiler() -> None:
    counts = replace(found(append=520.0, gather=200.0), compiler="g++ 12.3")
    assert len(speed_guard.check_counts(STORED, counts)) == 1


def test_accepted_figures_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    speed_guard.accept(path, None, STORED)
    assert speed_guard.read_counts(path) == STORED


def test_the_stored_file_has_the_form_in_which_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    speed_guard.write_counts(path, speed_guard.read_counts(speed_guard.STORED))
    assert path.read_text() == speed_guard.STORED.read_text()
