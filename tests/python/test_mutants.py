"""scripts/mutant_switch.py adds variants of a source that a switch selects, or reports a misfit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutant_switch import Change, Mutant, change, insert, problems, rewritten

SOURCE = """\
int F(int a, int b) {
  int sum = a + b;
  if (sum < 7) {
    sum = 7;
  }
  return sum;
}
"""


def mutant(name: str, *changes: Change) -> Mutant:
    return Mutant(name, changes, ("a_test",))


def switched(root: Path, *changes: Change) -> str:
    """The source with one mutant for each change."""
    (root / "a.cc").write_text(SOURCE)
    mutants = [mutant(f"mutant {i}", one) for i, one in enumerate(changes)]
    assert problems(root, mutants) == []
    return rewritten(root, mutants)["a.cc"]


def problem(root: Path, *changes: Change) -> str:
    (root / "a.cc").write_text(SOURCE)
    (found,) = problems(root, [mutant(f"mutant {i}", one) for i, one in enumerate(changes)])
    return found


def test_an_expression_is_chosen_by_an_operator(tmp_path: Path) -> None:
    text = switched(tmp_path, change("a.cc", "a + b", "a - b"))
    assert "int sum = (STREAM_STORE_MUTANT(1) ? (a - b) : (a + b));" in text


def test_a_statement_is_chosen_by_a_branch(tmp_path: Path) -> None:
    text = switched(tmp_path, change("a.cc", "sum = 7;", "sum = 8;"))
    assert "if (STREAM_STORE_MUTANT(1)) { sum = 8; } else { sum = 7; }" in text


def test_a_statement_is_inserted_before_another(tmp_path: Path) -> None:
    text = switched(tmp_path, insert("a.cc", "return sum;", "++sum;"))
    assert "if (STREAM_STORE_MUTANT(1)) { ++sum; } return sum;" in text


@pytest.mark.parametrize(
    ("old", "within"),
    [
        ("a +", "int sum = a + b"),
        ("if (sum < 7)", ""),
        ("F(int a", ""),
        ("sum", "return sum.size()"),
    ],
)
def test_a_part_of_an_expression_is_refused(tmp_path: Path, old: str, within: str) -> None:
    (tmp_path / "a.cc").write_text(SOURCE.replace("return sum;", "return sum.size();"))
    (found,) = problems(tmp_path, [mutant("a mutant", change("a.cc", old, "0", within))])
    assert "expected a whole expression or statement" in found


def test_mutants_may_change_the_same_place(tmp_path: Path) -> None:
    text = switched(tmp_path, change("a.cc", "sum < 7", "true"), change("a.cc", "sum < 7", "false"))
    assert "if ((STREAM_STORE_MUTANT(2) ? (false) : ((STREAM_STORE_MUTANT(1) ? (true) : " in text


def test_a_mutant_may_change_a_part_of_the_place_of_another(tmp_path: Path) -> None:
    text = switched(
        tmp_path,
        change("a.cc", "sum", "0", within="return sum;"),
        change("a.cc", "return sum;", "return 1;"),
    )
    inner = "return (STREAM_STORE_MUTANT(1) ? (0) : (sum));"
    assert f"if (STREAM_STORE_MUTANT(2)) {{ return 1; }} else {{ {inner} }}" in text


def test_a_change_of_several_places_has_one_number(tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text(SOURCE)
    both = mutant("both", change("a.cc", "a + b", "a"), change("a.cc", "sum < 7", "true"))
    text = rewritten(tmp_path, [mutant("other", change("a.cc", "sum = 7;")), both])["a.cc"]
    assert text.count("STREAM_STORE_MUTANT(2)") == 2


def test_a_place_that_is_not_found_exactly_once_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path, change("a.cc", "a * b")) == "mutant 0: found 0 times in a.cc: 'a * b'"
    assert "found 4 times in a.cc: 'sum'" in problem(tmp_path, change("a.cc", "sum"))
    twice = problem(tmp_path, change("a.cc", "int", within="int F(int a, int b)"))
    assert twice == "mutant 0: found 3 times in 'int F(int a, int b)': 'int'"
    assert problem(tmp_path, change("b.cc", "a")) == "mutant 0: no file b.cc"


def test_places_that_overlap_in_part_are_refused(tmp_path: Path) -> None:
    overlap = problem(
        tmp_path,
        change("a.cc", "a + b;\n  if (sum < 7)", "a;"),
        change("a.cc", "(sum < 7) {\n    sum = 7;", "sum = 7;"),
    )
    assert overlap.startswith("changes of a.cc overlap")
