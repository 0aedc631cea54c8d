"""docs/reliability.md is accurate: its tests exist, each fault has a row, and mutants fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import campaign
import mutants

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def named_tests() -> set[str]:
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("*_test.cc"))
    cpp = {
        f"{suite}.{name}" for suite, name in re.findall(r"^TEST\w*\((\w+),\s*(\w+)\)", text, re.M)
    }
    python = "".join(path.read_text() for path in (ROOT / "tests" / "python").glob("test_*.py"))
    return cpp | set(re.findall(r"^def (test_\w+)", python, re.M))


def test_every_test_that_is_named_exists() -> None:
    names = re.findall(r"`(\w+Test\.\w+|test_\w+)`", PAGE.read_text())
    assert len(set(names)) > 60
    assert not set(names) - named_tests()


def test_every_fault_has_a_row_and_each_row_a_test_or_a_reason() -> None:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(), re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 74))
    for number, answer in rows:
        assert (
            "`" in answer
            or "not tested" in answer
            or "filesystems.py" in answer
            or ("ThreadSanitizer" in answer)
        ), number


def test_every_mutant_still_fits_the_sources() -> None:
    assert len(mutants.MUTANTS) >= 25
    assert mutants.problems(ROOT) == []
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)


def test_the_page_has_each_mutant_and_counts_those_that_were_caught() -> None:
    text = PAGE.read_text().split("<!-- mutants:begin -->")[1].split("<!-- mutants:end -->")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, re.M)[1:]
    assert [name for name, _ in rows] == [mutant.name for mutant in mutants.MUTANTS]
    caught = sum(": " in said for _, said in rows)
    assert f"\n{caught} of {len(mutants.MUTANTS)} were caught.\n" in text


def test_a_part_of_the_campaign_keeps_its_date_when_others_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "RESULT", tmp_path / "campaign.json")
    monkeypatch.setattr(campaign, "PAGE", tmp_path / "page.md")
    campaign.PAGE.write_text("<!-- campaign:begin -->\n<!-- campaign:end -->\n")
    old = campaign.Part("kills", "of old", ["echo"], date="2020-01-02", kernel="5.1", cores=3)
    campaign.write([old])
    new = campaign.Part("steps", "of now", ["echo", "steps: 3 steps"])
    campaign.run(new)
    campaign.write([*campaign.last_report().values(), new])
    campaign.into_page(list(campaign.last_report().values()))
    page = campaign.PAGE.read_text()
    assert "- 2020-01-02, , Linux 5.1, 3 cores, shared: kills.\n" in page
    assert (
        f"- {new.date}, {new.machine}, Linux {new.kernel}, {new.cores} cores, shared: steps.\n"
        in page
    )
    assert "| steps: of now | steps: 3 steps |" in page
